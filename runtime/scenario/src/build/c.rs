//! C: clang for `wasm32-wasi`, with the C library of WASI and no WASI.
//!
//! The C library gives `malloc`, strings and `snprintf`; whatever would reach a system (`printf`, files, the time) leaves
//! an import behind that no scenario may have, and is refused by name. The bindings are two generated files of the source,
//! `bindings/scenario.{c,h}`; the type of the component is added here, so that no object file has to be checked in.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::{StringEncoding, embed_component_metadata};

use super::{BuildError, Built, Language, ask, at, contract, program, run};
use crate::component::{ComponentFault, componentize};

/// A clang that compiles for WebAssembly, and the C library for it.
#[derive(Debug, Clone)]
pub struct Toolchain {
    clang: PathBuf,
    /// What is added to its arguments.
    arguments: Vec<String>,
    version: String,
}

/// What to install when there is none.
pub(super) fn missing() -> String {
    "no C compiler here can compile for WebAssembly: install Debian's packages `clang lld wasi-libc` and \
     `libclang-rt-14-dev-wasm32` (its number is clang's), or unpack a wasi-sdk and set WASI_SDK_PATH to its folder"
        .into()
}

impl Toolchain {
    /// The wasi-sdk of `WASI_SDK_PATH`, or the system's clang if it has a C library for WebAssembly.
    pub fn find() -> Option<Self> {
        let sdk = || {
            let sdk = PathBuf::from(std::env::var_os("WASI_SDK_PATH").filter(|path| !path.is_empty())?);
            let arguments = vec![format!("--sysroot={}", sdk.join("share/wasi-sysroot").display())];
            Self::working(sdk.join("bin/clang"), arguments)
        };
        sdk().or_else(Self::of_the_system)
    }

    /// The system's clang, with the packages of Debian and its relatives.
    fn of_the_system() -> Option<Self> {
        let clang = program("clang")?;
        let sysroot = Path::new("/usr");
        if !sysroot.join("lib/wasm32-wasi/libc.a").is_file() {
            return None;
        }
        let mut arguments = vec![format!("--sysroot={}", sysroot.display())];
        if program("wasm-ld").is_none() {
            arguments.push(format!("-fuse-ld={}", rustup_linker()?.display()));
        }
        Self::working(clang, arguments)
    }

    /// This one, if it has the library of what the processor cannot do (long division and the like): without it linking
    /// would fail later, with other words.
    fn working(clang: PathBuf, arguments: Vec<String>) -> Option<Self> {
        let mut question = Command::new(&clang);
        let file = ask(question.args(["--target=wasm32-wasi", "-print-libgcc-file-name"]))?;
        let version = ask(Command::new(&clang).arg("--version"))?;
        Path::new(&file).is_file().then_some(Self { clang, arguments, version })
    }

    /// What compiles, by version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Compiles all `*.c` of the source and of its `bindings/`.
    pub(super) fn build(&self, source: &Path, scratch: &Path) -> Built {
        let mut files = sources(source)?;
        if files.is_empty() {
            let what = "there is no *.c";
            return Err(BuildError::NoSource { folder: source.to_owned(), language: Language::C, what });
        }
        let bindings = source.join("bindings");
        files.extend(sources(&bindings)?);
        let module = scratch.join("scenario.core.wasm");
        let mut clang = Command::new(&self.clang);
        clang
            .current_dir(source)
            .args(["--target=wasm32-wasi", "-mexec-model=reactor", "-std=c17", "-Os", "-g1"])
            .args(["-Wall", "-Wextra"])
            // Paths of this machine stay out of the component.
            .arg(format!("-ffile-prefix-map={}=.", source.display()))
            .args(&self.arguments)
            .arg("-I")
            .arg(&bindings)
            .args(&files)
            // A scenario's stack is small; the heap begins below it.
            .args(["-Wl,-z,stack-size=65536", "-Wl,--stack-first"])
            .arg("-o")
            .arg(&module);
        run(&mut clang, "clang", source)?;
        let mut core = fs::read(&module).map_err(at("the compiled scenario cannot be read", &module))?;
        let (resolve, world) = contract::resolve();
        let typed = embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8);
        let component = match typed {
            Ok(()) => componentize(&core),
            Err(error) => Err(ComponentFault::NotEncoded(format!("{error:#}"))),
        };
        Ok((module, component))
    }
}

/// The C files of a folder, in order; none if there is no such folder.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(at("this folder cannot be read", folder))?.path();
        if path.extension() == Some(OsStr::new("c")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether Rust's own linker can link WebAssembly, so that no other is needed.
pub fn rust_links() -> bool {
    rustup_linker().is_some()
}

/// The linker that rustup ships with every toolchain, under the name by which it links WebAssembly.
fn rustup_linker() -> Option<PathBuf> {
    let sysroot = PathBuf::from(ask(Command::new("rustc").args(["--print", "sysroot"]))?);
    let hosts = fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
    hosts.flatten().map(|host| host.path().join("bin/gcc-ld/wasm-ld")).find(|file| file.is_file())
}
