//! What keeps the dialler from its work. A busy phone is no error: see `model::Outcome`.

use std::fmt;

use zvonar_model::{Kopecks, LeadId, OperatorId, ProjectId};
use zvonar_store::{Key, StoreError};

use crate::tables::Edit;

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
    /// Somebody else has edited the project meanwhile: nothing was written.
    #[error(transparent)]
    EditConflict(Box<EditConflict>),
    /// As many projects are active as may be: nothing was started.
    #[error(
        "{} projects are active, and no more than {most} may be ({}): pause or finish one of them, then start this one",
        active.len(), titles(active)
    )]
    TooManyActive {
        /// How many may be.
        most: u32,
        /// Those that are: their ids and what people call them.
        active: Vec<(ProjectId, String)>,
    },
    /// A project cannot be as it was asked for.
    #[error("project {project}: {what}")]
    BadProject {
        /// Which.
        project: ProjectId,
        /// What is wrong and what is allowed.
        what: String,
    },
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
    /// A report cannot be made by this.
    #[error("{0}")]
    BadFilter(String),
    /// Something is no tag.
    #[error("{0}")]
    BadTag(String),
    /// What somebody said about being called cannot be written down as it is.
    #[error("the consent is not taken: {0}")]
    BadConsent(String),
    /// There is no such webhook.
    #[error(
        "there is no webhook `{0}`: the host lists those that it was started with (`zvonar webhook list`)"
    )]
    NoHook(String),
    /// No letter of a webhook is kept for this event.
    #[error("nothing is kept of the event `{0}` for this webhook: `zvonar webhook deliveries` lists what is")]
    NoDelivery(String),
    /// Others kept changing the same thing.
    #[error("{0} kept changing under our hands: try again")]
    Contended(Key),
    /// A prepaid tenant has nothing left: nobody is called.
    #[error(
        "the balance is spent: {left} are left with a credit of {credit}, and a call needs {need}: note a payment \
         (`zvonar ledger top-up`), then start the project again"
    )]
    Spent {
        /// What is left of what was paid.
        left: Kopecks,
        /// How far below nothing it may go.
        credit: Kopecks,
        /// What is held before a call.
        need: Kopecks,
    },
    /// The tenant has no such operator.
    #[error("there is no operator {0}")]
    NoOperator(OperatorId),
    /// An operator of this id exists.
    #[error("there is an operator {0} already")]
    OperatorExists(OperatorId),
    /// As many operators as the host grants.
    #[error(
        "{most} operators are all that this tenant may have: remove one, or raise `operators` in its [tenant.limits]"
    )]
    TooManyOperators {
        /// How many may be.
        most: u32,
    },
    /// An operator cannot be as he is wanted.
    #[error("operator {operator}: {what}")]
    BadOperator {
        /// Which.
        operator: OperatorId,
        /// What is wrong and what is allowed.
        what: String,
    },
    /// What an operator says of a talk cannot be noted.
    #[error("{0}")]
    BadVerdict(String),
    /// The desk cannot be asked.
    #[error(transparent)]
    Desk(#[from] crate::desks::DeskFault),
    /// A payment that cannot be noted.
    #[error("{0}")]
    BadPayment(String),
    /// Nobody can be called before something is mended.
    #[error("nobody is called: {0}")]
    CannotCall(String),
    /// An account has used up its numbers for messages.
    #[error(
        "all numbers of text messages up to 2147483647 are used up: have the gateway forget old messages, take another \
         account, and say its `first_number`"
    )]
    NoNumbers,
    /// Nobody sends messages any more.
    #[error("text messages are not sent any more, as the host stops: tell it again")]
    TextsClosed,
    /// Somebody's task stopped at a broken invariant.
    #[error("a task of the dialler stopped: {0}")]
    Bug(String),
}

impl DialerError {
    /// Whether the store itself has failed, and not only what was to be stored.
    pub fn is_broken_store(&self) -> bool {
        matches!(self, Self::Store(why) if !matches!(why, StoreError::Refused(_) | StoreError::Key(_)))
    }
}

/// What every call of this crate may come to.
pub type Result<T> = std::result::Result<T, DialerError>;

/// Two people edited one project: what the second is told. Nothing of the first's edit is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct EditConflict {
    /// Which project.
    pub project: ProjectId,
    /// The version that the second had seen.
    pub seen: u64,
    /// The version that it has.
    pub version: u64,
    /// What happened in between, as far as it is remembered.
    pub edits: Vec<Edit>,
}

impl fmt::Display for EditConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { project, seen, version, edits } = self;
        write!(f, "project {project} has version {version}, and the edit was made of version {seen}")?;
        for (index, edit) in edits.iter().enumerate() {
            let at = jiff::Timestamp::from_millisecond(edit.at.0).unwrap_or_default();
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}«{}» changed {} at {at:.0}", edit.by, edit.changed.join(", "))?;
        }
        f.write_str(". Read the project again and repeat the edit")
    }
}

fn titles(active: &[(ProjectId, String)]) -> String {
    let named = |(id, title): &(ProjectId, String)| {
        if id.as_str() == title { title.clone() } else { format!("«{title}» ({id})") }
    };
    active.iter().map(named).collect::<Vec<_>>().join(", ")
}
