//! Packages that are made of the repository's for one test: other versions, other code, other words.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{host, machine};

/// A copy of `scenarios/<name>` in `folder` with `version` in its manifest, and with code that differs from that of any
/// other version: a section that means nothing is added to the component. Its source is not named, so that nothing
/// builds it.
///
/// # Panics
///
/// If the scenario is not built, or the folder cannot be written.
pub fn copy(name: &str, version: &str, folder: &Path) -> PathBuf {
    let from = machine::root().join("scenarios").join(name);
    fs::create_dir_all(folder.join("prompts")).expect("a folder for the package");
    for sound in fs::read_dir(from.join("prompts")).into_iter().flatten().flatten() {
        fs::copy(sound.path(), folder.join("prompts").join(sound.file_name()))
            .expect("a sound can be copied");
    }
    let manifest = fs::read_to_string(from.join("scenario.toml")).expect("the scenario has a manifest");
    let lines = manifest.lines().filter(|line| !line.starts_with("source") && !line.starts_with("language"));
    let lines = lines.map(|line| match line.starts_with("version") {
        true => format!("version = \"{version}\""),
        false => line.to_owned(),
    });
    write_manifest(folder, &(lines.collect::<Vec<_>>().join("\n") + "\n"));
    let mut component =
        fs::read(from.join(format!("{name}.wasm"))).expect("the scenario is built: ./zv guests");
    component.extend(custom_section("test", version.as_bytes()));
    fs::write(folder.join(format!("{name}.wasm")), component).expect("the component can be written");
    folder.to_owned()
}

/// A package as one file, by `zvonar pack`.
///
/// # Panics
///
/// If the package is at fault.
pub fn pack(package: &Path) -> Vec<u8> {
    let file = package.with_extension("zvonar");
    let done = host::zvonar(["pack"]).arg(package).arg("--out").arg(&file).output().expect("zvonar runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::read(file).expect("the archive was written")
}

/// Changes the manifest of a package.
///
/// # Panics
///
/// If it cannot be read or written.
pub fn edit_manifest(package: &Path, edit: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(package.join("scenario.toml")).expect("the package has a manifest");
    write_manifest(package, &edit(text));
}

fn write_manifest(package: &Path, text: &str) {
    fs::write(package.join("scenario.toml"), text).expect("the manifest can be written");
}

/// A section of a WebAssembly file that no program looks at. Name and content are shorter than 120 bytes together.
fn custom_section(name: &str, content: &[u8]) -> Vec<u8> {
    let size = u8::try_from(1 + name.len() + content.len()).expect("a short section");
    assert!(size < 128, "one byte holds the size");
    let length = u8::try_from(name.len()).expect("a short name");
    [&[0, size, length][..], name.as_bytes(), content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_means_nothing_is_written_as_the_format_wants_it() {
        assert_eq!(custom_section("ab", b"xyz"), [0, 6, 2, b'a', b'b', b'x', b'y', b'z']);
    }
}
