//! Webhooks: a tenant's own programs are told what happened.
//!
//! ```text
//! step ─▶ event ─▶ queue of a hook ─▶ POST ─▶ delivered
//!   journal  (one commit with the hook's cursor)  └─▶ again … lost ─▶ resent by command
//! ```
//!
//! Each hook folds the journal of steps by a cursor of its own, and the commit that moves the cursor writes what is to be
//! told into the hook's queue. [`Tables::keep_hooks`] runs a task per hook.
//!
//! # What always holds
//!
//! * What is in the journal from the hook's first start on is told at least once, whatever crashes: a letter leaves the
//!   queue in the commit that says what became of it.
//! * An event has one id, made from its place in the journal: whoever gets it twice sees that it is the same.
//! * A hook's letters begin in the order of the journal; one that is not taken lets others pass
//!   ([`zvonar_gateways::webhook::Line`]).
//! * A receiver that is dead keeps nobody but itself waiting, and what waits for it waits on the disk.

mod event;
mod fold;
mod post;
mod views;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zvonar_gateways::webhook::Courier;
use zvonar_model::{IdError, ScenarioName, UnixMillis};

use crate::tables::Row;

pub use event::{Answer, Call, CallProject, CallResult, Contact, Event, HandedOver, LeadCard, Text};
pub use views::{DeliveryState, DeliveryView, HookView};

/// How long what was delivered, and what was not, can be looked up and sent again, unless something else is said.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a hook is called: 1 to 64 of `a-z A-Z 0-9 - _`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HookName(Box<str>);

impl HookName {
    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HookName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        // The same alphabet as that of ids.
        ScenarioName::new(text).map(|name| Self(name.as_str().into()))
    }
}

impl TryFrom<String> for HookName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<HookName> for String {
    fn from(name: HookName) -> String {
        name.0.into()
    }
}

/// What happened, as a word for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A call is over.
    CallFinished,
    /// An answered call has its result: the robot's, or the operator's who gave it one while it lasted; or an operator gave
    /// it one after its end.
    CallResult,
    /// Somebody wanted a person and got none.
    TransferLost,
    /// A text message went over to another state.
    SmsStatus,
    /// A project went over to another status.
    ProjectState,
    /// Nothing: somebody tries the hook out.
    Test,
}

impl EventKind {
    /// Those that a hook can be told of.
    pub const ALL: [Self; 5] =
        [Self::CallFinished, Self::CallResult, Self::TransferLost, Self::SmsStatus, Self::ProjectState];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::CallFinished => "call_finished",
            Self::CallResult => "call_result",
            Self::TransferLost => "transfer_lost",
            Self::SmsStatus => "sms_status",
            Self::ProjectState => "project_state",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for EventKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.word() == text).ok_or_else(|| {
            format!("there is no event of this name; there are {}", Self::ALL.map(Self::word).join(", "))
        })
    }
}

/// A hook, as its owner has set it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What it is called, unique within the tenant.
    pub name: HookName,
    /// Where it leads, as it may be shown: without what follows `?`.
    pub shown_url: String,
    /// What it is told.
    pub events: BTreeSet<EventKind>,
    /// Letters that may be on their way at once; 1: each waits for the answer to the one before.
    pub at_once: usize,
    /// How long what is over is kept.
    pub kept: Duration,
    /// Where recordings can be had, if anywhere: the recording's name is put behind it.
    pub recordings: Option<String>,
}

/// A hook, and who brings its letters.
#[derive(Clone)]
pub struct HookSetup {
    /// The hook.
    pub hook: Hook,
    /// Brings letters to its address.
    pub courier: Arc<dyn Courier>,
}

/// A hook, as it is known to whoever asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HookRow {
    pub(crate) url: String,
    pub(crate) events: BTreeSet<EventKind>,
    /// What happened before is not told.
    pub(crate) since: UnixMillis,
}

impl Row for HookRow {
    const VERSION: u16 = 1;
}

/// How far the journal is folded for a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HookCursor {
    /// The last step, by revision.
    pub(crate) cursor: u64,
}

impl Row for HookCursor {
    const VERSION: u16 = 1;
}

/// A letter that waits. Never changed: its place in the line is its revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LetterRow {
    pub(crate) event: Event,
    /// When it came into the queue.
    pub(crate) queued: UnixMillis,
    /// Somebody has laid it there by a command, and wants to see what comes of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) by_hand: bool,
}

impl Row for LetterRow {
    const VERSION: u16 = 1;
}

/// How often a waiting letter was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TryRow {
    pub(crate) failures: u32,
    /// When it goes again.
    pub(crate) due: UnixMillis,
    /// The last failure.
    pub(crate) at: UnixMillis,
    /// The first failure; absent in rows of earlier versions.
    #[serde(default)]
    pub(crate) first: Option<UnixMillis>,
    #[serde(default)]
    pub(crate) status: Option<u16>,
    pub(crate) why: String,
}

impl Row for TryRow {
    const VERSION: u16 = 1;
}

/// A letter that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OverRow {
    pub(crate) letter: LetterRow,
    /// How often it went.
    pub(crate) tries: u32,
    pub(crate) ended: UnixMillis,
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// Why it was not delivered; `None`: it was.
    #[serde(default)]
    pub(crate) why: Option<String>,
}

impl Row for OverRow {
    const VERSION: u16 = 1;
}
