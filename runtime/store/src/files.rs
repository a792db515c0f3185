//! Blobs as files named by their hash, beside the database: `blobs/ab/abcd…`.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures::stream::StreamExt;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::blob::Check;
use crate::{Result, Sha256, Source, StoreError};

/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A folder of blobs.
#[derive(Debug, Clone)]
pub(crate) struct BlobFiles {
    folder: PathBuf,
}

impl BlobFiles {
    /// Makes the folder if need be, and clears away what a crash left half-written.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        let unfinished = folder.join("unfinished");
        match std::fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&unfinished, error)),
            _ => {}
        }
        std::fs::create_dir_all(&unfinished).map_err(|error| failed(&unfinished, error))?;
        Ok(Self { folder })
    }

    fn place(&self, sha: Sha256) -> PathBuf {
        let name = sha.to_string();
        self.folder.join(&name[..2]).join(name)
    }

    /// Written apart, synced, renamed, and the folder synced: a blob is there whole or not at all.
    pub(crate) async fn put(&self, sha: Sha256, mut bytes: Source) -> Result<()> {
        let place = self.place(sha);
        if fs::try_exists(&place).await.map_err(|error| failed(&place, error))? {
            return Ok(());
        }
        // Two tasks may bring the same blob at once, each writes a file of its own.
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let unfinished = self.folder.join("unfinished").join(format!("{sha}.{number}"));
        let written = write(&unfinished, sha, &mut bytes).await;
        if let Err(error) = written {
            // What is left is cleared away at the next opening.
            let _ = fs::remove_file(&unfinished).await;
            return Err(error);
        }
        let shelf = place.parent().expect("a blob lies in a folder").to_owned();
        fs::create_dir_all(&shelf).await.map_err(|error| failed(&shelf, error))?;
        fs::rename(&unfinished, &place).await.map_err(|error| failed(&place, error))?;
        for folder in [&shelf, &self.folder] {
            let opened = File::open(folder).await.map_err(|error| failed(folder, error))?;
            opened.sync_all().await.map_err(|error| failed(folder, error))?;
        }
        Ok(())
    }

    pub(crate) async fn get(&self, sha: Sha256) -> Result<Option<Source>> {
        let place = self.place(sha);
        let file = match File::open(&place).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&place, error)),
        };
        let state = Some((file, Check::new(sha), place));
        Ok(Some(
            futures::stream::unfold(state, |state| async {
                let (mut file, mut check, place) = state?;
                let mut piece = BytesMut::with_capacity(PIECE_BYTES);
                match file.read_buf(&mut piece).await {
                    Ok(0) => check.finish().err().map(|error| (Err(error), None)),
                    Ok(_) => {
                        check.add(&piece);
                        Some((Ok(piece.freeze()), Some((file, check, place))))
                    }
                    Err(error) => Some((Err(failed(&place, error)), None)),
                }
            })
            .boxed(),
        ))
    }
}

async fn write(path: &Path, sha: Sha256, bytes: &mut Source) -> Result<()> {
    let mut file = File::create(path).await.map_err(|error| failed(path, error))?;
    let mut check = Check::new(sha);
    while let Some(piece) = bytes.next().await {
        let piece: Bytes = piece?;
        check.add(&piece);
        file.write_all(&piece).await.map_err(|error| failed(path, error))?;
    }
    check.finish()?;
    file.sync_all().await.map_err(|error| failed(path, error))
}

/// Says what a failure of the system means for the folder.
pub(crate) fn failed(path: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::DiskFull { path: path.to_owned() }
        }
        _ => StoreError::Io { path: path.to_owned(), source },
    }
}
