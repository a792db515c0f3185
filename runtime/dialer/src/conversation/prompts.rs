//! The clips of a package, encoded once, and prompts put together from them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use zvonar_media::{Clip, ClipError, Prompt};
use zvonar_scenario::ports::Part;

/// All clips of one package by their names.
#[derive(Debug, Default)]
pub struct Clips(BTreeMap<String, Arc<Clip>>);

impl Clips {
    /// Reads and encodes the files; every one that cannot be used has its sentence.
    pub fn load(files: &BTreeMap<String, PathBuf>) -> Result<Self, Vec<ClipError>> {
        let (mut clips, mut faults) = (BTreeMap::new(), Vec::new());
        for (name, path) in files {
            match Clip::from_wav_file(path) {
                Ok(clip) => {
                    clips.insert(name.clone(), Arc::new(clip));
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self(clips)) } else { Err(faults) }
    }

    /// Puts a prompt together; the error is a sentence for the scenario's author.
    pub(super) fn prompt(&self, parts: &[Part]) -> Result<Prompt, String> {
        let mut prompt = Prompt::default();
        for part in parts {
            match part {
                Part::Clip(name) => match self.0.get(&**name) {
                    Some(clip) => prompt.push_clip(Arc::clone(clip)),
                    None => return Err(format!("the package has no clip `{name}`")),
                },
                Part::Pause(time) => prompt.push_pause(*time),
            }
        }
        Ok(prompt)
    }
}
