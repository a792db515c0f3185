//! Compiled components on disk, so that a host starts in milliseconds.
//!
//! A compiled component is machine code: whoever can write the file can run anything in this process. Therefore the
//! folder is created for its owner alone, is refused when others may write to it, and each file carries a SHA-256 beside
//! it that is compared before the code is taken, against damage.
//!
//! The folder is bounded: what was not used for the longest time goes first. That file beside is written anew whenever
//! the code is taken, so its age is the time of the last use. What is removed under a running host stays in its memory.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::ScenarioError;
use crate::compiler::{Compiler, CompilerError};

/// The most compiled components that are kept.
const MAX_FILES: usize = 1_000;
/// What a compiled component, the hash beside it, and a file in the making are called.
const CODE: &str = "cwasm";
const HASH: &str = "sha256";
const PART: &str = "part";

/// The folder of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    /// What all of it may come to, in bytes.
    max_bytes: u64,
    /// Who compiles; `None`: this process.
    compiler: Option<Compiler>,
    /// Held by the one who waits for the child.
    compiling: Mutex<()>,
}

/// Why there is no code.
#[derive(Debug)]
pub(crate) enum CacheError {
    /// The component is at fault.
    Refused(wasmtime::Error),
    /// The child says why.
    Compiler(CompilerError),
}

impl From<wasmtime::Error> for CacheError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Refused(error)
    }
}

impl Cache {
    /// Takes the folder, and creates it if need be.
    pub(crate) fn open(
        folder: &Path,
        max_bytes: u64,
        compiler: Option<Compiler>,
    ) -> Result<Self, ScenarioError> {
        let fault = |why: String| ScenarioError::Cache { folder: folder.to_owned(), why };
        let io = |error: io::Error| fault(error.to_string());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let meta = fs::metadata(folder).map_err(io)?;
        // The owner of what this process creates is the owner of its own entry in /proc.
        let own = fs::metadata("/proc/self").map_or(meta.uid(), |own| own.uid());
        if meta.uid() != own {
            return Err(fault("it belongs to another user".into()));
        }
        if meta.permissions().mode() & 0o022 != 0 {
            return Err(fault("others may write to it: `chmod go-w` it".into()));
        }
        let cache = Self { folder: folder.to_owned(), max_bytes, compiler, compiling: Mutex::new(()) };
        cache.remove_orphans();
        Ok(cache)
    }

    /// The compiled form of a component: from the folder, or compiled now and put there.
    ///
    /// Blocks; compiling takes about 0.1 s of CPU for a small component and tens of seconds for a large one. Children
    /// compile one at a time, others wait for their turn.
    pub(crate) fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: &[u8],
        sha256: &str,
    ) -> Result<Component, CacheError> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let file = self.folder.join(format!("{sha256}-{:016x}.{CODE}", hasher.finish()));
        if let Some(component) = self.load(engine, &file) {
            return Ok(component);
        }
        let code = match &self.compiler {
            None => engine.precompile_component(bytes)?,
            Some(compiler) => {
                let _turn = self.compiling.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                // Whoever had the turn before may have compiled the same.
                if let Some(component) = self.load(engine, &file) {
                    return Ok(component);
                }
                compile_apart(compiler, &file, bytes).map_err(CacheError::Compiler)?
            }
        };
        if let Err(error) = store(&file, &code) {
            tracing::warn!(file = %file.display(), %error, "a compiled scenario could not be kept; it will be compiled again");
        } else {
            self.tidy(&file);
            if let Some(component) = self.load(engine, &file) {
                return Ok(component);
            }
        }
        // SAFETY: the code was made a moment ago by this very engine, or by a child that is this very program with the
        // same settings, and was only ever in this process's private folder.
        Ok(unsafe { Component::deserialize(engine, &code) }?)
    }

    fn load(&self, engine: &wasmtime::Engine, file: &Path) -> Option<Component> {
        let beside = file.with_extension(HASH);
        let wanted = fs::read_to_string(&beside).ok()?;
        let code = fs::read(file).ok()?;
        if hex::encode(Sha256::digest(&code)) != wanted {
            return None;
        }
        // SAFETY: only the owner of this process can write to the folder (`Cache::open`), the bytes are those that
        // `store` wrote (their hash says so), and their name carries the engine's compatibility hash, so an engine of
        // the same version and settings made them. Files are replaced by renaming, never changed in place, so the
        // mapping stays as it was.
        let loaded = unsafe { Component::deserialize_file(engine, file) };
        let loaded = loaded
            .inspect_err(|error| tracing::warn!(file = %file.display(), %error, "compiling again"))
            .ok()?;
        // A use that is not remembered makes it look older than it is, and nothing worse.
        let _ = put(&beside, wanted.as_bytes());
        Some(loaded)
    }

    /// Removes what was not used for the longest time, until the bounds hold. `fresh` stays in any case.
    fn tidy(&self, fresh: &Path) {
        let mut kept: Vec<_> = self
            .files(CODE)
            .filter(|file| file != fresh)
            .filter_map(|file| {
                let used = fs::metadata(file.with_extension(HASH)).and_then(|meta| meta.modified());
                // Code without its hash is never taken: it goes first.
                Some((used.ok(), fs::metadata(&file).ok()?.len(), file))
            })
            .collect();
        kept.sort_by_key(|(used, ..)| std::cmp::Reverse(*used));
        let mut bytes = fs::metadata(fresh).map_or(0, |meta| meta.len());
        for (at, (_, size, file)) in kept.iter().enumerate() {
            bytes = bytes.saturating_add(*size);
            // One place is the fresh one's.
            if at + 1 >= MAX_FILES || bytes > self.max_bytes {
                // What cannot be removed is removed next time.
                let _ = fs::remove_file(file.with_extension(HASH));
                let _ = fs::remove_file(file);
            }
        }
    }

    /// Removes what processes that are no more left half-made.
    fn remove_orphans(&self) {
        for file in self.files(PART) {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let maker = name.rsplit('.').nth(2).and_then(|pid| pid.parse::<u32>().ok());
            if maker.is_none_or(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = fs::remove_file(file);
            }
        }
    }

    fn files(&self, extension: &'static str) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        files.filter(move |file| file.extension().is_some_and(|own| own == extension))
    }
}

/// Has a child compile a component, and gives its code.
fn compile_apart(compiler: &Compiler, file: &Path, component: &[u8]) -> Result<Vec<u8>, CompilerError> {
    let failed = |error: io::Error| CompilerError::Failed(error.to_string());
    let (input, output) = (Part::beside(file), Part::beside(file));
    input.write(component).map_err(failed)?;
    compiler.compile(&input.0, &output.0)?;
    fs::read(&output.0).map_err(failed)
}

/// A file in the making: `NAME.PID.NUMBER.part`. It goes when it is dropped, unless it was renamed.
struct Part(PathBuf);

impl Part {
    fn beside(file: &Path) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut name = file.file_name().unwrap_or_default().to_owned();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}.{number}.{PART}", std::process::id()));
        Self(file.with_file_name(name))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.0)?;
        out.write_all(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes beside and renames, so that a reader sees the whole file or none. The hash comes last: without it the code
/// is not taken.
fn store(file: &Path, code: &[u8]) -> io::Result<()> {
    put(file, code)?;
    put(&file.with_extension(HASH), hex::encode(Sha256::digest(code)).as_bytes())
}

fn put(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = Part::beside(file);
    part.write(bytes)?;
    fs::rename(&part.0, file)
}
