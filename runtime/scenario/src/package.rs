//! A scenario's folder: `scenario.toml`, the component and the prompts.
//!
//! Opening finds every fault at once, each with its file, its line where there is one, and a sentence. Sounds are only
//! listed; whoever plays them decodes them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::Manifest;
use crate::component::{self, ComponentFault};

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
}

/// One thing that is wrong with a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFault {
    /// The file (or folder) at fault.
    pub file: PathBuf,
    /// The line, counted from 1, in a text file.
    pub line: Option<usize>,
    /// A sentence.
    pub what: String,
}

impl fmt::Display for PackageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

impl Manifest {
    /// Reads the manifest of a package whose other parts may not exist yet.
    pub fn open(folder: &Path) -> Result<Self, PackageFaults> {
        let mut faults = Vec::new();
        read_manifest(folder, &mut faults).ok_or(PackageFaults(faults))
    }
}

impl Package {
    /// Reads a package from its folder.
    pub fn open(folder: &Path) -> Result<Self, PackageFaults> {
        let mut faults = Vec::new();
        let manifest = read_manifest(folder, &mut faults);
        // Without a readable manifest the usual places are looked at all the same, so that one run shows everything.
        let prompts_folder = folder.join(manifest.as_ref().map_or(Path::new("prompts"), |m| &m.prompts));
        let said = manifest.as_ref().map(|m| &m.texts);
        let said = |name: &str| said.is_some_and(|texts| texts.contains_key(name));
        let fallback = manifest.as_ref().and_then(|m| m.fallback.prompt.clone()).filter(|name| !said(name));
        let prompts = list_prompts(&prompts_folder, fallback.as_deref(), &mut faults);
        let component =
            manifest.as_ref().and_then(|m| read_component(&folder.join(&m.component), &mut faults));
        match (manifest, component, faults.is_empty()) {
            (Some(manifest), Some(component), true) => Ok(Self {
                sha256: hex::encode(Sha256::digest(&component)),
                manifest,
                folder: folder.to_owned(),
                component,
                prompts,
            }),
            _ => Err(PackageFaults(faults)),
        }
    }
}

impl Package {
    /// The prompts that have a text and no sound. They do for a talk in the terminal; nobody can be called with them.
    pub fn unvoiced(&self) -> impl Iterator<Item = (&Arc<str>, &str)> {
        let texts = self.manifest.texts.iter().map(|(name, text)| (name, text.as_str()));
        texts.filter(|(name, _)| !self.prompts.contains_key(*name))
    }
}

fn read_manifest(folder: &Path, faults: &mut Vec<PackageFault>) -> Option<Manifest> {
    let file = folder.join("scenario.toml");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            let what = format!("the manifest of a package cannot be read: {error}");
            faults.push(PackageFault { file, line: None, what });
            return None;
        }
    };
    match Manifest::read(&text) {
        Ok(manifest) => Some(manifest),
        Err(found) => {
            faults.extend(found.into_iter().map(|(line, what)| PackageFault {
                file: file.clone(),
                line: Some(line),
                what,
            }));
            None
        }
    }
}

fn read_component(file: &Path, faults: &mut Vec<PackageFault>) -> Option<Vec<u8>> {
    let mut fault = |what: String| faults.push(PackageFault { file: file.to_owned(), line: None, what });
    // The size is asked first: an upload must not make the host read gigabytes.
    let size = fs::metadata(file).map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(usize::MAX));
    if size > component::MAX_COMPONENT_BYTES {
        fault(ComponentFault::TooLarge(size).to_string());
        return None;
    }
    match fs::read(file) {
        Ok(bytes) => {
            let found = component::inspect(&bytes);
            for what in &found {
                fault(what.to_string());
            }
            found.is_empty().then_some(bytes)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fault("the component is not built: run `zvonar build` on the package (in Zvonar's own source tree: `./zv guests`)".into());
            None
        }
        Err(error) => {
            fault(format!("the component cannot be read: {error}"));
            None
        }
    }
}

fn list_prompts(
    folder: &Path,
    fallback: Option<&str>,
    faults: &mut Vec<PackageFault>,
) -> BTreeMap<Arc<str>, PathBuf> {
    let mut fault = |file: &Path, what: String| {
        faults.push(PackageFault { file: file.to_owned(), line: None, what });
    };
    let mut prompts = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // A scenario need not say anything.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && fallback.is_none() => {
            return prompts;
        }
        Err(error) => {
            fault(folder, format!("the folder of prompts cannot be read: {error}"));
            return prompts;
        }
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    for file in files {
        let Some(stem) = file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else {
            fault(&file, "a prompt's name must be UTF-8".into());
            continue;
        };
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "wav" => drop(prompts.insert(Arc::from(stem), file)),
            "mp3" | "ogg" | "opus" | "flac" | "m4a" | "aac" | "gsm" | "alaw" | "ulaw" | "sln" => {
                fault(
                    &file,
                    "a prompt is a WAV file: convert this one (`sox in.mp3 -r 8000 -c 1 out.wav`)".into(),
                );
            }
            // Notes on where the sounds come from, and the like.
            _ => {}
        }
    }
    if prompts.len() > MAX_PROMPTS {
        fault(folder, format!("a package has at most {MAX_PROMPTS} prompts, this one has {}", prompts.len()));
    }
    if let Some(prompt) = fallback
        && !prompts.contains_key(prompt)
    {
        fault(folder, format!("there is no `{prompt}.wav`, which [fallback] names"));
    }
    prompts
}
