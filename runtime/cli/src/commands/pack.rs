//! `zvonar pack`: a package as one file, for uploads and archives.

use std::path::PathBuf;

use zvonar_scenario::{Package, archive};

use super::Failure;

/// What `zvonar pack` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The package's folder: the one with `scenario.toml`.
    #[arg(default_value = ".")]
    package: PathBuf,
    /// Where it goes; absent: NAME-VERSION.zvonar in the current folder.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let package = Package::open(&arguments.package)?;
    let bytes = archive::pack(&package)?;
    let file = arguments.out.unwrap_or_else(|| archive::file_name(&package).into());
    std::fs::write(&file, &bytes).map_err(|why| format!("cannot write {}: {why}", file.display()))?;
    super::say(format_args!(
        "{}: {} {}, {} KiB; its content is {}",
        file.display(),
        package.manifest.name,
        package.manifest.version,
        bytes.len().div_ceil(1024),
        package.digest
    ))
}
