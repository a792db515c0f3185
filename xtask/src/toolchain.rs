//! The tools of each language: found, or installed with what the machine's package registries have.
//!
//! * Rust: the user's own when it has the target `wasm32-unknown-unknown`. Otherwise the compiler that Debian builds its
//!   browsers with is unpacked into the cache: it has the WebAssembly backend, needs no root and leaves the system's
//!   packages alone (installed, it would want to replace rustup).
//! * C: Debian's clang with the C library of WASI, installed by apt.
//! * JavaScript and Python: an npm package and a package of PyPI, in folders of the cache that are named after their
//!   version. Node.js and Python's venv come from Debian when they are missing.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use zvonar_scenario::build::{
    self, Language, Toolchain, javascript, python,
    rust::{self, TARGET, UNPACKED},
};
use zvonar_tests::machine;

use crate::{
    apt::{self, Package},
    guest::{cache, told},
    shell,
};

/// Debian's compiler. The packages that its own name and its libraries' versions hide behind are looked up.
const COMPILER: &str = "rustc-web";
const SOURCE: &str = "rust-web-src";
/// What the compiler's own libraries need of the system. Most machines have them.
const SYSTEM_LIBRARIES: [&str; 6] = ["libedit2", "libffi8", "libxml2", "libz3-4", "libzstd1", "zlib1g"];

/// The tools of a language; installs them if they are not here. The error is a sentence or two.
pub(crate) fn get(language: Language) -> Result<Toolchain, String> {
    let anywhere = machine::root();
    if let Ok(toolchain) = Toolchain::find(language, &anywhere) {
        return Ok(toolchain);
    }
    match language {
        Language::Rust => install_rust()?,
        Language::C => install_clang()?,
        Language::JavaScript => install_javascript()?,
        Language::Python => install_python()?,
    }
    Toolchain::find(language, &anywhere).map_err(|error| error.to_string())
}

fn install_rust() -> Result<(), String> {
    let tree = cache()?.join(UNPACKED);
    shell::step(&format!(
        "no library for {TARGET} here: unpacking Debian's {COMPILER} into {}",
        tree.display()
    ));
    unpack_compiler(&tree).map_err(|why| {
        format!("{why}\n(where rustup's servers can be reached, `rustup target add {TARGET}` is enough)")
    })?;
    if rust::Toolchain::unpacked(&tree).is_none() {
        let mut words = vec!["install", "-y", "--no-install-recommends"];
        words.extend(SYSTEM_LIBRARIES);
        apt::get(&words)?;
    }
    match rust::Toolchain::unpacked(&tree) {
        Some(_) => Ok(()),
        None => Err(format!(
            "{COMPILER} was unpacked into {} but does not run; rust-lld of rustup (or Debian's lld) is needed too",
            tree.display()
        )),
    }
}

/// Debian's clang. The package with what the processor cannot do has clang's version in its name.
fn install_clang() -> Result<(), String> {
    if machine::program("apt-get").is_none() {
        return Err("this is not a Debian: unpack a wasi-sdk and set WASI_SDK_PATH to its folder".into());
    }
    let version = || depends("clang").iter().find_map(|name| name.strip_prefix("clang-").map(str::to_owned));
    let version = match version() {
        Some(version) => version,
        None => {
            apt::get(&["update"])?;
            version()
                .ok_or("this Debian has no clang: unpack a wasi-sdk and set WASI_SDK_PATH to its folder")?
        }
    };
    let library = format!("libclang-rt-{version}-dev-wasm32");
    let mut packages = vec!["clang", "wasi-libc", &library];
    // Rust's own linker does as well; a machine that has come this far has it.
    if machine::program("wasm-ld").is_none() && !build::c::rust_links() {
        packages.push("lld");
    }
    apt::install(&packages)
}

