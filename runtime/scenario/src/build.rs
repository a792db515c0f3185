//! From a guest's source to a component, with whichever Rust toolchain is there.
//!
//! Two kinds of toolchain will do: the user's own with the target `wasm32-unknown-unknown` (`rustup target add …`), or
//! an unpacked one without a library for that target, which is then compiled from its source (`-Zbuild-std`). The second
//! is for machines that reach a distribution's packages and crates.io but not the servers of rustup.
//!
//! Either way the result is the same: paths of the machine are taken out of it, so that equal sources give equal bytes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::component::{ComponentFault, componentize, inspect};

/// The target of every guest: no system below it at all.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Why no component came of a source.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The user's Rust cannot compile for [`TARGET`].
    #[error("no Rust toolchain here can compile for {TARGET}: run `rustup target add {TARGET}`")]
    NoToolchain,
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
    /// `Cargo.toml` names no package.
    #[error("{0} has no [package] with a name")]
    NoPackage(PathBuf),
    /// The compiler has said why on its own stderr.
    #[error("`cargo build` of {0} failed; its messages are above")]
    Cargo(PathBuf),
    /// It compiled, but not to a scenario.
    #[error("{path} is no scenario: {fault}")]
    Component {
        /// The module.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: ComponentFault,
    },
}

/// A Rust toolchain that can compile guests.
#[derive(Debug, Clone)]
pub struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    arguments: Vec<&'static str>,
    /// Folders whose names must not reach the component, and what stands there instead.
    hidden: Vec<(PathBuf, &'static str)>,
    version: String,
}

/// `${XDG_CACHE_HOME:-~/.cache}/zvonar`, where toolchains are unpacked and guests are kept; `None` for a user without a
/// home.
pub fn cache_folder() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    base.or_else(home).map(|base| base.join("zvonar"))
}

/// Where in the [`cache_folder`] the toolchain of [`Toolchain::unpacked`] is.
pub const UNPACKED: &str = "rust-web";

impl Toolchain {
    /// Whichever is there: the user's own, or the unpacked one in the [`cache_folder`].
    pub fn find() -> Result<Self, BuildError> {
        let unpacked = || Self::unpacked(&cache_folder()?.join(UNPACKED));
        Self::of_the_user().or_else(unpacked).ok_or(BuildError::NoToolchain)
    }

