//! What one session may use, and what happens when it wants more.

use std::time::Duration;

/// One tick of the sandbox's CPU meter.
pub const TICK: Duration = Duration::from_millis(5);

/// What an instance may do after the far end left or the call was ended.
pub const AFTER_THE_CALL: Duration = Duration::from_secs(2);

/// What a session gets that asks for nothing, in bytes; see [`memory_unasked`].
const USUAL_MEMORY: u64 = 32 << 20;

/// What one session may use. A tenant has its own; a manifest may ask for less or more, and gets the lesser of both.
/// One that asks for nothing gets what the tenant grants, but of memory no more than scenarios of its kind use
/// ([`crate::Module::limits`]).
///
/// Beyond `memory`, `cpu`, `call` or `host_calls` the session ends with [`crate::Fault::Limit`] (`call` ends the line
/// first, so that the scenario can say its result). Log lines and trace events above their limit are dropped and
/// counted: a talkative scenario is no reason to leave a caller in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of all the component's modules together, in bytes.
    pub memory_bytes: u64,
    /// CPU time between two host calls that wait, counted in ticks of [`TICK`]. Time spent waiting gives as much back.
    pub cpu: Duration,
    /// The longest session.
    pub call: Duration,
    /// Calls to the host in all.
    pub host_calls: u32,
    /// Log lines kept.
    pub log_lines: u32,
    /// Text messages. What is above is answered with `limit`.
    pub sms: u32,
    /// Events in the trace.
    pub trace_events: u32,
    /// What the trace may weigh as JSON, about, in bytes.
    pub trace_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Enough for a JavaScript or Python scenario; see `memory_unasked` for the others.
            memory_bytes: 64 << 20,
            cpu: Duration::from_millis(50),
            call: Duration::from_secs(30 * 60),
            host_calls: 10_000,
            log_lines: 200,
            sms: 5,
            trace_events: 1_000,
            trace_bytes: 64 << 10,
        }
    }
}

impl Limits {
    /// The CPU budget in whole ticks, at least one.
    pub fn cpu_ticks(&self) -> u32 {
        u32::try_from(self.cpu.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX).max(1)
    }

    /// What is left when a package wants other limits than the tenant grants: the lesser of each.
    pub fn within(self, wanted: &WantedLimits) -> Self {
        Self {
            memory_bytes: wanted.memory_bytes.unwrap_or(u64::MAX).min(self.memory_bytes),
            cpu: wanted.cpu.unwrap_or(Duration::MAX).min(self.cpu),
            call: wanted.call.unwrap_or(Duration::MAX).min(self.call),
            host_calls: wanted.host_calls.unwrap_or(u32::MAX).min(self.host_calls),
            log_lines: wanted.log_lines.unwrap_or(u32::MAX).min(self.log_lines),
            sms: wanted.sms.unwrap_or(u32::MAX).min(self.sms),
            ..self
        }
    }
}

/// The memory of a scenario whose manifest asks for none, in bytes, by what it has from its first moment on.
///
/// A Rust or C scenario begins with about 1 MiB and gets the usual 32. One that carries an interpreter begins with much
/// more, and gets twice that: the interpreter's heap is most of what it begins with.
pub(crate) fn memory_unasked(initial_bytes: u64) -> u64 {
    initial_bytes.saturating_mul(2).max(USUAL_MEMORY)
}

/// What a manifest's `[limits]` asks for; absent: see [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WantedLimits {
    /// `memory-mib`
    pub memory_bytes: Option<u64>,
    /// `cpu-ms`
    pub cpu: Option<Duration>,
    /// `call-seconds`
    pub call: Option<Duration>,
    /// `host-calls`
    pub host_calls: Option<u32>,
    /// `log-lines`
    pub log_lines: Option<u32>,
    /// `sms`
    pub sms: Option<u32>,
}

/// The longest name of a field of the card.
pub(crate) const FIELD_NAME_BYTES: usize = crate::card::MAX_FIELD_NAME;
/// The longest value of a field, and where a note or a reason is cut.
pub(crate) const TEXT_BYTES: usize = crate::card::MAX_TEXT;
/// Where a log line is cut.
pub(crate) const LOG_BYTES: usize = 512;
/// How many parts one prompt may have.
pub(crate) const PROMPT_PARTS: usize = 64;
/// How many characters `digits` spells out at most.
pub(crate) const DIGITS: usize = 32;
/// How many fields and notes one session may write.
pub(crate) const CARD_WRITES: u32 = 200;
/// How many times one session may record its caller, and hand the caller over: each makes a file, or rings somebody.
pub(crate) const RECORDINGS: u32 = 20;
/// See [`RECORDINGS`].
pub(crate) const TRANSFERS: u32 = 10;
/// The longest text of a message: ten segments of Cyrillic (67 characters of two bytes) and then some.
pub(crate) const SMS_BYTES: usize = 2048;
/// How many phrases a question may listen for, how many ways of saying each, and how long one may be.
pub(crate) const PHRASES: usize = 100;
/// See [`PHRASES`].
pub(crate) const WAYS_TO_SAY: usize = 50;
/// See [`PHRASES`].
pub(crate) const PHRASE_BYTES: usize = 200;
