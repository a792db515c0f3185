//! `zvonar check`: every fault of a package at once.

use std::path::PathBuf;

use super::Failure;
use crate::host;

/// What `zvonar check` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The package's folder: the one with `scenario.toml`.
    folder: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let package = host::open_package(&arguments.folder)?;
    let (engine, clips) = (host::engine(&host::module_cache()?, 1)?, host::load_clips(&package)?);
    engine.load(&package)?;
    drop(clips);
    super::test::conversations(&package)?;
    println!(
        "{}: {} {} is sound",
        arguments.folder.display(),
        package.manifest.name,
        package.manifest.version
    );
    Ok(())
}
