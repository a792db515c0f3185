//! What a session needs from the world: a line, a card, a clock and chance.
//!
//! `dialer::conversation` implements these over a real call, `rehearsal` over a pretend one. No type of wasmtime
//! appears here. Times are [`Duration`]s since the session began, on the clock that [`Clock::elapsed`] reads.
//!
//! # What the session has already seen to
//!
//! * Every [`Part::Clip`] is a clip of the package; digits have become clips.
//! * [`Question::keys`] is sound: `max` is at least 1, `finish` is a key.
//! * Nothing is asked of a line after it answered [`LineError::HungUp`] or [`LineError::Ended`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
pub use zvonar_model::Direction;

use crate::question::{Answer, KeysWanted};

/// All that a session is plugged into. It comes back in [`crate::SessionEnd`], so that the fallback can be played.
pub struct Ports {
    /// The call.
    pub line: Box<dyn Line>,
    /// The card of the person on it.
    pub lead: Box<dyn Lead>,
    /// The time.
    pub clock: Box<dyn Clock>,
    /// 64 random bits at a time. Seeded, so that a run can be repeated.
    pub random: Box<dyn FnMut() -> u64 + Send>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// What is known about the call from its first moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The call's id in reports and logs.
    pub call: String,
    /// Who called whom.
    pub direction: Direction,
    /// The calling number or address.
    pub caller: String,
    /// The called number or address.
    pub callee: String,
    /// Which try this is to reach the lead, counted from 1.
    pub attempt: u32,
}

/// One thing to play. A prompt is a list of them, without a gap in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A clip of the package, by its name.
    Clip(Arc<str>),
    /// Silence.
    Pause(Duration),
}

/// A prompt and the keys that answer it. [`crate::question::KeyCollector`] holds the rules; a line drives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked; empty: only listen.
    pub prompt: Vec<Part>,
    /// Which keys are an answer.
    pub keys: KeysWanted,
    /// The first key stops the prompt.
    pub key_interrupts: bool,
}

/// Why the line did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The far end left.
    #[error("the far end hung up")]
    HungUp,
    /// This side ended the call: longest length reached, shutdown.
    #[error("the call was ended: {0}")]
    Ended(String),
    /// What was asked cannot be done; the line still stands.
    #[error("{0}")]
    Refused(String),
}

/// One answered call, as a scenario sees it.
///
/// Each function that waits gets `until`: the moment (on [`Clock::elapsed`]'s clock) at which the call has reached its
/// longest length. Reached while waiting, the line stops what it does and answers [`LineError::Ended`] with a sentence.
/// The line need not hang up then: the session ends within 2 s, and its owner hangs up.
///
/// The futures may be dropped at any point; that must stop the prompt but not break the line.
#[async_trait]
pub trait Line: Send {
    /// What is known about the call from its first moment.
    fn about(&self) -> About;

    /// Plays a prompt to its end; keys pressed meanwhile are dropped.
    async fn play(&mut self, prompt: &[Part], until: Duration) -> Result<(), LineError>;

    /// Asks, and waits for the keys. Keys pressed before are dropped, keys pressed during the prompt count.
    async fn ask(&mut self, question: &Question, until: Duration) -> Result<Answer, LineError>;

    /// Lets time pass in silence; keys pressed meanwhile are dropped.
    async fn wait(&mut self, time: Duration, until: Duration) -> Result<(), LineError>;

    /// Records until `stop_at_silence` of silence, or `longest` in all; gives the recording's name.
    async fn record_voice(
        &mut self,
        longest: Duration,
        stop_at_silence: Duration,
        until: Duration,
    ) -> Result<String, LineError> {
        let _ = (longest, stop_at_silence, until);
        Err(LineError::Refused("this host keeps no recordings".into()))
    }

    /// Hangs up. Comes back once the BYE is on its way; does not wait for its answer.
    async fn hangup(&mut self);
}

/// The card of the person on the line. Quick: nothing here may wait.
///
/// Lengths were checked by the session (see [`crate::Limits`]).
pub trait Lead: Send {
    /// A field by its name; sees what [`Lead::set_field`] wrote.
    fn field(&self, name: &str) -> Option<String>;
    /// Writes a field; the error is a sentence for the scenario's author.
    fn set_field(&mut self, name: &str, value: &str) -> Result<(), String>;
    /// Adds a note to the history.
    fn note(&mut self, text: &str);
    /// All numbers of the card go on the blacklist.
    fn block(&mut self, reason: &str);
}

/// The session's time.
pub trait Clock: Send + Sync {
    /// Monotonic time since the session began (real or virtual).
    fn elapsed(&self) -> Duration;
    /// The time of day in the lead's zone, RFC 9557: `2026-03-01T10:00:00+03:00[Europe/Moscow]`.
    fn now(&self) -> String;
}

/// A card in memory: the fields as they were, and what a session wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeadCard {
    /// The fields, with what the session wrote over them.
    pub fields: BTreeMap<String, String>,
    /// What the session wrote, by field.
    pub written: BTreeMap<String, String>,
    /// Notes, in order.
    pub notes: Vec<String>,
    /// Why the card goes on the blacklist, if it does. The first reason stands.
    pub blocked: Option<String>,
}

impl LeadCard {
    /// A card with these fields.
    pub fn new(fields: BTreeMap<String, String>) -> Self {
        Self { fields, ..Self::default() }
    }
}

impl Lead for LeadCard {
    fn field(&self, name: &str) -> Option<String> {
        self.fields.get(name).cloned()
    }

    fn set_field(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.fields.insert(name.to_owned(), value.to_owned());
        self.written.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    fn block(&mut self, reason: &str) {
        self.blocked.get_or_insert_with(|| reason.to_owned());
    }
}

/// A card that its owner keeps a hold of: the session writes through one handle, the owner reads through the other.
impl Lead for Arc<std::sync::Mutex<LeadCard>> {
    fn field(&self, name: &str) -> Option<String> {
        self.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).field(name)
    }

    fn set_field(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).set_field(name, value)
    }

    fn note(&mut self, text: &str) {
        self.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).note(text);
    }

    fn block(&mut self, reason: &str) {
        self.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).block(reason);
    }
}
