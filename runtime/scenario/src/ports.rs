//! What a session needs from the world: a line, a card, a clock and chance.
//!
//! `dialer::conversation` implements these over a real call, `rehearsal` over a pretend one. No type of wasmtime
//! appears here. Times are [`Duration`]s since the session began, on the clock that [`Clock::elapsed`] reads.
//!
//! # What the session has already seen to
//!
//! * Every [`Part::Clip`] is a clip of the package; digits have become clips.
//! * A [`Question`] wants keys, speech or both; its keys are sound: `max` is at least 1, `finish` is a key.
//! * Speech is only asked for on a line that [`Line::hears_speech`].
//! * Nothing is asked of a line after it answered [`LineError::HungUp`] or [`LineError::Ended`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
pub use zvonar_model::Direction;

use crate::question::{Answer, KeysWanted, SpeechWanted};

/// All that a session is plugged into. It comes back in [`crate::SessionEnd`], so that the fallback can be played.
pub struct Ports {
    /// The call.
    pub line: Box<dyn Line>,
    /// The card of the person on it.
    pub lead: Box<dyn Lead>,
    /// Text messages.
    pub sms: Box<dyn Sms>,
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

/// A prompt, and what answers it. [`crate::question::KeyCollector`] holds the rules of keys; a line drives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked; empty: only listen.
    pub prompt: Vec<Part>,
    /// Which keys are an answer; `None`: keys are none.
    pub keys: Option<KeysWanted>,
    /// Which speech is an answer; `None`: speech is none.
    pub speech: Option<SpeechWanted>,
    /// The first key stops the prompt.
    pub key_interrupts: bool,
    /// Speech stops the prompt.
    pub voice_interrupts: bool,
}

/// To whom a caller is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A free operator of the group; `None`: of any.
    Operator(Option<String>),
    /// A telephone number.
    Number(String),
}

/// How to hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferOptions {
    /// How long the caller may wait.
    pub longest_wait: Duration,
    /// The clip to loop meanwhile; `None`: the ringing tone.
    pub music: Option<Arc<str>>,
    /// The project that the caller is added to if nobody takes the call.
    pub call_back_project: Option<String>,
}

/// What came of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferEnd {
    /// They talked this long; the caller is still on the line.
    Talked(Duration),
    /// The far end was engaged.
    Busy,
    /// The far end did not pick up.
    NoAnswer,
    /// The far end declined.
    Rejected,
    /// No operator was free in time.
    Nobody,
    /// Anything else, in words.
    Failed(String),
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

    /// Whether speech can be an answer here. Where it cannot, the session refuses the question.
    fn hears_speech(&self) -> bool {
        false
    }

    /// Asks, and waits for the answer. Keys pressed before are dropped, keys pressed during the prompt count.
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

    /// Hands the caller over, and comes back when that is over.
    async fn transfer(
        &mut self,
        to: &Destination,
        options: &TransferOptions,
        until: Duration,
    ) -> Result<TransferEnd, LineError> {
        let _ = (to, options, until);
        Err(LineError::Refused("this host does not transfer calls".into()))
    }

    /// Hangs up. Comes back once the BYE is on its way; does not wait for its answer.
    async fn hangup(&mut self);

    /// Whether [`Line::served`] wants to be told. A real line has no use for it.
    fn follows(&self) -> bool {
        false
    }

    /// A call of the scenario to its host was served, whichever interface it was of: its name, arguments and answer as
    /// the trace has them. For those who show a talk as it goes, or compare it with another.
    fn served(&mut self, call: &'static str, given: &serde_json::Value, got: &serde_json::Value) {
        let _ = (call, given, got);
    }
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

/// Why no text was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmsError {
    /// The tenant has no gateway.
    NotConfigured,
    /// The gateway or the host refused, in words for the scenario's author.
    Refused(String),
    /// This call has sent as many texts as one call may.
    Limit,
}

/// Text messages. Quick: nothing here may wait for a gateway.
///
/// Lengths and the number of texts were checked by the session (see [`crate::Limits`]).
pub trait Sms: Send {
    /// Queues a text, to the caller's own number with `None`, and gives its id.
    fn send(&mut self, to: Option<&str>, text: &str) -> Result<String, SmsError>;
}

/// A tenant without a gateway.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSms;

impl Sms for NoSms {
    fn send(&mut self, _: Option<&str>, _: &str) -> Result<String, SmsError> {
        Err(SmsError::NotConfigured)
    }
}

/// The session's time.
pub trait Clock: Send + Sync {
    /// Monotonic time since the session began (real or virtual).
    fn elapsed(&self) -> Duration;
    /// The time of day in the lead's zone, RFC 9557: `2026-03-01T10:00:00+03:00[Europe/Moscow]`.
    fn now(&self) -> String;
}
