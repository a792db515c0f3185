//! A scenario's folder: `scenario.toml`, the component, the prompts and the conversations.
//!
//! Opening finds every fault at once, each with its file, its line where there is one, and a sentence. Of sounds only
//! the header is looked at; whoever plays them decodes them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::archive::{self, MAX_SOUND_BYTES, MAX_TEXT_BYTES};
use crate::component::{self, ComponentFault};
use crate::{Manifest, sound};

/// A package that holds together, read from its folder.
#[derive(Debug, Clone)]
pub struct Package {
    /// What it says about itself.
    pub manifest: Manifest,
    /// Where it was read from.
    pub folder: PathBuf,
    /// The component's bytes.
    pub component: Vec<u8>,
    /// SHA-256 of the component, in hex.
    pub sha256: String,
    /// The sounds: name → file.
    pub prompts: BTreeMap<Arc<str>, PathBuf>,
    /// The files of `conversations/`, sorted: what `zvonar test` runs. They are not read here.
    pub conversations: Vec<PathBuf>,
    /// The content's address: SHA-256, in hex, over the name, length and SHA-256 of each file that an archive of the
    /// package has. The same for a folder and its archive.
    pub digest: String,
    files: BTreeMap<String, PackedFile>,
}

/// A file that goes into the package's archive, as it was when the package was opened.
#[derive(Debug, Clone)]
pub(crate) struct PackedFile {
    pub(crate) path: PathBuf,
    length: u64,
    sha256: [u8; 32],
}

impl PackedFile {
    fn new(path: PathBuf, bytes: &[u8]) -> Self {
        Self { path, length: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
    }

    /// Whether these are its bytes.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        self.sha256 == <[u8; 32]>::from(Sha256::digest(bytes))
    }
}

/// One thing that is wrong with a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFault {
    /// The file (or folder) at fault; empty where an archive as a whole is.
    pub file: PathBuf,
    /// The line, counted from 1, in a text file.
    pub line: Option<usize>,
    /// A sentence.
    pub what: String,
}

impl fmt::Display for PackageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.as_os_str().is_empty() {
            return f.write_str(&self.what);
        }
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Everything that is wrong with a package, one fault a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFaults(pub Vec<PackageFault>);

impl fmt::Display for PackageFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PackageFaults {}

/// How many sounds a package may have.
const MAX_PROMPTS: usize = 1_000;
/// How many conversations.
const MAX_CONVERSATIONS: usize = 1_000;
/// The manifest's name in every package.
const MANIFEST: &str = "scenario.toml";
/// The folder of conversations, and what tells people about the package.
const CONVERSATIONS: &str = "conversations";
const README: &str = "README.md";

impl Manifest {
    /// Reads the manifest of a package whose other parts may not exist yet.
    pub fn open(folder: &Path) -> Result<Self, PackageFaults> {
        let mut reader = Reader::new(folder);
        reader.manifest().ok_or(PackageFaults(reader.faults))
    }
}

impl Package {
    /// Reads a package from its folder.
    pub fn open(folder: &Path) -> Result<Self, PackageFaults> {
        let mut reader = Reader::new(folder);
        let manifest = reader.manifest();
        // Without a readable manifest the usual places are looked at all the same, so that one run shows everything.
        let prompts = reader.prompts(manifest.as_ref());
        let conversations = reader.conversations();
        reader.readme();
        let component = manifest.as_ref().and_then(|manifest| reader.component(&manifest.component));
        let Reader { faults, files, .. } = reader;
        match (manifest, component, faults.is_empty()) {
            (Some(manifest), Some(component), true) => Ok(Self {
                sha256: hex::encode(Sha256::digest(&component)),
                manifest,
                folder: folder.to_owned(),
                component,
                prompts,
                conversations,
                digest: digest(&files),
                files,
            }),
            _ => Err(PackageFaults(faults)),
        }
    }

