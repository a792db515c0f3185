//! What can go wrong with a store, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::{KeyError, Sha256};

/// Why a store could not do what it was asked. After any of these but [`StoreError::Refused`], the outcome of a commit
/// is unknown.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The caller asked for something that no store takes; nothing was written.
    #[error("the store refuses this: {0}")]
    Refused(String),
    /// A key is too long or malformed.
    #[error("the store refuses this key: {0}")]
    Key(#[from] KeyError),
    /// No space is left.
    #[error(
        "the disk that holds {path} is full: free some space, then start again; nothing acknowledged is lost"
    )]
    DiskFull {
        /// The folder of the store.
        path: PathBuf,
    },
    /// Somebody else has the store open.
    #[error(
        "{path} is in use by another process: stop it first (only one process may open an embedded store), or give \
         this one another data folder"
    )]
    Locked {
        /// The folder of the store.
        path: PathBuf,
    },
    /// The files are damaged or are no store of ours.
    #[error(
        "{path} is damaged or is no store ({what}): put a backup in its place, or move it away to begin anew"
    )]
    Damaged {
        /// The folder of the store.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The store was written by a newer program.
    #[error("{path} was written in format {found}, this program knows up to {known}: use a newer program")]
    Newer {
        /// The folder of the store.
        path: PathBuf,
        /// The format that was found.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// Reading or writing failed.
    #[error("could not read or write {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An earlier write failed, and what is on the disk is unknown until the store is opened again.
    #[error("the store stopped after an earlier failure ({0}): start again to recover")]
    Stopped(String),
    /// The commit may or may not have been done.
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(String),
    /// The watcher was too slow; watch again from the last revision seen.
    #[error("a watcher fell behind and missed changes: watch again from the last revision seen")]
    Lagged,
    /// The bytes of a blob do not have its hash.
    #[error("a blob was to be {wanted}, its bytes are {found}")]
    WrongHash {
        /// The name it goes by.
        wanted: Sha256,
        /// The hash of what was read.
        found: Sha256,
    },
}

impl StoreError {
    /// Whether sending the same commit again makes sense: it does unless the caller asked for the impossible, or the
    /// store will not come back before it is opened again.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Io { .. })
    }
}
