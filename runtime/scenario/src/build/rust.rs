//! Rust: whichever toolchain is there that compiles for [`TARGET`].
//!
//! Two kinds of toolchain will do: the user's own with the target `wasm32-unknown-unknown` (`rustup target add …`), or
//! an unpacked one without a library for that target, which is then compiled from its source (`-Zbuild-std`). The second
//! is for machines that reach a distribution's packages and crates.io but not the servers of rustup.
//!
//! Either way the result is the same: paths of the machine are taken out of it, so that equal sources give equal bytes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BuildError, Built, Language, ask, at, cache_folder, program, run};
use crate::component::componentize;

/// The target of every guest: no system below it at all.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// Where in the [`cache_folder`] the toolchain of [`Toolchain::unpacked`] is.
pub const UNPACKED: &str = "rust-web";

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

/// What to install when there is none.
pub(super) fn missing() -> String {
    format!(
        "no Rust toolchain here can compile for {TARGET}: run `rustup target add {TARGET}` (Rust itself: https://rustup.rs)"
    )
}

impl Toolchain {
    /// Whichever is there: the user's own, or the unpacked one in the [`cache_folder`].
    pub fn find() -> Option<Self> {
        let unpacked = || Self::unpacked(&cache_folder()?.join(UNPACKED));
        Self::of_the_user().or_else(unpacked)
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

    /// Builds the guest in `source`, a folder with a `Cargo.toml`.
    pub(super) fn build(&self, source: &Path, scratch: &Path, locked: bool) -> Built {
        let name = package_name(source)?;
        let mut cargo = Command::new(&self.cargo);
        cargo
            .current_dir(source)
            .args(["rustc", "--lib", "--release", "--target", TARGET])
            .args(&self.arguments)
            .arg("--target-dir")
            .arg(scratch)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags())
            // Wrappers and flags are for the programs of this machine.
            .env_remove("RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("CARGO_BUILD_TARGET");
        // A standard library that has to be compiled is compiled once, for whoever builds on this machine. What comes out
        // goes to `scratch` all the same: two scenarios may have one name.
        if let Some(cache) = cache_folder().filter(|_| self.compiles_std()) {
            cargo.env("CARGO_BUILD_BUILD_DIR", cache.join("guest-target"));
        }
        if locked {
            cargo.arg("--locked");
        }
        // Only for the scenario itself: a flag for all would have the standard library compiled anew for each folder.
        cargo.arg("--").arg(remap(source.parent().unwrap_or(source), "/guests"));
        run(&mut cargo, "cargo", source)?;
        let module = scratch.join(TARGET).join("release").join(name.replace('-', "_") + ".wasm");
        let core = fs::read(&module).map_err(at("the compiled scenario cannot be read", &module))?;
        Ok((module, componentize(&core)))
    }

    fn compiles_std(&self) -> bool {
        !self.arguments.is_empty()
    }

    /// For everything that is compiled: names of this machine stay out of it.
    fn flags(&self) -> OsString {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(PathBuf::from(home).join(".cargo"))
        });
        let hidden = self.hidden.iter().cloned().chain(home.map(|home| (home, "/cargo")));
        let flags: Vec<OsString> = hidden.map(|(from, to)| remap(&from, to)).collect();
        flags.join(OsStr::new("\u{1f}"))
    }
}

fn remap(from: &Path, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push("=");
    flag.push(to);
    flag
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
    rustup().or_else(|| program("wasm-ld"))
}

fn package_name(source: &Path) -> Result<String, BuildError> {
    let no_source = |what| BuildError::NoSource { folder: source.to_owned(), language: Language::Rust, what };
    let path = source.join("Cargo.toml");
    if !path.is_file() {
        return Err(no_source("there is no Cargo.toml"));
    }
    let text = fs::read_to_string(&path).map_err(at("the source's manifest cannot be read", &path))?;
    let name = || {
        let document = toml::de::DeTable::parse(&text).ok()?;
        let package = document.get_ref().get("package")?;
        let name = package.get_ref().get("name")?.get_ref().as_str()?;
        Some(name.to_owned())
    };
    name().ok_or_else(|| no_source("its Cargo.toml has no [package] with a name"))
}
