//! What keeps the dialler from its work. A busy phone is no error: see `model::Outcome`.

use zvonar_model::{LeadId, ProjectId};
use zvonar_store::{Key, StoreError};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DialerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something stored cannot be read.
    #[error(
        "what is stored at {key} cannot be read ({what}): put a backup in its place, or repair it by hand"
    )]
    Unreadable {
        /// Where.
        key: Key,
        /// What the reader said.
        what: String,
    },
    /// Something stored was written by a newer program.
    #[error("what is stored at {key} has version {found}, this program knows {known}: use a newer program")]
    Newer {
        /// Where.
        key: Key,
        /// Its version.
        found: u16,
        /// The newest known.
        known: u16,
    },
    /// There is no such project.
    #[error("there is no project {0}")]
    NoProject(ProjectId),
    /// The project has no such lead.
    #[error("the project has no lead {0}")]
    NoLead(LeadId),
    /// A project of this name exists.
    #[error("there is a project {0} already")]
    ProjectExists(ProjectId),
    /// A lead's fields are too many or too long.
    #[error("lead {lead}: {what}")]
    LeadTooLarge {
        /// Which.
        lead: LeadId,
        /// What is too large.
        what: String,
    },
    /// A lead cannot be as it is wanted.
    #[error("lead {lead}: {what}")]
    LeadRefused {
        /// Which.
        lead: LeadId,
        /// What is wrong.
        what: String,
    },
    /// Something is no tag.
    #[error("{0}")]
    BadTag(String),
    /// Others kept changing the same thing.
    #[error("{0} kept changing under our hands: try again")]
    Contended(Key),
    /// Nobody can be called before something is mended.
    #[error("nobody is called: {0}")]
    CannotCall(String),
    /// Somebody's task stopped at a broken invariant.
    #[error("a task of the dialler stopped: {0}")]
    Bug(String),
}

/// What every call of this crate may come to.
pub type Result<T> = std::result::Result<T, DialerError>;
