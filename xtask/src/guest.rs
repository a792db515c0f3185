//! The example scenarios: a toolchain that can compile them, their components, and what else their packages need.
//!
//! The user's own Rust is taken when it has the target `wasm32-unknown-unknown`. Otherwise the compiler that Debian
//! builds its browsers with is unpacked into the cache: it has the WebAssembly backend, needs no root and leaves the
//! system's packages alone (installed, it would want to replace rustup).
//!
//! Components are kept in the cache under the hash of all they are made of, so that a second run builds nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};
use zvonar_scenario::build::{self, TARGET, Toolchain, UNPACKED};
use zvonar_tests::machine;

use crate::shell;

/// A guest of `guest-examples/`, and the package in `scenarios/` that it belongs to.
const GUESTS: [(&str, &str); 3] =
    [("rust-menu", "menu"), ("rust-bench", "bench"), ("rust-naughty", "naughty")];
/// Changes when the recipe does, so that components of the old one are not taken.
const RECIPE: &str = "1";
/// Debian's compiler. The packages that its own name and its libraries' versions hide behind are looked up.
const COMPILER: &str = "rustc-web";
const SOURCE: &str = "rust-web-src";
/// What the compiler's own libraries need of the system. Most machines have them.
const SYSTEM_LIBRARIES: [&str; 6] = ["libedit2", "libffi8", "libxml2", "libz3-4", "libzstd1", "zlib1g"];

/// Builds every guest and puts it, with the prompts that are made rather than recorded, into its package.
pub(crate) fn build_all() -> Result<(), String> {
    let mut toolchain = None;
    for (guest, package) in GUESTS {
        build_one(guest, package, &mut toolchain)?;
    }
    make_prompts()
}

fn build_one(guest: &str, package: &str, toolchain: &mut Option<Toolchain>) -> Result<(), String> {
    let root = machine::root();
    let source = root.join("guest-examples").join(guest);
    let toolchain = match toolchain {
        Some(toolchain) => toolchain,
        None => toolchain.insert(find_toolchain()?),
    };
    let key = key(&[&source, &root.join("wit")], toolchain).map_err(told("reading", &source))?;
    let kept = cache()?.join("guests").join(format!("{guest}-{key}.wasm"));
    if !kept.is_file() {
        shell::step(&format!("compiling {guest} with {}", first_line(toolchain.version())));
        let target = cache()?.join("guest-target").join(short(toolchain.version()));
        let component = toolchain.build(&source, &target, true).map_err(|error| error.to_string())?;
        put(&kept, &component)?;
    }
    let component = fs::read(&kept).map_err(told("reading", &kept))?;
    let place = root.join("scenarios").join(package).join(format!("{package}.wasm"));
    if fs::read(&place).is_ok_and(|there| there == component) {
        return Ok(());
    }
    put(&place, &component)?;
    eprintln!("scenarios/{package}/{package}.wasm: {} KB", component.len().div_ceil(1000));
    Ok(())
}

/// The user's toolchain, the unpacked one, or the unpacked one after unpacking it.
fn find_toolchain() -> Result<Toolchain, String> {
    if let Ok(toolchain) = Toolchain::find() {
        return Ok(toolchain);
    }
    let tree = cache()?.join(UNPACKED);
    shell::step(&format!(
        "no library for {TARGET} here: unpacking Debian's {COMPILER} into {}",
        tree.display()
    ));
    unpack_compiler(&tree).map_err(|why| {
        format!("{why}\n(where rustup's servers can be reached, `rustup target add {TARGET}` is enough)")
    })?;
    if Toolchain::unpacked(&tree).is_none() {
        let mut words = vec!["install", "-y", "--no-install-recommends"];
        words.extend(SYSTEM_LIBRARIES);
        apt_get_as_root(&words)?;
    }
    Toolchain::unpacked(&tree).ok_or_else(|| {
        format!(
            "{COMPILER} was unpacked into {} but does not run; rust-lld of rustup (or Debian's lld) is needed too",
            tree.display()
        )
    })
}

