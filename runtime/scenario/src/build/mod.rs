//! From a scenario's source to a component, in any of the languages whose tools can make one.
//!
//! A [`Toolchain`] is found, never installed: [`Toolchain::find`] looks beside the source, among the user's programs and
//! in the [`cache_folder`], where the project's own `./zv` puts what it installs. What is missing is said in a sentence
//! with the command that gets it.
//!
//! | language | tools | what a source looks like |
//! |---|---|---|
//! | rust | cargo, with a library for [`rust::TARGET`] | `Cargo.toml`, bindings checked in |
//! | c | clang with wasi-libc, or a wasi-sdk | `*.c`, and the bindings in `bindings/` |
//! | js | [`javascript::TOOL`] (QuickJS inside the component) | `scenario.js` |
//! | python | [`python::TOOL`] (CPython inside the component) | `scenario.py` |
//!
//! Whatever the language, what comes out has been looked at by [`crate::component::inspect`]: it imports the contract
//! and nothing else.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::component::{ComponentFault, inspect};

pub mod c;
pub mod contract;
pub mod javascript;
pub mod python;
pub mod rust;
pub mod voice;

/// A language that `zvonar build` can build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// Rust.
    Rust,
    /// C.
    C,
    /// JavaScript.
    JavaScript,
    /// Python.
    Python,
}

impl Language {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Rust, Self::C, Self::JavaScript, Self::Python];

    /// As `language` of a manifest has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::JavaScript => "js",
            Self::Python => "python",
        }
    }

    /// By its name in a manifest. The error is for one that has to be built by other means.
    pub fn named(name: &str) -> Result<Self, BuildError> {
        let found = Self::ALL.into_iter().find(|language| language.name() == name);
        found.ok_or_else(|| BuildError::UnknownLanguage(name.to_owned()))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
        })
    }
}

/// Why no component came of a source.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Nobody here knows how.
    #[error(
        "`zvonar build` knows the languages rust, c, js and python, not `{0}`: build the component with that language's \
         own tools, put it where `component` of scenario.toml says, and run `zvonar check`"
    )]
    UnknownLanguage(String),
    /// The tools of the language are not here. The text says what to install.
    #[error("{0}")]
    NoToolchain(String),
    /// A file or a program is not there or not usable.
    #[error("{what} ({path}): {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The source does not look like one of its language.
    #[error("{folder} is no {language} source: {what}")]
    NoSource {
        /// The source's folder.
        folder: PathBuf,
        /// What it was taken for.
        language: Language,
        /// What is missing.
        what: &'static str,
    },
    /// A compiler has said why on its own stderr.
    #[error("{program} could not build {source_folder}; its messages are above")]
    Compiler {
        /// Who.
        program: &'static str,
        /// What.
        source_folder: PathBuf,
    },
    /// It compiled, but not to a scenario.
    #[error("{path} is no scenario: {fault}{}", hint(.language, .fault))]
    Component {
        /// The module or component.
        path: PathBuf,
        /// What it was made of.
        language: Language,
        /// What is wrong with it.
        #[source]
        fault: ComponentFault,
    },
}

/// What an author can do about a fault that their language brings about easily.
fn hint(language: &Language, fault: &ComponentFault) -> &'static str {
    let text = fault.to_string();
    if !text.contains("wasi") {
        return "";
    }
    match language {
        Language::C => {
            "; something in it prints, reads files, asks the time or ends the process, which no scenario can: \
             `zvonar_scenario_host_log` and `zvonar_scenario_host_now` are there instead, and `__builtin_trap()` ends a \
             talk at once"
        }
        _ => "; no scenario has files, a network or a clock of its own",
    }
}

/// The tools that build one language, wherever they were found.
#[derive(Debug, Clone)]
pub enum Toolchain {
    /// Cargo and a library for the target.
    Rust(rust::Toolchain),
    /// Clang and a C library.
    C(c::Toolchain),
    /// The maker of QuickJS components.
    JavaScript(javascript::Toolchain),
    /// The maker of CPython components.
    Python(python::Toolchain),
}

