//! A package as one file: the same there and back, and what is no package is refused in words, unread.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use zvonar_scenario::{Package, archive};

use crate::line::scenarios;

/// A file for [`zip`], with everything about it that can be wrong.
#[derive(Clone)]
struct File<'f> {
    name: &'f [u8],
    bytes: &'f [u8],
    flags: u16,
    method: u16,
    /// What both headers say of the size; `None`: the truth.
    size: Option<u32>,
    /// The upper half of the Unix attributes.
    mode: u32,
    /// What the file's own header calls it; `None`: the same.
    own_name: Option<&'f [u8]>,
    /// Its bytes are those of the file before it.
    over_the_last: bool,
}

fn file<'f>(name: &'f str, bytes: &'f [u8]) -> File<'f> {
    let name = name.as_bytes();
    File {
        name,
        bytes,
        flags: 0,
        method: 0,
        size: None,
        mode: 0o100_644,
        own_name: None,
        over_the_last: false,
    }
}

/// An archive, written by hand and without the runtime's own writer.
fn zip(files: &[File<'_>]) -> Vec<u8> {
    let (mut out, mut list, mut last) = (Vec::new(), Vec::new(), 0);
    for file in files {
        let offset = if file.over_the_last { last } else { out.len() as u32 };
        last = offset;
        let size = file.size.unwrap_or(file.bytes.len() as u32);
        let packed =
            if file.method == 0 { size.min(file.bytes.len() as u32) } else { file.bytes.len() as u32 };
        let packed = if file.method == 0 && file.size.is_some() { size } else { packed };
        let common = |name: &[u8]| {
            let mut common = Vec::new();
            common.extend([20u16, file.flags, file.method, 0, 0x21].map(u16::to_le_bytes).concat());
            common.extend(crc32(file.bytes).to_le_bytes());
            common.extend(packed.to_le_bytes());
            common.extend(size.to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0, 0]);
            common
        };
        if !file.over_the_last {
            let own = file.own_name.unwrap_or(file.name);
            out.extend(b"PK\x03\x04");
            out.extend(common(own));
            out.extend(own);
            out.extend(file.bytes);
        }
        list.extend(b"PK\x01\x02");
        list.extend((3u16 << 8 | 20).to_le_bytes());
        list.extend(common(file.name));
        list.extend([0; 6]);
        list.extend((file.mode << 16).to_le_bytes());
        list.extend(offset.to_le_bytes());
        list.extend(file.name);
    }
    let start = out.len() as u32;
    out.extend(&list);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([(files.len() as u16).to_le_bytes(); 2].concat());
    out.extend((list.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// Bit by bit, from the standard.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

fn refused(archive: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let faults = archive::unpack(archive, &folder.path().join("into")).expect_err("it has faults").0;
    faults.iter().map(ToString::to_string).collect()
}

fn menu() -> Package {
    Package::open(&scenarios().join("menu")).unwrap_or_else(|faults| panic!("\n{faults}\n"))
}

#[test]
fn an_archive_holds_the_package_and_has_its_address() {
    let package = menu();
    let packed = archive::pack(&package).unwrap();
    assert_eq!(packed, archive::pack(&menu()).unwrap(), "the same content gives the same bytes");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(archive::file_name(&package));
    assert!(file.ends_with("menu-0.1.0.zvonar"), "{}", file.display());
    fs::write(&file, &packed).unwrap();
    let unpacked = Package::open_any(&file, &folder.path().join("unpacked")).unwrap();
    assert_eq!((&unpacked.digest, &unpacked.sha256), (&package.digest, &package.sha256));
    assert_eq!(unpacked.manifest, package.manifest);
    let names = |package: &Package| package.prompts.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&unpacked), names(&package));
    assert_eq!(unpacked.conversations.len(), package.conversations.len());
    for (name, sound) in &package.prompts {
        assert_eq!(fs::read(sound).unwrap(), fs::read(&unpacked.prompts[name]).unwrap(), "{name}");
    }
    assert_eq!(archive::pack(&unpacked).unwrap(), packed);
}

#[test]
fn the_address_follows_every_file_of_the_package_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    archive::unpack(&archive::pack(&menu()).unwrap(), folder.path()).unwrap();
    let digest = || Package::open(folder.path()).unwrap().digest;
    let before = digest();
    fs::create_dir_all(folder.path().join("src")).unwrap();
    fs::create_dir_all(folder.path().join("conversations")).unwrap();
    for other in ["src/lib.rs", "notes.txt", "prompts/notes.txt", "conversations/notes.txt"] {
        fs::write(folder.path().join(other), "not of the package").unwrap();
        assert_eq!(digest(), before, "{other}");
    }
    let mut seen = vec![before];
    let manifest = fs::read_to_string(folder.path().join("scenario.toml")).unwrap();
    let sound = fs::read(folder.path().join("prompts/menu.wav")).unwrap();
    for (name, bytes) in [
        ("README.md", b"another word".to_vec()),
        ("conversations/zz.yaml", b"title: no\n".to_vec()),
        ("scenario.toml", format!("{manifest}\n# a comment\n").into_bytes()),
        ("prompts/zz-another.wav", sound.clone()),
        ("prompts/menu.wav", sound[..sound.len() - 2].to_vec()),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        let now = digest();
        assert!(!seen.contains(&now), "{name}");
        seen.push(now);
    }
}

