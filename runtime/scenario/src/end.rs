//! How a session ended, and what it left behind.

use std::fmt;
use std::time::Duration;

use zvonar_model::{SystemResult, TalkEnd, Trace};

use crate::{Limits, Ports};

/// Everything that is left of a session.
#[derive(Debug)]
pub struct SessionEnd {
    /// The result that the scenario set, by a name of its manifest.
    pub result: Option<String>,
    /// How it came to its end.
    pub ending: Ending,
    /// The far end left, or the call was ended: there is nobody to play anything to.
    pub line_over: bool,
    /// Something was played to its end, or a question was answered.
    pub spoke: bool,
    /// The caller left during a prompt or a question, or the last question got no key in time.
    pub not_heard_out: bool,
    /// What it used of its limits.
    pub usage: Usage,
    /// The limits: what the tenant grants, and the manifest asked for.
    pub limits: Limits,
    /// All calls to the host; the CPU ticks spent are in it.
    pub trace: Trace,
    /// What the session was plugged into, for the fallback and the hanging up.
    pub ports: Ports,
}

/// What a session used of its [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Calls to the host.
    pub host_calls: u32,
    /// Ticks of the CPU meter ([`crate::TICK`]) over the whole session; the limit holds between two calls that wait.
    pub cpu_ticks: u32,
    /// Linear memory at its end, which is its most.
    pub memory_bytes: u64,
    /// Log lines, those above the limit included.
    pub log_lines: u32,
    /// Text messages.
    pub sms: u32,
}

impl SessionEnd {
    /// Whether the caller is still on the line and was let down: play the manifest's [`crate::Fallback`], then hang up.
    pub fn wants_fallback(&self) -> bool {
        !self.line_over && !matches!(self.ending, Ending::Returned)
    }

    /// What the talk came to: the scenario's result if it set one, else what the system says. A caller that knows more
    /// about the line (nothing was sent yet: [`SystemResult::NothingPlayed`]) says so itself.
    pub fn talk_end(&self) -> TalkEnd {
        if let Some(result) = &self.result {
            return TalkEnd::Scenario(result.clone());
        }
        TalkEnd::System(match self.ending {
            Ending::Failed(_) | Ending::Faulted(_) => SystemResult::SystemError,
            Ending::Returned if self.not_heard_out => SystemResult::NotHeardOut,
            Ending::Returned if self.spoke => SystemResult::Connected,
            Ending::Returned => SystemResult::NoResult,
        })
    }
}

/// How the scenario's `run` came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It returned `ok`.
    Returned,
    /// It returned `err`, in its own words.
    Failed(String),
    /// It was stopped.
    Faulted(Fault),
}

/// Why a session was stopped. `Display` is a sentence for the scenario's author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The code trapped: a panic, a division by zero, an access out of bounds.
    Trap {
        /// What the sandbox calls it.
        what: String,
        /// Where.
        place: Option<Place>,
    },
    /// A limit was spent.
    Limit {
        /// Which, and how much was allowed.
        spent: Spent,
        /// Where the code was at that moment.
        place: Option<Place>,
    },
    /// There never was an instance; the sentence says why.
    NotStarted(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self {
            Self::Trap { what, place } => {
                write!(f, "the scenario trapped: {what}")?;
                place
            }
            Self::Limit { spent, place } => {
                write!(f, "the scenario spent a limit: {spent}")?;
                place
            }
            Self::NotStarted(why) => return write!(f, "the scenario could not be started: {why}"),
        };
        match place {
            Some(place) => write!(f, ", in {place}"),
            None => Ok(()),
        }
    }
}

/// A limit of [`crate::Limits`] that was spent, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// CPU between two host calls that wait.
    #[error("{} ms of CPU between two words", .0.as_millis())]
    Cpu(Duration),
    /// Linear memory.
    #[error("{} KiB of memory", .0 / 1024)]
    Memory(u64),
    /// The call stack.
    #[error("{} KiB of call stack", .0 / 1024)]
    Stack(usize),
    /// Calls to the host.
    #[error("{0} calls to the host")]
    HostCalls(u32),
    /// The time after the end of the call.
    #[error("{} s after the end of the call", .0.as_secs())]
    AfterTheCall(Duration),
    /// What one call to the host may carry.
    #[error("{} KiB in one call to the host", .0 / 1024)]
    HostCallBytes(usize),
}

/// A place in the scenario's source: the innermost frame that is the author's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The function's name, demangled.
    pub function: String,
    /// File and line, when the component carries debug information.
    pub source: Option<(String, u32)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.function)?;
        match &self.source {
            Some((file, line)) => write!(f, " ({file}:{line})"),
            None => Ok(()),
        }
    }
}