impl Toolchain {
    /// The tools for `language`: beside the `source`, the user's, or those in the [`cache_folder`]. The error says what to
    /// install.
    pub fn find(language: Language, source: &Path) -> Result<Self, BuildError> {
        if !source.is_dir() {
            let why = io::Error::new(io::ErrorKind::NotFound, "there is no such folder");
            return Err(at("the scenario's source is not there", source)(why));
        }
        let missing = |what: String| BuildError::NoToolchain(what);
        match language {
            Language::Rust => rust::Toolchain::find().map(Self::Rust).ok_or_else(|| missing(rust::missing())),
            Language::C => c::Toolchain::find().map(Self::C).ok_or_else(|| missing(c::missing())),
            Language::JavaScript => javascript::Toolchain::find(source)
                .map(Self::JavaScript)
                .ok_or_else(|| missing(javascript::missing(source))),
            Language::Python => {
                python::Toolchain::find(source).map(Self::Python).ok_or_else(|| missing(python::missing()))
            }
        }
    }

    /// What builds, by name and version: part of the key under which built components are kept.
    pub fn version(&self) -> &str {
        match self {
            Self::Rust(toolchain) => toolchain.version(),
            Self::C(toolchain) => toolchain.version(),
            Self::JavaScript(toolchain) => toolchain.version(),
            Self::Python(toolchain) => toolchain.version(),
        }
    }

    /// Builds the source in the folder `source` and gives its component. What is made on the way goes below `scratch`,
    /// which is created. `locked` takes the versions of the source's lock file and no others, where the language has one.
    /// The compiler's messages go to stderr.
    pub fn build(&self, source: &Path, scratch: &Path, locked: bool) -> Result<Vec<u8>, BuildError> {
        let source = &fs::canonicalize(source).map_err(at("the scenario's source is not there", source))?;
        fs::create_dir_all(scratch).map_err(at("this folder cannot be made", scratch))?;
        // Compilers run in the source's folder, where a relative path would mean another place.
        let scratch = &std::path::absolute(scratch).map_err(at("this is no folder", scratch))?;
        let (language, file, component) = match self {
            Self::Rust(toolchain) => {
                let (file, component) = toolchain.build(source, scratch, locked)?;
                (Language::Rust, file, component)
            }
            Self::C(toolchain) => {
                let (file, component) = toolchain.build(source, scratch)?;
                (Language::C, file, component)
            }
            Self::JavaScript(toolchain) => {
                let (file, component) = toolchain.build(source, scratch)?;
                (Language::JavaScript, file, component)
            }
            Self::Python(toolchain) => {
                let (file, component) = toolchain.build(source, scratch)?;
                (Language::Python, file, component)
            }
        };
        let fault = |fault| BuildError::Component { path: file.clone(), language, fault };
        let component = component.map_err(fault)?;
        match inspect(&component).into_iter().next() {
            None => Ok(component),
            Some(found) => Err(fault(found)),
        }
    }
}

/// What a build gives before it is looked at: the file it is in, and the component or why there is none.
type Built = Result<(PathBuf, Result<Vec<u8>, ComponentFault>), BuildError>;

/// `${XDG_CACHE_HOME:-~/.cache}/zvonar`, where toolchains are installed and guests are kept; `None` for a user without a
/// home.
pub fn cache_folder() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    base.or_else(home).map(|base| base.join("zvonar"))
}

/// What a program prints, without the end of its last line; `None` when it fails.
fn ask(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim_end().to_owned())
}

/// The program of this name in the PATH.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Runs a compiler, with what it says on stderr: stdout is for results.
fn run(command: &mut Command, program: &'static str, source: &Path) -> Result<(), BuildError> {
    let output = command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(at("the compiler cannot be started", Path::new(command.get_program())))?;
    if output.status.success() {
        return Ok(());
    }
    // Some compilers complain on stdout.
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    Err(BuildError::Compiler { program, source_folder: source.to_owned() })
}

fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Io { what, path, source }
}
