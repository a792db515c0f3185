//! A package as one file, `NAME-VERSION.zvonar`: a ZIP of what a host needs of its folder.
//!
//! In it are `scenario.toml`, the component, the sounds, the conversations and `README.md`; sources and whatever else
//! lies in the folder are not. The same content gives the same bytes, and its name is its [`Package::digest`], which is
//! the same for a folder and its archive.
//!
//! Archives come from strangers. Everything that can be known without inflating a byte is looked at first, each fault
//! has its sentence, and what is refused is not read.

mod zip;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::component::MAX_COMPONENT_BYTES;
use crate::{Package, PackageFault, PackageFaults};

/// The largest archive, in bytes.
pub const MAX_ARCHIVE_BYTES: u64 = 128 << 20;
/// The most that all files of an archive may come to, in bytes.
pub const MAX_UNPACKED_BYTES: u64 = 128 << 20;
/// The most files of an archive.
pub const MAX_FILES: usize = 2_500;
/// The largest sound, in bytes: half an hour at 8 kHz.
pub const MAX_SOUND_BYTES: usize = 32 << 20;
/// The largest text (manifest, conversation, readme), in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// What the file of a package is called after its name and version.
pub const EXTENSION: &str = "zvonar";

/// Why an archive, or a file in it, is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// Something else altogether.
    #[error("this is no package: a package is a ZIP made by `zvonar build --pack`, and this begins with {0}")]
    NotAZip(String),
    /// A ZIP that does not hold together, or of a kind that no package needs.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// Over [`MAX_ARCHIVE_BYTES`]: nothing of it was read.
    #[error("the archive has {0} bytes; at most {max} are taken", max = MAX_ARCHIVE_BYTES)]
    TooLarge(u64),
    /// Over [`MAX_UNPACKED_BYTES`] by its own account: nothing was inflated.
    #[error("the files of the archive come to {0} bytes; at most {max} are taken", max = MAX_UNPACKED_BYTES)]
    TooMuch(u64),
    /// Over [`MAX_FILES`].
    #[error("the archive has {0} files; at most {max} are taken", max = MAX_FILES)]
    TooManyFiles(usize),
    /// One file of it.
    #[error("{name}: {why}")]
    File {
        /// As the archive calls it.
        name: String,
        /// A sentence.
        why: String,
    },
}

/// The most bytes that a file of this name may have.
fn largest(name: &str) -> usize {
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("wasm") => MAX_COMPONENT_BYTES,
        Some("toml" | "yaml" | "md" | "txt") => MAX_TEXT_BYTES,
        _ => MAX_SOUND_BYTES,
    }
}

/// The archive of a package. The faults say which file changed or went since the package was opened.
pub fn pack(package: &Package) -> Result<Vec<u8>, PackageFaults> {
    let mut faults = Vec::new();
    let mut fault = |file: &Path, what: String| {
        faults.push(PackageFault { file: file.to_owned(), line: None, what });
    };
    let mut files = Vec::new();
    for (name, file) in package.files() {
        if let Err(why) = zip::inside(name) {
            fault(&file.path, why);
            continue;
        }
        match fs::read(&file.path) {
            Ok(bytes) if file.holds(&bytes) => files.push((name, bytes)),
            Ok(_) => fault(&file.path, "it changed while the package was being packed: try again".into()),
            Err(error) => fault(&file.path, format!("it cannot be read: {error}")),
        }
    }
    let size: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    if size > MAX_UNPACKED_BYTES {
        fault(&package.folder, ArchiveFault::TooMuch(size).to_string());
    }
    if !faults.is_empty() {
        return Err(PackageFaults(faults));
    }
    zip::write(files.iter().map(|(name, bytes)| (*name, &**bytes))).map_err(|error| {
        let what = format!("it cannot be packed: {error}");
        PackageFaults(vec![PackageFault { file: package.folder.clone(), line: None, what }])
    })
}

/// What the archive of a package is called: `menu-0.1.0.zvonar`.
pub fn file_name(package: &Package) -> String {
    // The version is the author's own text; the name is made of plain letters.
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '_' };
    let version: String = package.manifest.version.chars().map(plain).collect();
    format!("{}-{version}.{EXTENSION}", package.manifest.name)
}

/// Unpacks an archive into a folder that is the caller's alone and holds nothing yet; it is created if absent.
///
/// Each fault has an empty file where the archive as a whole is at fault, else the file's name in it. After a fault
/// the folder may hold some of the files.
pub fn unpack(bytes: &[u8], into: &Path) -> Result<(), PackageFaults> {
    if bytes.len() as u64 > MAX_ARCHIVE_BYTES {
        return Err(faults(vec![ArchiveFault::TooLarge(bytes.len() as u64)]));
    }
    let entries = zip::list(bytes).map_err(faults)?;
    if !entries.iter().any(|entry| entry.name == "scenario.toml") {
        let inner = entries.iter().find_map(|entry| entry.name.strip_suffix("/scenario.toml"));
        let why = match inner {
            Some(folder) => format!(
                "the archive has no scenario.toml at its top; it is in `{folder}`: pack what is in that folder"
            ),
            None => "the archive has no scenario.toml".to_owned(),
        };
        return Err(PackageFaults(vec![PackageFault { file: PathBuf::new(), line: None, what: why }]));
    }
    let mut found = Vec::new();
    for entry in &entries {
        match zip::inflate(bytes, entry) {
            Ok(bytes) => {
                if let Err(error) = put(&into.join(&entry.name), &bytes) {
                    // The disk, not the archive: the other files would fare no better.
                    let why = format!("it cannot be unpacked: {error}");
                    return Err(faults(vec![ArchiveFault::File { name: entry.name.clone(), why }]));
                }
            }
            Err(fault) => found.push(fault),
        }
    }
    if found.is_empty() { Ok(()) } else { Err(faults(found)) }
}

/// Reads the file of an archive; one that is too large is not read.
pub fn read(file: &Path) -> Result<Vec<u8>, PackageFaults> {
    let fault = |what: String| PackageFaults(vec![PackageFault { file: file.to_owned(), line: None, what }]);
    let open = || -> io::Result<(u64, Vec<u8>)> {
        let opened = fs::File::open(file)?;
        let size = opened.metadata()?.len();
        let mut bytes = Vec::new();
        if size <= MAX_ARCHIVE_BYTES {
            // A file that grows meanwhile is cut, and then no archive.
            opened.take(MAX_ARCHIVE_BYTES + 1).read_to_end(&mut bytes)?;
        }
        Ok((size, bytes))
    };
    match open() {
        Ok((size, _)) if size > MAX_ARCHIVE_BYTES => Err(fault(ArchiveFault::TooLarge(size).to_string())),
        Ok((_, bytes)) => Ok(bytes),
        Err(error) => Err(fault(format!("the archive cannot be read: {error}"))),
    }
}

/// Writes a file that is not there yet, and the folders above it.
fn put(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::File::create_new(file)?.write_all(bytes)
}

fn faults(found: Vec<ArchiveFault>) -> PackageFaults {
    let told = |fault| match fault {
        ArchiveFault::File { name, why } => PackageFault { file: name.into(), line: None, what: why },
        whole => PackageFault { file: PathBuf::new(), line: None, what: whole.to_string() },
    };
    PackageFaults(found.into_iter().map(told).collect())
}