#[test]
fn a_package_that_changes_while_it_is_packed_is_not_packed_under_its_old_address() {
    let folder = tempfile::tempdir().unwrap();
    archive::unpack(&archive::pack(&menu()).unwrap(), folder.path()).unwrap();
    let package = Package::open(folder.path()).unwrap();
    fs::write(folder.path().join("README.md"), "another").unwrap();
    fs::remove_file(folder.path().join("prompts/menu.wav")).unwrap();
    let told = archive::pack(&package).unwrap_err().to_string();
    assert!(told.contains("README.md: it changed while the package was being packed"), "{told}");
    assert!(told.contains("menu.wav: it cannot be read"), "{told}");
}

#[test]
fn what_is_no_archive_of_a_package_is_refused_in_words() {
    let manifest = file("scenario.toml", b"name");
    let sound = zip(&[manifest.clone(), file("a.wav", b"sound")]);
    let cut = &sound[..sound.len() - 30];
    let mut longer = sound.clone();
    longer.extend(b"and something after it");
    let mut shifted = b"before".to_vec();
    shifted.extend(&sound);
    let many: Vec<String> = (0..2_501).map(|n| format!("{n}.txt")).collect();
    let many: Vec<File<'_>> = many.iter().map(|name| file(name, b"")).collect();
    for (archive, words) in [
        (
            b"".to_vec(),
            "this is no package: a package is a ZIP made by `zvonar build --pack`, and this begins with nothing at all",
        ),
        (
            b"\x1f\x8b\x08\0 a gzip, and some more of it".to_vec(),
            "this is no package: a package is a ZIP made by `zvonar build --pack`, and this begins with [1f, 8b, 08, 00]",
        ),
        (cut.to_vec(), "the archive is damaged: its end is missing"),
        (longer, "the archive is damaged: its end is missing"),
        (shifted, "the archive is damaged: its list of files is not where it says"),
        (zip(&many), "the archive has 2501 files; at most 2500 are taken"),
        (zip(&[file("README.md", b"")]), "the archive has no scenario.toml"),
        (
            zip(&[file("menu/scenario.toml", b"")]),
            "the archive has no scenario.toml at its top; it is in `menu`: pack what is in that folder",
        ),
    ] {
        assert_eq!(refused(&archive), [words]);
    }
    assert_eq!(
        refused(&vec![0; 129 << 20]),
        ["the archive has 135266304 bytes; at most 134217728 are taken"]
    );
}

