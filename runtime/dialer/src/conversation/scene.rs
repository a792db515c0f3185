//! A scenario that is ready for calls.

use std::sync::Arc;

use zvonar_scenario::{Engine, Module, Package};

use super::Clips;

/// A scenario that is ready for calls: its module, and its clips encoded. Both are swapped together.
#[derive(Debug)]
pub struct Scene {
    /// The code.
    pub module: Arc<Module>,
    /// Its sounds.
    pub clips: Arc<Clips>,
}

impl Scene {
    /// Encodes a package's clips and compiles its component. The error has a sentence for everything that keeps it from
    /// being heard, or the one that keeps it from running.
    ///
    /// Blocks, as [`Engine::load`] does.
    pub fn load(engine: &Engine, package: &Package) -> Result<Self, Vec<String>> {
        let clips = Arc::new(load_clips(package)?);
        let module = engine.load(package).map_err(|why| vec![why.to_string()])?;
        Ok(Self { module, clips })
    }
}

/// Encodes a package's clips; every one that cannot be heard has its sentence.
pub fn load_clips(package: &Package) -> Result<Clips, Vec<String>> {
    let folder = package.folder.join(&package.manifest.prompts);
    let unvoiced = package.unvoiced().map(|(name, _)| {
        format!(
            "{}: this prompt has a text in scenario.toml and no sound: record it, or let `zvonar build` speak it",
            folder.join(format!("{name}.wav")).display()
        )
    });
    let mut sentences: Vec<String> = unvoiced.collect();
    match Clips::load(&package.prompts) {
        Ok(clips) if sentences.is_empty() => return Ok(clips),
        Ok(_) => {}
        Err(faults) => sentences.extend(faults.iter().map(ToString::to_string)),
    }
    Err(sentences)
}
