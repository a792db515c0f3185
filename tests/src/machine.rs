//! Who may use the machine at the same time, and what is installed on it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

static MACHINE: RwLock<()> = RwLock::new(());

/// For tests that measure milliseconds: nothing else of this test binary runs until the guard is dropped.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// For all other tests that place calls: any number at once, but not beside one that measures.
pub fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// Where the commands of a user keep what they have compiled.
///
/// # Panics
///
/// A user without a home has no such place.
pub fn modules() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    cache.expect("a home").join("zvonar/modules")
}

/// The program `name` of the PATH (or of the places that a user's PATH leaves out).
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// What cargo tells its children of the package that it runs. A cargo among them passes it on to build scripts, and
/// ring's is run anew, and all that stands on ring compiled anew, whenever it differs from the last time.
const OF_THE_PARENT: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// Cargo, at the root of the repository, as if nobody but the user had called it.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    for name in OF_THE_PARENT {
        cargo.env_remove(name);
    }
    cargo
}

/// Whether we are root.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no arguments, cannot fail and touches no memory.
    unsafe { libc::geteuid() == 0 }
}

/// Says aloud that a test does not run, and why. `./zv test` installs all that tests need and sets
/// `ZVONAR_TESTS_STRICT`, under which nothing may be skipped.
pub fn skip(why: &str) {
    assert!(std::env::var_os("ZVONAR_TESTS_STRICT").is_none(), "may not be skipped here: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Whether these scenarios have been built; if not, that is said aloud (see [`skip`]).
pub fn built(scenarios: &[&str]) -> bool {
    let missing = scenarios.iter().find(|name| {
        let component = root().join("scenarios").join(name).join(format!("{name}.wasm"));
        !component.is_file()
    });
    if let Some(name) = missing {
        skip(&format!("the scenario {name} is not built: ./zv guests"));
    }
    missing.is_none()
}

/// How to run a program that opens raw sockets (SIPp playing a pcap): directly for root, else by sudo if that asks
/// nothing. `None`: not at all.
pub fn with_raw_sockets(program: &Path) -> Option<Command> {
    if is_root() {
        return Some(Command::new(program));
    }
    let sudo = self::program("sudo")?;
    let silent = Command::new(&sudo).args(["-n", "true"]).output().is_ok_and(|done| done.status.success());
    silent.then(|| {
        let mut command = Command::new(sudo);
        command.arg("-n").arg(program);
        command
    })
}