    /// Reads a package from its folder, or from its archive, which is unpacked into `scratch`: a folder of the caller's
    /// own that is empty or absent, and must stay as long as the package is used. For a folder it is not touched.
    pub fn open_any(path: &Path, scratch: &Path) -> Result<Self, PackageFaults> {
        if !path.is_file() {
            return Self::open(path);
        }
        let bytes = archive::read(path)?;
        let opened = archive::unpack(&bytes, scratch).and_then(|()| Self::open(scratch));
        opened.map_err(|PackageFaults(mut faults)| {
            // Nobody knows the scratch folder: a fault is told by the archive and its place in it.
            for fault in &mut faults {
                let inner = fault.file.strip_prefix(scratch).unwrap_or(&fault.file);
                fault.file = match inner.as_os_str().is_empty() {
                    true => path.to_owned(),
                    false => path.join(inner),
                };
            }
            PackageFaults(faults)
        })
    }

    /// The prompts that have a text and no sound. They do for a talk in the terminal; nobody can be called with them.
    pub fn unvoiced(&self) -> impl Iterator<Item = (&Arc<str>, &str)> {
        let texts = self.manifest.texts.iter().map(|(name, text)| (name, text.as_str()));
        texts.filter(|(name, _)| !self.prompts.contains_key(*name))
    }

    /// What its archive has: name → file, in the archive's order.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &PackedFile)> {
        self.files.iter().map(|(name, file)| (&**name, file))
    }
}

/// The address of a package's content.
fn digest(files: &BTreeMap<String, PackedFile>) -> String {
    let mut hash = Sha256::new();
    // Another list in another version of this form must not come to the same address.
    hash.update("zvonar package 1\n");
    for (name, file) in files {
        hash.update(format!("{name}\0{}\0{}\n", file.length, hex::encode(file.sha256)));
    }
    hex::encode(hash.finalize())
}

/// Reads the parts of a package and gathers their faults and the files of its archive.
struct Reader<'f> {
    folder: &'f Path,
    faults: Vec<PackageFault>,
    files: BTreeMap<String, PackedFile>,
}

impl<'f> Reader<'f> {
    fn new(folder: &'f Path) -> Self {
        Self { folder, faults: Vec::new(), files: BTreeMap::new() }
    }

    fn fault(&mut self, file: &Path, what: String) {
        self.faults.push(PackageFault { file: file.to_owned(), line: None, what });
    }