#[test]
fn every_file_that_is_not_taken_is_named_and_none_is_read() {
    let bomb = vec![0; 1 << 16];
    let found = refused(&zip(&[
        file("../../etc/passwd", b""),
        file("/etc/passwd", b""),
        file("C:/windows", b""),
        file("prompts\\menu.wav", b""),
        file("prompts//menu.wav", b""),
        file("a\nb", b""),
        File { name: b"\xcc\xe5\xed\xfe.wav", ..file("", b"") },
        file(&"x".repeat(600), b""),
        File { mode: 0o120_777, ..file("link.wav", b"/etc/passwd") },
        File { mode: 0o020_644, ..file("device", b"") },
        file("scenario.toml", b"name"),
        file("scenario.toml", b"another"),
        File { flags: 1, ..file("secret.wav", b"sound") },
        File { method: 12, ..file("bzip2.wav", b"sound") },
        File { size: Some(65 << 20), method: 8, ..file("menu.wasm", &bomb) },
        File { size: Some(2 << 20), method: 8, ..file("conversations/a.yaml", &bomb) },
        File { size: Some(3), method: 0, ..file("short.wav", b"") },
        File { own_name: Some(b"other.wav"), ..file("one.wav", b"sound") },
        file("menu", b""),
        file("menu/a.wav", b""),
        file("large.wav", b"ten bytes."),
        File { over_the_last: true, ..file("large.wav.copy", b"ten bytes.") },
    ]));
    let long = format!("{}: its name is too long", "x".repeat(512));
    let expected = [
        "../../etc/passwd: its path leads out of the archive",
        "/etc/passwd: its path is absolute; paths of an archive begin inside it",
        "C:/windows: its path is absolute; paths of an archive begin inside it",
        "prompts\\\\menu.wav: its path has a backslash; folders are parted by `/`",
        "prompts//menu.wav: its path has an empty part",
        "a\\nb: its name has control characters",
        "\u{fffd}\u{fffd}\u{fffd}\u{fffd}.wav: its name is not UTF-8",
        &long,
        "link.wav: it is a link; a package holds files",
        "device: it is no ordinary file",
        "scenario.toml: it is in the archive twice",
        "secret.wav: it is encrypted",
        "bzip2.wav: it is compressed by method 12; only deflate is read",
        "menu.wasm: it has 68157440 bytes; at most 67108864 are taken of such a file",
        "conversations/a.yaml: it has 2097152 bytes; at most 1048576 are taken of such a file",
        "one.wav: its own header says otherwise than the archive's list",
        "large.wav.copy: its own header says otherwise than the archive's list",
        "menu/a.wav: `menu` is a file and a folder at once",
    ];
    for words in expected {
        assert!(found.iter().any(|found| found == words), "{words:?} is not among {found:#?}");
    }
}

#[test]
fn a_bomb_is_known_before_it_goes_off() {
    // By its own account: many files that are each allowed.
    let packed = vec![0; 100];
    let names: Vec<String> = (0..5).map(|n| format!("{n}.wav")).collect();
    let mut files = vec![file("scenario.toml", b"name")];
    files.extend(names.iter().map(|name| File { size: Some(30 << 20), method: 8, ..file(name, &packed) }));
    assert_eq!(
        refused(&zip(&files)),
        ["the files of the archive come to 157286404 bytes; at most 134217728 are taken"]
    );

    // By a lie: a megabyte of zeros that claims to be ten bytes.
    let package = menu();
    let folder = tempfile::tempdir().unwrap();
    archive::unpack(&archive::pack(&package).unwrap(), folder.path()).unwrap();
    fs::write(folder.path().join("README.md"), vec![b' '; 1 << 20]).unwrap();
    let mut packed = archive::pack(&Package::open(folder.path()).unwrap()).unwrap();
    let size = (1u32 << 20).to_le_bytes();
    let places: Vec<usize> =
        packed.windows(4).enumerate().filter(|(_, bytes)| **bytes == size).map(|(at, _)| at).collect();
    assert_eq!(places.len(), 2, "once in the file's own header, once in the list");
    for at in places {
        packed[at..at + 4].copy_from_slice(&10u32.to_le_bytes());
    }
    assert_eq!(
        refused(&packed),
        [
            "README.md: it holds more bytes than the archive says: this is how a bomb is made, so it was not read"
        ]
    );

    // By files that share their bytes: the first one's reach into the second's.
    let bytes = zip(&[
        file("scenario.toml", b"name"),
        File { size: Some(40), ..file("a.wav", b"sound") },
        file("b.wav", b"sound"),
    ]);
    assert_eq!(refused(&bytes), ["b.wav: its bytes lie over those of another: this is how a bomb is made"]);

    // By two names for the same bytes.
    let mut bytes = zip(&[file("scenario.toml", b"name"), file("a.wav", b"sound"), file("b.wav", b"sound")]);
    let second = bytes.windows(5).position(|found| found == b"b.wav").unwrap() - 30;
    let first = bytes.windows(5).position(|found| found == b"a.wav").unwrap() - 30;
    // The second file's own header stays where it is, and its long name reaches into nothing: point the list of it at the
    // first one, whose name is then another.
    let list = bytes.windows(4).rposition(|found| found == (second as u32).to_le_bytes()).unwrap();
    bytes[list..list + 4].copy_from_slice(&(first as u32).to_le_bytes());
    assert_eq!(refused(&bytes), ["b.wav: its own header says otherwise than the archive's list"]);
}

