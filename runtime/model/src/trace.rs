//! Everything a scenario could see, in order: its calls to the host, the answers, the time and what they cost.
//!
//! A trace replays: fed back to the same module it leads to the same decisions, fed to another it shows the first one
//! that differs. Kept small: a typical call stays under 4 KB as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The shape of [`Trace`] that this code writes.
pub const TRACE_VERSION: u16 = 1;

/// One session's talk with its host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Trace {
    /// [`TRACE_VERSION`] at the time of writing; 0: no scenario ran.
    pub version: u16,
    /// The calls, in order.
    pub events: Vec<TraceEvent>,
    /// Calls that were not kept because the trace was full (their effects happened all the same).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u32,
    /// CPU ticks of the sandbox (5 ms each) spent in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ticks: u32,
    /// How the session failed, in a sentence: `None` for a return without error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// One call of the scenario to its host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// When it was made: milliseconds since the session began.
    pub at_ms: u32,
    /// How long the host took to answer, in milliseconds: 0 for all that do not wait.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub took_ms: u32,
    /// `line.ask`, `outcome.set-result`, …: interface and function as in the WIT.
    pub call: Cow<'static, str>,
    /// The arguments.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub given: serde_json::Value,
    /// The answer.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub got: serde_json::Value,
    /// CPU ticks of the sandbox (5 ms each) spent since the call before; 0 is usual.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ticks: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
