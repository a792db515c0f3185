//! The example scenarios: their components, and what else their packages need.
//!
//! Components are kept in the cache under the hash of all they are made of, so that a second run builds nothing.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use zvonar_scenario::build::{self, Language, Toolchain};
use zvonar_tests::{clock, machine};

use crate::{prompts, shell, toolchain};

/// The guests of `guest-examples/` that the demonstration and the measurements need, and the packages in `scenarios/` that
/// they belong to. All are in Rust.
const BASIC: [(&str, &str); 3] =
    [("rust-menu", "menu"), ("rust-bench", "bench"), ("rust-naughty", "naughty")];
/// The one that understands speech, in Rust too.
const HEARS: (&str, &str) = ("rust-appointment", SHARED);
/// The one that hands callers on to operators and other numbers, as a table says.
const HANDS_ON: (&str, &str) = ("rust-table", "table");
/// The others. A guest's name begins with its language.
const OTHERS: [(&str, &str); 9] = [
    HEARS,
    HANDS_ON,
    ("rust-debt", "debt"),
    ("rust-reception", "reception"),
    ("js-appointment", "appointment-js"),
    ("js-survey", "survey"),
    ("python-appointment", "appointment-python"),
    ("c-appointment", "appointment-c"),
    ("c-invitation", "invitation"),
];
/// The package that is laid once more for each of the other languages: they share its manifest, prompts and conversations.
const SHARED: &str = "appointment";
/// Changes when the recipe does, so that components of the old one are not taken.
const RECIPE: &str = "2";

/// Builds the guests without which there is no demonstration.
pub(crate) fn build_basic() -> Result<(), String> {
    build(&BASIC)?;
    prompts::make_tones()
}

/// Builds the one that understands speech, with its prompts.
pub(crate) fn build_hearing() -> Result<(), String> {
    if !prompts::speak(&[HEARS.1])? {
        return Err("no voice could be installed that speaks the robot's part".into());
    }
    build(&[HEARS])
}

/// Builds the one that hands callers on, with its prompts and its music. A machine without a voice gets the music alone.
pub(crate) fn build_handing_on() -> Result<(), String> {
    prompts::speak(&[HANDS_ON.1])?;
    prompts::make_music()?;
    build(&[HANDS_ON])
}

/// Builds every guest and puts it, with the prompts that are made rather than recorded, into its package. A language whose
/// tools cannot be had is told in a sentence, and its guests are left out; Rust is not one of them.
pub(crate) fn build_all() -> Result<(), String> {
    build_basic()?;
    // Before the components: the other packages get copies of the sounds.
    let voiced: Vec<&str> =
        OTHERS.iter().map(|(_, package)| *package).filter(|package| variant(package).is_none()).collect();
    prompts::speak(&voiced)?;
    prompts::make_music()?;
    build(&OTHERS)
}

fn build(guests: &[(&str, &str)]) -> Result<(), String> {
    let mut toolchains: BTreeMap<Language, Option<Toolchain>> = BTreeMap::new();
    for (guest, package) in guests {
        let language = guest.split('-').next().unwrap_or_default();
        let language = Language::named(language).map_err(|error| error.to_string())?;
        let toolchain = match toolchains.entry(language) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(tools(language)?),
        };
        if let Some(toolchain) = toolchain {
            if let Some(language) = variant(package) {
                lay(package, language)?;
            }
            build_one(guest, package, toolchain)?;
        }
    }
    Ok(())
}

/// The tools of a language. Without Rust nothing can be shown; any other language is left out, and that is said.
fn tools(language: Language) -> Result<Option<Toolchain>, String> {
    match toolchain::get(language) {
        Ok(toolchain) => Ok(Some(toolchain)),
        Err(why) if language == Language::Rust => Err(why),
        Err(why) => {
            eprintln!("the examples in {language} are left out: {why}");
            Ok(None)
        }
    }
}

fn build_one(guest: &str, package: &str, toolchain: &Toolchain) -> Result<(), String> {
    let root = machine::root();
    let source = root.join("guest-examples").join(guest);
    let key = key(&[&source, &root.join("wit")], toolchain).map_err(told("reading", &source))?;
    let kept = cache()?.join("guests").join(format!("{guest}-{key}.wasm"));
    if !kept.is_file() {
        let begun = clock::now();
        shell::step(&format!("compiling {guest} with {}", first_line(toolchain.version())));
        let scratch = cache()?.join("guest-scratch").join(guest);
        let component = toolchain.build(&source, &scratch, true).map_err(|error| error.to_string())?;
        put(&kept, &component)?;
        eprintln!("{guest}: {:.1} s", begun.elapsed().as_secs_f64());
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

/// For a package that is [`SHARED`] in another language: that language, as its name has it.
fn variant(package: &str) -> Option<&str> {
    package.strip_prefix(SHARED)?.strip_prefix('-')
}

/// Lays the package of another language: the shared one, with its own name, component, language and source.
fn lay(package: &str, language: &str) -> Result<(), String> {
    let scenarios = machine::root().join("scenarios");
    let (from, to) = (scenarios.join(SHARED), scenarios.join(package));
    let manifest = from.join("scenario.toml");
    let text = fs::read_to_string(&manifest).map_err(told("reading", &manifest))?;
    let own = |line: &str| match line.split(" = ").next() {
        Some("name") if line.ends_with(&format!("\"{SHARED}\"")) => format!("name = \"{package}\""),
        Some("component") => format!("component = \"{package}.wasm\""),
        Some("language") => format!("language = \"{language}\""),
        Some("source") => format!("source = \"../../guest-examples/{language}-{SHARED}\""),
        _ => line.to_owned(),
    };
    let text: String = text.lines().map(|line| own(line) + "\n").collect();
    put_if_new(&to.join("scenario.toml"), text.as_bytes())?;
    for folder in ["conversations", "prompts"] {
        let Ok(entries) = fs::read_dir(from.join(folder)) else { continue };
        // What is no longer in the shared package must not stay in this one.
        let mut names = Vec::new();
        for entry in entries.flatten() {
            let bytes = fs::read(entry.path()).map_err(told("reading", &entry.path()))?;
            put_if_new(&to.join(folder).join(entry.file_name()), &bytes)?;
            names.push(entry.file_name());
        }
        for entry in fs::read_dir(to.join(folder)).into_iter().flatten().flatten() {
            if !names.contains(&entry.file_name()) {
                fs::remove_file(entry.path()).map_err(told("removing", &entry.path()))?;
            }
        }
    }
    Ok(())
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
        } else if entry.file_name().is_some_and(|name| {
            name != "target" && name != "node_modules" && name != ".venv" && name != "__pycache__"
        }) {
            gather(&entry, files)?;
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn cache() -> Result<PathBuf, String> {
    build::cache_folder().ok_or_else(|| "neither XDG_CACHE_HOME nor HOME is set".into())
}

/// Writes beside and renames, so that nobody sees half a file.
pub(crate) fn put(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let part = file.with_extension(format!("{}.part", std::process::id()));
    let write = || {
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        fs::write(&part, bytes)?;
        fs::rename(&part, file)
    };
    write().map_err(told("writing", file))
}

fn put_if_new(file: &Path, bytes: &[u8]) -> Result<(), String> {
    if fs::read(file).is_ok_and(|there| there == bytes) { Ok(()) } else { put(file, bytes) }
}

pub(crate) fn told(doing: &'static str, what: &Path) -> impl Fn(io::Error) -> String {
    let what = what.display().to_string();
    move |error| format!("{doing} {what}: {error}")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}
