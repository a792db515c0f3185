//! How long the prompts of a package last, and what they say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use zvonar_media::{Clip, ClipError};
use zvonar_scenario::Module;
use zvonar_scenario::ports::Part;

use crate::speech;

/// The prompts of one package.
#[derive(Debug, Default)]
pub struct Sounds {
    lengths: BTreeMap<Arc<str>, Duration>,
    texts: BTreeMap<Arc<str>, String>,
}

impl Sounds {
    /// Looks at every sound of the module. A prompt with a text and no sound lasts as long as it takes to say it.
    ///
    /// # Errors
    ///
    /// Every sound that cannot be played.
    pub fn of(module: &Module) -> Result<Self, Vec<ClipError>> {
        let (mut lengths, mut faults) = (BTreeMap::new(), Vec::new());
        for (name, file) in module.prompts() {
            match Clip::load(file) {
                Ok(clip) => drop(lengths.insert(Arc::clone(name), clip.duration())),
                Err(fault) => faults.push(fault),
            }
        }
        let texts = module.manifest().texts.clone();
        for (name, text) in &texts {
            lengths.entry(Arc::clone(name)).or_insert_with(|| speech::lasts(text));
        }
        if faults.is_empty() { Ok(Self { lengths, texts }) } else { Err(faults) }
    }

    /// Prompts of these lengths, in milliseconds, with these texts.
    #[cfg(test)]
    pub(crate) fn fixed(prompts: &[(&str, u64, &str)]) -> Arc<Self> {
        let lengths = prompts.iter().map(|(name, ms, _)| (Arc::from(*name), Duration::from_millis(*ms)));
        let texts = prompts.iter().map(|(name, _, text)| (Arc::from(*name), (*text).to_owned()));
        Arc::new(Self { lengths: lengths.collect(), texts: texts.collect() })
    }

    /// How long a prompt lasts.
    pub fn length(&self, prompt: &[Part]) -> Duration {
        let one = |part: &Part| match part {
            Part::Clip(name) => self.lengths.get(name).copied().unwrap_or_default(),
            Part::Pause(time) => *time,
        };
        prompt.iter().map(one).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// What a prompt says, as far as the package tells.
    pub fn text(&self, prompt: &[Part]) -> Option<String> {
        let texts = prompt.iter().filter_map(|part| match part {
            Part::Clip(name) => self.texts.get(name).map(String::as_str),
            Part::Pause(_) => None,
        });
        let texts: Vec<&str> = texts.collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    }
}
