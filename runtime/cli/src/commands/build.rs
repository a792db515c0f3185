//! `zvonar build`: from the source of a scenario to the component in its package.

use std::path::{Path, PathBuf};

use zvonar_scenario::build::Toolchain;
use zvonar_scenario::{Manifest, Package};

use super::Failure;

/// What `zvonar build` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The package's folder: the one with `scenario.toml`, whose `source` says where the Rust code is.
    folder: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let manifest = Manifest::open(folder)?;
    let source = manifest.source.as_ref().ok_or_else(|| {
        format!(
            "{} names no source: add `source = \"…\"`, the folder with its Cargo.toml",
            folder.join("scenario.toml").display()
        )
    })?;
    let toolchain = Toolchain::find()?;
    let source = folder.join(source);
    let component = toolchain.build(&source, &source.join("target"), false)?;
    let place = folder.join(&manifest.component);
    write(&place, &component)?;
    // The package as a whole may still be at fault: a prompt that is missing, say.
    let package = Package::open(folder)?;
    println!(
        "{}: {} {}, {} KiB",
        place.display(),
        package.manifest.name,
        package.manifest.version,
        component.len() / 1024
    );
    Ok(())
}

/// In one step: a host that reads the package meanwhile sees the old component or the new.
fn write(place: &Path, component: &[u8]) -> Result<(), Failure> {
    let beside = place.with_extension("wasm.new");
    let written = std::fs::write(&beside, component).and_then(|()| std::fs::rename(&beside, place));
    written.map_err(|why| format!("cannot write {}: {why}", place.display()).into())
}
