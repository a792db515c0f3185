//! The clips of a package, encoded once, and prompts put together from them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use zvonar_media::{Clip, ClipError, Part, Prompt};
use zvonar_scenario::ports;

/// All clips of one package by their names.
#[derive(Debug, Default)]
pub struct Clips(BTreeMap<Arc<str>, Arc<Clip>>);

impl Clips {
    /// Reads and encodes the files; every one that cannot be used has its sentence.
    pub fn load(files: &BTreeMap<Arc<str>, PathBuf>) -> Result<Self, Vec<ClipError>> {
        let (mut clips, mut faults) = (BTreeMap::new(), Vec::new());
        for (name, path) in files {
            match Clip::load(path) {
                Ok(clip) => {
                    clips.insert(Arc::clone(name), Arc::new(clip));
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self(clips)) } else { Err(faults) }
    }

    /// Puts a prompt together; `None` for one without a part. The error is a sentence for the scenario's author.
    pub(super) fn prompt(&self, parts: &[ports::Part]) -> Result<Option<Prompt>, String> {
        let mut sounds = Vec::with_capacity(parts.len());
        for part in parts {
            sounds.push(match part {
                ports::Part::Clip(name) => match self.0.get(name) {
                    Some(clip) => Part::Clip(Arc::clone(clip)),
                    None => return Err(format!("the package has no clip `{name}`")),
                },
                ports::Part::Pause(time) => Part::Pause(*time),
            });
        }
        Ok(Some(sounds).filter(|sounds| !sounds.is_empty()).map(Prompt::new))
    }
}