/// Downloads Debian's compiler and unpacks what is needed of it, about 400 MB.
fn unpack_compiler(tree: &Path) -> Result<(), String> {
    if machine::program("apt-get").is_none() {
        return Err(format!(
            "no Rust toolchain here can compile for {TARGET}: run `rustup target add {TARGET}`"
        ));
    }
    if depends("libstd-rust-web-dev").is_empty() {
        apt_get_as_root(&["update"])?;
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
        apt_get_as_root(&["update"])?;
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

fn apt_get_as_root(arguments: &[&str]) -> Result<(), String> {
    let mut words = if machine::is_root() { vec![] } else { vec!["sudo"] };
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]);
    words.extend(arguments);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    shell::run(&mut command)
}

/// The benchmark's prompts. The two pitches are how the instrument tells them apart; `long` is a minute so that the
/// seam of its loop is rare.
fn make_prompts() -> Result<(), String> {
    let folder = machine::root().join("scenarios/bench/prompts");
    for (name, hz, seconds) in [("a", 400.0, 5), ("b", 1000.0, 5), ("long", 400.0, 60)] {
        let file = folder.join(format!("{name}.wav"));
        let wave = tone(hz, seconds);
        if fs::read(&file).is_ok_and(|there| there == wave) {
            continue;
        }
        put(&file, &wave)?;
    }
    Ok(())
}

/// A sine as a WAV file: 8 kHz, 16 bits, mono, amplitude 8000.
fn tone(hz: f64, seconds: u32) -> Vec<u8> {
    let samples = 8000 * seconds;
    let size = samples * 2;
    let mut wave = Vec::with_capacity(44 + size as usize);
    wave.extend(b"RIFF");
    wave.extend((36 + size).to_le_bytes());
    wave.extend(b"WAVEfmt ");
    wave.extend(16u32.to_le_bytes());
    for word in [1u16, 1] {
        wave.extend(word.to_le_bytes());
    }
    wave.extend(8000u32.to_le_bytes());
    wave.extend(16_000u32.to_le_bytes());
    for word in [2u16, 16] {
        wave.extend(word.to_le_bytes());
    }
    wave.extend(b"data");
    wave.extend(size.to_le_bytes());
    for n in 0..samples {
        let angle = 2.0 * std::f64::consts::PI * hz * (f64::from(n) + 0.5) / 8000.0;
        wave.extend(((8000.0 * angle.sin()) as i16).to_le_bytes());
    }
    wave
}

/// The hash of all that a component is made of: the guest, the contract, the compiler, the recipe.
fn key(folders: &[&Path], toolchain: &Toolchain) -> io::Result<String> {
    let mut files = Vec::new();
    for folder in folders {
        gather(folder, &mut files)?;
    }
    let mut hash = Sha256::new();
    for text in [RECIPE, toolchain.version()] {
        hash.update(text);
    }
    for file in files {
        // The name within the repository: the same sources elsewhere are the same.
        hash.update(file.strip_prefix(machine::root()).unwrap_or(&file).to_string_lossy().as_bytes());
        hash.update(fs::read(&file)?);
    }
    Ok(hex(&hash.finalize()))
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_file() {
            // A readme is no source.
            if entry.extension().is_some_and(|extension| extension != "md") {
                files.push(entry);
            }
        } else if entry.file_name().is_some_and(|name| name != "target") {
            gather(&entry, files)?;
        }
    }
    Ok(())
}

fn short(text: &str) -> String {
    hex(&Sha256::digest(text))[..12].to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cache() -> Result<PathBuf, String> {
    build::cache_folder().ok_or_else(|| "neither XDG_CACHE_HOME nor HOME is set".into())
}

/// Writes beside and renames, so that nobody sees half a file.
fn put(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let part = file.with_extension(format!("{}.part", std::process::id()));
    let write = || {
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        fs::write(&part, bytes)?;
        fs::rename(&part, file)
    };
    write().map_err(told("writing", file))
}

fn told(doing: &'static str, what: &Path) -> impl Fn(io::Error) -> String {
    let what = what.display().to_string();
    move |error| format!("{doing} {what}: {error}")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}
