//! JavaScript: QuickJS inside the component, by the npm package [`TOOL`].
//!
//! The engine is snapshotted after the module's top level has run, so that a call begins at `run`. What QuickJS would ask
//! a system for (the time, chance) is stubbed: it traps. `host.now()` and `host.random()` are there instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BuildError, Built, Language, ask, at, cache_folder, contract, program, run};

/// The npm package.
pub const TOOL: &str = "componentize-qjs";
/// The version that this host was tried with.
pub const VERSION: &str = "0.4.5";
/// The file of a source that is the scenario. It may import others.
pub const ENTRY: &str = "scenario.js";

/// An installed [`TOOL`].
#[derive(Debug, Clone)]
pub struct Toolchain {
    program: PathBuf,
    version: String,
}

/// What to install when there is none.
pub(super) fn missing(source: &Path) -> String {
    let node = "Node.js 18 or newer with npm (Debian: `apt-get install nodejs npm`)";
    if program("node").is_none() {
        return format!(
            "JavaScript is built by the npm package {TOOL}: install {node}, then run `npm install` in {}",
            source.display()
        );
    }
    if source.join("package.json").is_file() {
        return format!("the npm package {TOOL} is not installed: run `npm install` in {}", source.display());
    }
    format!(
        "JavaScript is built by the npm package {TOOL}: run `npm install {TOOL}@{VERSION}` in {}",
        source.display()
    )
}

/// Where [`Toolchain::find`] looks for one that was installed for everybody: `npm install --prefix` goes there.
pub fn home() -> Option<PathBuf> {
    cache_folder().map(|cache| cache.join(format!("{TOOL}-{VERSION}")))
}

impl Toolchain {
    /// The one in `node_modules` of the source or a folder above it, in [`home`], or in the PATH.
    pub fn find(source: &Path) -> Option<Self> {
        let node = program("node")?;
        let source = fs::canonicalize(source).ok()?;
        let node_version = ask(Command::new(node).arg("--version"))?;
        let beside = source.ancestors().map(Path::to_owned);
        let installed = beside.chain(home()).map(|folder| folder.join("node_modules/.bin").join(TOOL));
        installed.chain(program(TOOL)).find_map(|program| {
            let version = program.is_file().then(|| version(&program))?;
            Some(Self { version: format!("{version}, node {node_version}"), program })
        })
    }

    /// What builds, by version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Makes a component of the source's [`ENTRY`].
    pub(super) fn build(&self, source: &Path, scratch: &Path) -> Built {
        if !source.join(ENTRY).is_file() {
            let what = "there is no scenario.js";
            return Err(BuildError::NoSource {
                folder: source.to_owned(),
                language: Language::JavaScript,
                what,
            });
        }
        let wit = scratch.join("wit");
        contract::write(&wit).map_err(at("the contract cannot be written", &wit))?;
        let made = scratch.join("scenario.wasm");
        let mut tool = Command::new(&self.program);
        // It resolves imports of the source against the folder it runs in.
        tool.current_dir(source)
            .args(["--js", ENTRY, "--world", contract::WORLD, "--stub-wasi", "--sync", "--wit"])
            .arg(&wit)
            .arg("--output")
            .arg(&made);
        run(&mut tool, TOOL, source)?;
        let component = fs::read(&made).map_err(at("the component cannot be read", &made))?;
        Ok((made, Ok(component)))
    }
}

/// Its version, as the package that the program belongs to says: the program itself has no option for that.
fn version(program: &Path) -> String {
    let said = || {
        let program = fs::canonicalize(program).ok()?;
        let package =
            program.ancestors().map(|folder| folder.join("package.json")).find(|file| file.is_file())?;
        let text = fs::read_to_string(package).ok()?;
        let (_, rest) = text.split_once("\"version\"")?;
        Some(rest.split('"').nth(1)?.to_owned())
    };
    format!("{TOOL} {}", said().unwrap_or_else(|| "of unknown version".into()))
}
