//! Python: CPython inside the component, by the package [`TOOL`] of PyPI.
//!
//! The interpreter is snapshotted after the module has been imported, so that a call begins at `run`. Its system is
//! stubbed: what would reach one traps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BuildError, Built, Language, ask, at, cache_folder, contract, program, run};

/// The package of PyPI.
pub const TOOL: &str = "componentize-py";
/// The version that this host was tried with.
pub const VERSION: &str = "0.25.1";
/// The file of a source that is the scenario. It may import others.
pub const ENTRY: &str = "scenario.py";

/// An installed [`TOOL`].
#[derive(Debug, Clone)]
pub struct Toolchain {
    program: PathBuf,
    version: String,
}

/// What to install when there is none.
pub(super) fn missing() -> String {
    format!(
        "Python is built by the package {TOOL}: run `python3 -m venv .venv && .venv/bin/pip install {TOOL}=={VERSION}` \
         beside the source (Python 3.10 or newer; Debian: `apt-get install python3-venv`)"
    )
}

/// Where [`Toolchain::find`] looks for one that was installed for everybody: a virtual environment.
pub fn home() -> Option<PathBuf> {
    cache_folder().map(|cache| cache.join(format!("{TOOL}-{VERSION}")))
}

impl Toolchain {
    /// The one in a `.venv` of the source or a folder above it, in the active virtual environment, in the PATH, or in
    /// [`home`].
    pub fn find(source: &Path) -> Option<Self> {
        let source = fs::canonicalize(source).ok()?;
        let beside = source.ancestors().map(|folder| folder.join(".venv"));
        let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
        let installed = beside.chain(active).map(|folder| folder.join("bin").join(TOOL));
        let everybody = home().map(|folder| folder.join("bin").join(TOOL));
        installed.chain(program(TOOL)).chain(everybody).filter(|program| program.is_file()).find_map(
            |program| {
                // A shim in the PATH may stand for nothing at all.
                let version = ask(Command::new(&program).arg("--version"))?;
                Some(Self { program, version })
            },
        )
    }

    /// What builds, by version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Makes a component of the source's [`ENTRY`].
    pub(super) fn build(&self, source: &Path, scratch: &Path) -> Built {
        if !source.join(ENTRY).is_file() {
            let what = "there is no scenario.py";
            return Err(BuildError::NoSource { folder: source.to_owned(), language: Language::Python, what });
        }
        let wit = scratch.join("wit");
        contract::write(&wit).map_err(at("the contract cannot be written", &wit))?;
        let made = scratch.join("scenario.wasm");
        let mut tool = Command::new(&self.program);
        tool.current_dir(source)
            // Its own stack would hide the author's mistake.
            .env_remove("RUST_BACKTRACE")
            .arg("--wit-path")
            .arg(&wit)
            .args(["--world", contract::WORLD, "componentize", "--stub-wasi", "scenario", "--output"])
            .arg(&made);
        run(&mut tool, TOOL, source)?;
        let component = fs::read(&made).map_err(at("the component cannot be read", &made))?;
        Ok((made, Ok(component)))
    }
}