    /// The user's own, if it has a library for [`TARGET`].
    pub fn of_the_user() -> Option<Self> {
        let rustc = PathBuf::from(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let library = ask(Command::new(&rustc).args(["--print", "target-libdir", "--target", TARGET]))?;
        if !Path::new(&library).is_dir() {
            return None;
        }
        let version = ask(Command::new(&rustc).arg("-vV"))?;
        let sysroot = ask(Command::new(&rustc).args(["--print", "sysroot"]))?;
        let hidden = vec![(PathBuf::from(sysroot), "/rust")];
        Some(Self { cargo: cargo(), rustc, environment: Vec::new(), arguments: Vec::new(), hidden, version })
    }

    /// One that was unpacked to `root` from a distribution's packages: `usr/bin/rustc`, its libraries, and the source of
    /// the standard library. `None` when it does not run. Cargo and the linker `rust-lld` are the user's.
    pub fn unpacked(root: &Path) -> Option<Self> {
        let rustc = root.join("usr/bin/rustc");
        let libraries: Vec<PathBuf> = fs::read_dir(root.join("usr/lib"))
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_string_lossy().ends_with("-linux-gnu"))
            .collect();
        let libraries = std::env::join_paths(libraries).ok()?;
        let version = ask(Command::new(&rustc).arg("-vV").env("LD_LIBRARY_PATH", &libraries))?;
        let environment = vec![
            ("RUSTC", rustc.clone().into_os_string()),
            ("LD_LIBRARY_PATH", libraries),
            // Compiling the standard library is not stable; this toolchain is used for nothing else.
            ("RUSTC_BOOTSTRAP", "1".into()),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker()?.into_os_string()),
        ];
        let arguments = vec!["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="];
        // The library's source is reached both by the link in `usr/lib` and by the folder it points at.
        let hidden = vec![(root.to_owned(), "/rust")];
        Some(Self { cargo: cargo(), rustc, environment, arguments, hidden, version })
    }

    /// What compiles, by version: part of the name under which built components are kept.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the compiler is.
    pub fn rustc(&self) -> &Path {
        &self.rustc
    }

    /// Builds the guest in `source` (a folder with a `Cargo.toml`) and gives its component. `locked` takes the versions
    /// of its lock file and no others. The compiler's messages go to stderr. Guests that share a `target_dir` share the
    /// compiled standard library.
    pub fn build(&self, source: &Path, target_dir: &Path, locked: bool) -> Result<Vec<u8>, BuildError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::Io { what, path, source }
        };
        let source = fs::canonicalize(source).map_err(io("the guest's source is not there", source))?;
        // Cargo runs in the source's folder, where a relative path would mean another place.
        let target_dir = &std::path::absolute(target_dir).map_err(io("this is no folder", target_dir))?;
        let name = package_name(&source)?;
        let mut cargo = Command::new(&self.cargo);
        cargo
            .current_dir(&source)
            .args(["build", "--release", "--target", TARGET])
            .args(&self.arguments)
            .arg("--target-dir")
            .arg(target_dir)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags(&source))
            // Wrappers and flags are for the programs of this machine.
            .env_remove("RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("CARGO_BUILD_TARGET");
        if locked {
            cargo.arg("--locked");
        }
        let status = cargo.status().map_err(io("cargo cannot be started", &self.cargo))?;
        if !status.success() {
            return Err(BuildError::Cargo(source));
        }
        let module = target_dir.join(TARGET).join("release").join(name.replace('-', "_") + ".wasm");
        let core = fs::read(&module).map_err(io("the compiled guest cannot be read", &module))?;
        let fault = |fault| BuildError::Component { path: module.clone(), fault };
        let component = componentize(&core).map_err(fault)?;
        match inspect(&component).into_iter().next() {
            None => Ok(component),
            Some(found) => Err(fault(found)),
        }
    }

    /// The same for all guests of a folder: flags are part of what the standard library is compiled with, and neighbours
    /// share it.
    fn flags(&self, source: &Path) -> OsString {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(PathBuf::from(home).join(".cargo"))
        });
        let mut flags = OsString::new();
        let hidden = self.hidden.iter().cloned().chain(home.map(|home| (home, "/cargo")));
        let guests = source.parent().unwrap_or(source).to_owned();
        for (from, to) in hidden.chain([(guests, "/guests")]) {
            if !flags.is_empty() {
                flags.push("\u{1f}");
            }
            flags.push("--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        }
        flags
    }
}

fn cargo() -> PathBuf {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into()
}

/// The linker for WebAssembly: the one that rustup ships with every toolchain, or a distribution's `wasm-ld`.
fn linker() -> Option<PathBuf> {
    let rustup = || {
        let sysroot = PathBuf::from(ask(Command::new("rustc").args(["--print", "sysroot"]))?);
        let version = ask(Command::new("rustc").arg("-vV"))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        let linker = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        linker.is_file().then_some(linker)
    };
    rustup().or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("wasm-ld")).find(|file| file.is_file())
    })
}

/// What a program prints, without the end of its last line; `None` when it fails.
fn ask(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim_end().to_owned())
}

fn package_name(source: &Path) -> Result<String, BuildError> {
    let path = source.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|source| BuildError::Io {
        what: "the guest's manifest cannot be read",
        path: path.clone(),
        source,
    })?;
    let name = || {
        let document = toml::de::DeTable::parse(&text).ok()?;
        let package = document.get_ref().get("package")?;
        let name = package.get_ref().get("name")?.get_ref().as_str()?;
        Some(name.to_owned())
    };
    name().ok_or_else(|| BuildError::NoPackage(path.clone()))
}
