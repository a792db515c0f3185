//! The drawing of the layers in ARCHITECTURE.md, compared with what the manifests say.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use zvonar_tests::machine;

/// A file that grows past this usually has a second noun in it.
const LONG_FILE: usize = 700;

/// What is asked of `cargo metadata`. Read by hand: the crate `cargo_metadata` switches on a feature of serde_json, with
/// which the whole host would be compiled once more for the tests.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
    /// `None`: an ordinary one.
    kind: Option<String>,
    path: Option<PathBuf>,
}

fn packages() -> Vec<Package> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let done = cargo.current_dir(root()).args(["metadata", "--no-deps", "--format-version", "1"]).output();
    let done = done.expect("cargo is there: it built this test");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice::<Metadata>(&done.stdout).expect("cargo describes the workspace").packages
}

fn root() -> PathBuf {
    machine::root()
}

/// The name in the drawing: the folder under `runtime/`.
fn drawn(package: &Package) -> Option<String> {
    let folder = package.manifest_path.parent()?;
    let name = folder.file_name()?.to_string_lossy().into_owned();
    (folder.parent()?.file_name()? == "runtime").then_some(name)
}

/// Crate and layer, as the table of ARCHITECTURE.md has them: `| 1 | `sip` | ...`.
fn drawing() -> BTreeMap<String, u32> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let layer = cells.next()?.parse().ok()?;
            Some((cells.next()?.strip_prefix('`')?.strip_suffix('`')?.to_owned(), layer))
        })
        .collect()
}

#[test]
fn imports_point_down_only() {
    let _machine = machine::shared();
    let layers = drawing();
    let packages = packages();
    let names: BTreeMap<&str, String> =
        packages.iter().filter_map(|package| Some((package.name.as_str(), drawn(package)?))).collect();
    let mut faults = Vec::new();
    for package in &packages {
        let Some(name) = drawn(package) else { continue };
        let Some(layer) = layers.get(name.as_str()) else {
            faults.push(format!("runtime/{name} is not in the drawing of the layers"));
            continue;
        };
        for dependency in &package.dependencies {
            let Some(below) = names.get(dependency.name.as_str()) else { continue };
            // A test may use anything that does not use its own crate; cargo refuses the rest.
            if dependency.kind.as_deref() == Some("dev") {
                continue;
            }
            match layers.get(below.as_str()) {
                Some(lower) if lower < layer => {}
                Some(lower) => faults.push(format!("{name} (layer {layer}) imports {below} (layer {lower})")),
                None => {}
            }
            if name == "store" {
                faults.push(format!("store imports nothing of ours, but it imports {below}"));
            }
        }
    }
    let crates: Vec<&String> = names.values().collect();
    for drawn in layers.keys().filter(|drawn| !crates.contains(drawn)) {
        faults.push(format!("ARCHITECTURE.md draws {drawn}, but there is no runtime/{drawn}"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(names.len() >= 10, "only {names:?} were looked at");
}

#[test]
fn only_the_tools_import_the_tests() {
    let _machine = machine::shared();
    for package in packages() {
        let imports = package.dependencies.iter().any(|dependency| dependency.name == "zvonar-tests");
        assert!(!imports || package.name == "xtask", "{} imports zvonar-tests", package.name);
    }
}

#[test]
fn every_dependency_is_named_in_the_root_manifest_with_a_reason() {
    let _machine = machine::shared();
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("the root manifest");
    let section = text.split("[workspace.dependencies]").nth(1).expect("it lists the dependencies");
    let section = section.split("\n[").next().expect("a section has a beginning");
    for line in section.lines().filter(|line| line.contains('=') && !line.trim_start().starts_with('#')) {
        assert!(line.contains('#') || line.contains("path ="), "no reason given for: {line}");
    }
    for package in packages() {
        let manifest = fs::read_to_string(&package.manifest_path).expect("a manifest of ours");
        // Ours are named by their path where other features than the usual ones are wanted.
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_none()) {
            let inherited = manifest.lines().any(|line| {
                line.trim_start().starts_with(dependency.rename.as_ref().unwrap_or(&dependency.name).as_str())
                    && line.contains("workspace")
            });
            assert!(inherited, "{}: {} is not taken from the root manifest", package.name, dependency.name);
        }
    }
}

/// Not a rule but a question, so it only speaks.
#[test]
fn long_files_are_named() {
    let _machine = machine::shared();
    let mut looked = 0;
    let mut folders = vec![root().join("runtime"), root().join("tests"), root().join("xtask")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                looked += 1;
                let lines = lines(&path);
                if lines > LONG_FILE {
                    eprintln!("{} has {lines} lines: is there a second noun in it?", path.display());
                }
            }
        }
    }
    assert!(looked > 30, "only {looked} files were looked at");
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}
