//! Compiled components on disk, so that a host starts in milliseconds.
//!
//! A compiled component is machine code: whoever can write the file can run anything in this process. Therefore the
//! folder is created for its owner alone, is refused when others may write to it, and each file carries a SHA-256 beside
//! it that is compared before the code is taken, against damage.
//!
//! This is the only module with `unsafe` in it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::ScenarioError;

/// The folder of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Takes the folder, and creates it if need be.
    pub(crate) fn open(folder: &Path) -> Result<Self, ScenarioError> {
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
        Ok(Self { folder: folder.to_owned() })
    }

    /// The compiled form of a component: from the folder, or compiled now and put there.
    ///
    /// Blocks; compiling takes about 0.1 s of CPU for a small component and tens of seconds for a large one.
    pub(crate) fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: &[u8],
        sha256: &str,
    ) -> wasmtime::Result<Component> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let file = self.folder.join(format!("{sha256}-{:016x}.cwasm", hasher.finish()));
        if let Some(component) = self.load(engine, &file) {
            return Ok(component);
        }
        let code = engine.precompile_component(bytes)?;
        if let Err(error) = store(&file, &code) {
            tracing::warn!(file = %file.display(), %error, "a compiled scenario could not be kept; it will be compiled again");
        } else if let Some(component) = self.load(engine, &file) {
            return Ok(component);
        }
        // SAFETY: the code was made by this very engine a moment ago, and never left this process.
        unsafe { Component::deserialize(engine, &code) }
    }

    fn load(&self, engine: &wasmtime::Engine, file: &Path) -> Option<Component> {
        let wanted = fs::read_to_string(file.with_extension("sha256")).ok()?;
        let code = fs::read(file).ok()?;
        if hex::encode(Sha256::digest(&code)) != wanted {
            return None;
        }
        // SAFETY: only the owner of this process can write to the folder (`Cache::open`), the bytes are those that
        // `store` wrote (their hash says so), and their name carries the engine's compatibility hash, so an engine of
        // the same version and settings made them. Files are replaced by renaming, never changed in place, so the
        // mapping stays as it was.
        let loaded = unsafe { Component::deserialize_file(engine, file) };
        loaded.inspect_err(|error| tracing::warn!(file = %file.display(), %error, "compiling again")).ok()
    }
}

/// Writes beside and renames, so that a reader sees the whole file or none. The hash comes last: without it the code
/// is not taken.
fn store(file: &Path, code: &[u8]) -> io::Result<()> {
    let put = |to: &Path, bytes: &[u8]| {
        let unique = format!("{}.{:?}.part", std::process::id(), std::thread::current().id());
        let part = to.with_extension(unique);
        let mut out = fs::File::create(&part)?;
        out.write_all(bytes)?;
        fs::rename(&part, to)
    };
    put(file, code)?;
    put(&file.with_extension("sha256"), hex::encode(Sha256::digest(code)).as_bytes())
}