#[test]
fn a_file_of_five_hundred_megabytes_is_refused_by_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.zvonar");
    // Sparse: nobody has such a disk to spare, and nobody reads it.
    fs::File::create(&file).unwrap().set_len(500 << 20).unwrap();
    let faults = Package::open_any(&file, &folder.path().join("into")).unwrap_err().0;
    assert_eq!(faults.len(), 1);
    assert_eq!(
        (faults[0].file.as_path(), &*faults[0].what),
        (&*file, "the archive has 524288000 bytes; at most 134217728 are taken")
    );
}

#[test]
fn a_fault_in_an_archive_is_told_by_the_archive_and_the_place_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.zvonar");
    fs::write(&path, zip(&[file("scenario.toml", b"nam = 1"), file("prompts/a.mp3", b"")])).unwrap();
    let told = Package::open_any(&path, &folder.path().join("into")).unwrap_err().to_string();
    let told = told.replace(&format!("{}", folder.path().display()), "");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("/odd.zvonar/scenario.toml:1: "), "{told}");
    assert!(
        lines.iter().any(|line| line.starts_with("/odd.zvonar/prompts/a.mp3: a prompt is a WAV")),
        "{told}"
    );
}

/// Other tools' archives are taken, and ours can be opened by them.
#[test]
fn archives_of_another_implementation_are_taken_and_it_takes_ours() {
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("menu.zvonar");
    fs::write(&packed, archive::pack(&menu()).unwrap()).unwrap();
    let script = "import sys, zipfile, os
a = zipfile.ZipFile(sys.argv[1]); assert a.testzip() is None
b = zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED)
for i in a.infolist(): b.writestr(i.filename, a.read(i))
b.comment = b'made by hand'; b.close()";
    let other = folder.path().join("other.zvonar");
    let python = std::process::Command::new("python3").args(["-c", script]).args([&packed, &other]).output();
    let Ok(python) = python else {
        println!("skipped: there is no python3 to compare with");
        return;
    };
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let opened = Package::open_any(&other, &folder.path().join("into")).unwrap();
    assert_eq!(opened.digest, menu().digest);
}

/// All paths below a folder.
fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { below(&path) } else { vec![path] }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn bent_archives_never_panic_and_never_write_outside(
        bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = zip(&[
            file("scenario.toml", b"name = 'x'"), file("prompts/a.wav", b"sound"), file("README.md", b"words"),
        ]);
        for (at, byte) in bends {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("a/b/into");
        let _ = archive::unpack(&bytes, &into);
        for path in below(folder.path()) {
            prop_assert!(path.starts_with(&into), "{}", path.display());
        }
    }
}
