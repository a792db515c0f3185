//! `zvonar build`: from the source of a scenario to a package that can be tried and deployed.

use std::path::{Path, PathBuf};

use zvonar_scenario::build::voice::{self, Need, Voice};
use zvonar_scenario::build::{Language, Toolchain};
use zvonar_scenario::{Manifest, Package, archive};

use super::{Failure, say};

/// What `zvonar build` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The package's folder: the one with `scenario.toml`, whose `language` says how it is built, and whose `source` where
    /// the code is, if not there.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Leave the component as it is: only speak prompts. For a package whose texts or settings are all that is its own.
    #[arg(long)]
    no_component: bool,
    /// Leave prompts without a sound as they are.
    #[arg(long)]
    no_voice: bool,
    /// Also make the one file that is sent to hosts, NAME-VERSION.zvonar, beside the component.
    #[arg(long)]
    pack: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let manifest = Manifest::open(folder)?;
    if !arguments.no_component {
        component(folder, &manifest)?;
    }
    if !arguments.no_voice {
        speak(folder, &manifest)?;
    }
    // The package as a whole may still be at fault: a prompt that is missing, say.
    let package = Package::open(folder)?;
    say(format!(
        "{}: {} {}, {} KiB",
        folder.join(&manifest.component).display(),
        package.manifest.name,
        package.manifest.version,
        package.component.len().div_ceil(1024)
    ))?;
    if arguments.pack {
        let file = folder.join(archive::file_name(&package));
        let bytes = archive::pack(&package)?;
        write(&file, &bytes)?;
        say(format!("{}: {} KiB", file.display(), bytes.len().div_ceil(1024)))?;
    }
    Ok(())
}

fn component(folder: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let language = manifest.language.as_deref().ok_or_else(|| {
        format!(
            "{} names no language: add `language = \"rust\"` (or c, js, python)",
            folder.join("scenario.toml").display()
        )
    })?;
    let language = Language::named(language)?;
    let source = manifest.source.as_ref().map_or_else(|| folder.to_owned(), |source| folder.join(source));
    let toolchain = Toolchain::find(language, &source)?;
    let component = toolchain.build(&source, &source.join("target"), false)?;
    write(&folder.join(&manifest.component), &component)
}

/// Speaks the prompts that have a text and no sound, and those that were spoken with other words. A machine without a voice
/// is no failure: only a real call needs sounds.
fn speak(folder: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let file = |name: &str| folder.join(&manifest.prompts).join(format!("{name}.wav"));
    let wanted: Vec<(&str, &str)> = manifest
        .texts
        .iter()
        .map(|(name, text)| (name.as_ref(), text.as_str()))
        .filter(|(name, text)| voice::need(&file(name), text) != Need::Nothing)
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let names = wanted.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some(voice) = Voice::find() else {
        eprintln!("prompts without a sound: {names}; {}", voice::MISSING);
        return Ok(());
    };
    for (name, text) in &wanted {
        voice.speak(text, &file(name))?;
    }
    eprintln!("spoken by {}: {names}", voice.name());
    Ok(())
}

/// In one step: a host that reads the package meanwhile sees the old file or the new.
fn write(place: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let beside = place.with_extension("new");
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, place));
    written.map_err(|why| format!("cannot write {}: {why}", place.display()).into())
}