    /// The bytes of a file below the package's folder, which belongs into the archive.
    fn read(&mut self, file: &Path, most: usize) -> io::Result<Vec<u8>> {
        let path = self.folder.join(file);
        let mut opened = fs::File::open(&path)?;
        // The size is asked first: an upload must not make the host read gigabytes.
        let size = opened.metadata()?.len();
        if size > most as u64 {
            return Err(io::Error::other(format!("it has {size} bytes; at most {most} are taken")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        opened.by_ref().take(most as u64).read_to_end(&mut bytes)?;
        let plain = |part: Component<'_>| match part {
            Component::Normal(name) => name.to_str().map(str::to_owned),
            _ => None,
        };
        let name: Vec<String> = file.components().filter_map(plain).collect();
        self.files.insert(name.join("/"), PackedFile::new(path, &bytes));
        Ok(bytes)
    }

    fn manifest(&mut self) -> Option<Manifest> {
        let file = self.folder.join(MANIFEST);
        let text = self
            .read(Path::new(MANIFEST), MAX_TEXT_BYTES)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8")));
        match text.map(|text| Manifest::read(&text)) {
            Ok(Ok(manifest)) => Some(manifest),
            Ok(Err(found)) => {
                self.faults.extend(found.into_iter().map(|(line, what)| PackageFault {
                    file: file.clone(),
                    line: Some(line),
                    what,
                }));
                None
            }
            Err(error) => {
                self.fault(&file, format!("the manifest of a package cannot be read: {error}"));
                None
            }
        }
    }

    fn component(&mut self, name: &Path) -> Option<Vec<u8>> {
        let file = self.folder.join(name);
        let size = fs::metadata(&file).map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(usize::MAX));
        if size > component::MAX_COMPONENT_BYTES {
            self.fault(&file, ComponentFault::TooLarge(size).to_string());
            return None;
        }
        match self.read(name, component::MAX_COMPONENT_BYTES) {
            Ok(bytes) => {
                let found = component::inspect(&bytes);
                for what in &found {
                    self.fault(&file, what.to_string());
                }
                found.is_empty().then_some(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.fault(&file, "the component is not built: run `zvonar build` on the package (in Zvonar's own source tree: `./zv guests`)".into());
                None
            }
            Err(error) => {
                self.fault(&file, format!("the component cannot be read: {error}"));
                None
            }
        }
    }

    fn prompts(&mut self, manifest: Option<&Manifest>) -> BTreeMap<Arc<str>, PathBuf> {
        let name = manifest.map_or(Path::new("prompts"), |manifest| &manifest.prompts);
        let folder = self.folder.join(name);
        let said = |prompt: &str| manifest.is_some_and(|manifest| manifest.texts.contains_key(prompt));
        let fallback = manifest.and_then(|manifest| manifest.fallback.prompt.as_deref());
        let fallback = fallback.filter(|prompt| !said(prompt));
        let mut prompts = BTreeMap::new();
        let files = match sorted(&folder) {
            Ok(files) => files,
            // A scenario need not say anything.
            Err(error) if error.kind() == io::ErrorKind::NotFound && fallback.is_none() => return prompts,
            Err(error) => {
                self.fault(&folder, format!("the folder of prompts cannot be read: {error}"));
                return prompts;
            }
        };
        for file in files {
            let path = self.folder.join(name).join(&file);
            let stem = Path::new(&file).file_stem().and_then(|stem| stem.to_str());
            let Some(stem) = stem else {
                self.fault(&path, "a prompt's name must be UTF-8".into());
                continue;
            };
            match extension(&file).as_str() {
                "wav" if prompts.len() >= MAX_PROMPTS => {
                    self.fault(&folder, format!("a package has at most {MAX_PROMPTS} prompts"));
                    break;
                }
                "wav" => {
                    match self.read(&name.join(&file), MAX_SOUND_BYTES) {
                        Ok(bytes) => {
                            if let Some(what) = sound::fault(&bytes) {
                                self.fault(&path, what);
                            }
                        }
                        Err(error) => self.fault(&path, format!("the prompt cannot be read: {error}")),
                    }
                    if prompts.insert(Arc::from(stem), path.clone()).is_some() {
                        self.fault(&path, format!("prompt `{stem}` is there twice"));
                    }
                }
                "mp3" | "ogg" | "opus" | "flac" | "m4a" | "aac" | "gsm" | "alaw" | "ulaw" | "sln" => {
                    let what = "a prompt is a WAV file: convert this one (`sox in.mp3 -r 8000 -c 1 out.wav`)";
                    self.fault(&path, what.into());
                }
                // Notes on where the sounds come from, and the like.
                _ => {}
            }
        }
        if let Some(prompt) = fallback
            && !prompts.contains_key(prompt)
        {
            self.fault(&folder, format!("there is no `{prompt}.wav`, which [fallback] names"));
        }
        prompts
    }

    fn conversations(&mut self) -> Vec<PathBuf> {
        let folder = self.folder.join(CONVERSATIONS);
        let files = match sorted(&folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.fault(&folder, format!("the folder of conversations cannot be read: {error}"));
                return Vec::new();
            }
        };
        let mut conversations = Vec::new();
        for file in files {
            let path = folder.join(&file);
            match extension(&file).as_str() {
                "yaml" if conversations.len() >= MAX_CONVERSATIONS => {
                    self.fault(&folder, format!("a package has at most {MAX_CONVERSATIONS} conversations"));
                    break;
                }
                "yaml" => match self.read(&Path::new(CONVERSATIONS).join(&file), MAX_TEXT_BYTES) {
                    Ok(_) => conversations.push(path),
                    Err(error) => self.fault(&path, format!("the conversation cannot be read: {error}")),
                },
                "yml" => self.fault(&path, "a conversation's file ends in `.yaml`: rename it".into()),
                _ => {}
            }
        }
        conversations
    }

    fn readme(&mut self) {
        match self.read(Path::new(README), MAX_TEXT_BYTES) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let path = self.folder.join(README);
                self.fault(&path, format!("it cannot be read: {error}"));
            }
        }
    }
}

/// The names in a folder, in order.
fn sorted(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

fn extension(file: &std::ffi::OsStr) -> String {
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
    extension.unwrap_or_default().to_ascii_lowercase()
}