fn install_javascript() -> Result<(), String> {
    apt::ensure(&[Package { name: "nodejs", program: "node" }, Package { name: "npm", program: "npm" }])?;
    let home = javascript::home().ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    let package = format!("{}@{}", javascript::TOOL, javascript::VERSION);
    shell::step(&format!("installing {package} from npm into {}", home.display()));
    fs::create_dir_all(&home).map_err(told("creating", &home))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--loglevel=warn", "--prefix"])
        .arg(&home)
        .arg(package);
    shell::run_again(npm)
}

fn install_python() -> Result<(), String> {
    apt::ensure(&[Package { name: "python3-venv", program: "python3" }])?;
    let home = python::home().ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    let package = format!("{}=={}", python::TOOL, python::VERSION);
    shell::step(&format!("installing {package} from PyPI into {}", home.display()));
    let venv = || {
        // What a stopped run left behind is no environment.
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&home);
        shell::run(&mut venv)
    };
    if venv().is_err() {
        // Debian's python3 comes without what makes environments.
        apt::install(&["python3-venv"])?;
        venv()?;
    }
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).arg(package);
    shell::run_again(pip)
}

/// Downloads Debian's compiler and unpacks what is needed of it, about 400 MB.
fn unpack_compiler(tree: &Path) -> Result<(), String> {
    if machine::program("apt-get").is_none() {
        return Err(format!(
            "no Rust toolchain here can compile for {TARGET}: run `rustup target add {TARGET}`"
        ));
    }
    if depends("libstd-rust-web-dev").is_empty() {
        apt::get(&["update"])?;
    }
    let library =
        depends("libstd-rust-web-dev").into_iter().find(|name| name.starts_with("libstd-rust-web-"));
    let library =
        library.ok_or_else(|| format!("this Debian has no {COMPILER}: run `rustup target add {TARGET}`"))?;
    let backend = depends(&library).into_iter().find(|name| name.starts_with("libllvm"));
    let mut packages = vec![COMPILER.to_owned(), "libstd-rust-web-dev".into(), library, SOURCE.into()];
    packages.extend(backend);

    let fresh = tree.with_extension(format!("{}.part", std::process::id()));
    let debs = fresh.join("debs");
    fs::create_dir_all(&debs).map_err(told("creating", &debs))?;
    let download = || {
        let mut command = Command::new("apt-get");
        command.current_dir(&debs).args(["-q", "download"]).args(&packages);
        shell::run(&mut command)
    };
    // The lists may be older than what the mirror still has.
    if download().is_err() {
        apt::get(&["update"])?;
        download()?;
    }
    for deb in fs::read_dir(&debs).map_err(told("reading", &debs))?.flatten() {
        unpack(&deb.path(), &fresh)?;
    }
    fs::remove_dir_all(&debs).map_err(told("removing", &debs))?;
    // Somebody else may have been faster; theirs is as good.
    let _ = fs::remove_dir_all(tree);
    fs::rename(&fresh, tree).map_err(told("naming", tree))
}

/// Unpacks one package; of the source only the standard library, a tenth of it.
fn unpack(deb: &Path, to: &Path) -> Result<(), String> {
    let name = deb.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(told("unpacking", deb))?;
    let mut tar = Command::new("tar");
    tar.arg("-x").arg("-C").arg(to).stdin(reader.stdout.take().expect("the output was asked for"));
    if name.starts_with(SOURCE) {
        tar.args(["--wildcards", "./usr/lib/rustlib/src/rust", "./usr/src/rustc-*/library"]);
        tar.args([
            "--exclude=./usr/src/rustc-*/library/vendor",
            "--exclude=./usr/src/rustc-*/library/stdarch/examples",
        ]);
    }
    shell::run(&mut tar)?;
    match reader.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("dpkg-deb could not read {name} ({status})")),
        Err(error) => Err(format!("dpkg-deb could not read {name}: {error}")),
    }
}

/// The packages that a package depends on, as apt's lists have it; empty when they have no such package.
fn depends(package: &str) -> Vec<String> {
    let output = Command::new("apt-cache").args(["depends", package]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned).collect()
}
