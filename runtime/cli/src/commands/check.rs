//! `zvonar check`: every fault of a package at once.

use std::path::PathBuf;

use zvonar_scenario::Package;

use super::Failure;
use crate::host;

/// What `zvonar check` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The package: the folder with `scenario.toml`, or a `.zvonar` file.
    package: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let package = Package::open_any(&arguments.package, &scratch.path().join("package"))?;
    let (engine, clips) = (host::engine(&host::module_cache()?, 1)?, host::load_clips(&package)?);
    engine.load(&package)?;
    drop(clips);
    super::test::conversations(&package)?;
    super::say(format_args!(
        "{}: {} {} is sound; its content is {}",
        arguments.package.display(),
        package.manifest.name,
        package.manifest.version,
        package.digest
    ))
}
