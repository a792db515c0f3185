//! Why nothing was changed.

use std::path::PathBuf;
use std::time::Duration;

use crate::DialerError;

/// Why nothing was changed. `Display` is a sentence for whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The package is at fault; a sentence for each fault.
    #[error("the package was refused: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// There is no such scenario.
    #[error("there is no scenario `{name}` here; there are: {known}")]
    NoScenario {
        /// As it was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The version was never there, or is kept no more.
    #[error("scenario `{name}` has no v{number}; kept are {kept}")]
    NoVersion {
        /// The scenario.
        name: String,
        /// As it was asked for.
        number: u32,
        /// The numbers that are kept.
        kept: String,
    },
    /// It does not fit what is in use now.
    #[error("{0}")]
    Conflict(String),
    /// Too much of the tenant's is waiting, or came in the last minute.
    #[error("{what}; come again in {} s", .again.as_secs_f64().ceil())]
    TooMany {
        /// Of what.
        what: String,
        /// When to come again.
        again: Duration,
    },
    /// The host is stopping.
    #[error("the host is being stopped: nothing was changed")]
    Closed,
    /// The store, or what is in it.
    #[error(transparent)]
    Dialer(#[from] DialerError),
    /// A file of our own.
    #[error("the host could not write below {folder}: {source}")]
    Scratch {
        /// Where.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A broken invariant.
    #[error("a bug of ours stopped it; the log says more")]
    Bug,
}

/// What a change may come to.
pub(super) type Result<T> = std::result::Result<T, DeployError>;

impl From<zvonar_store::StoreError> for DeployError {
    fn from(error: zvonar_store::StoreError) -> Self {
        Self::Dialer(error.into())
    }
}
