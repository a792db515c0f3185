//! Writing the trace of a session, within its bounds, and the one JSON form of what scenarios and hosts tell each other.
//!
//! The form is compact and complete, so that a replay can answer in the host's place:
//!
//! * a prompt is a list: a clip is its name, a pause its milliseconds, the rest `{"digits": "…"}`, `{"number": 5}`,
//!   `{"say": "…"}`;
//! * a unit `ok` is nothing at all; an error is `{"err": "hung-up"}`, `{"err": {"ended": "…"}}`,
//!   `{"err": {"refused": "…"}}` or `{"err": "…"}` where the WIT has a plain text;
//! * an answer is `{"keys": "1"}` or `"silence"`; an absent option is `null`.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};
use zvonar_model::trace::{TRACE_VERSION, Trace, TraceEvent};

use crate::Limits;
use crate::interfaces::types::{LineError, Part, shorten};
use crate::limits::TEXT_BYTES;

/// Gathers a session's events.
pub(crate) struct Recorder {
    trace: Trace,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
    /// A bound was reached: nothing more is kept.
    full: bool,
    /// Ticks since the last event, told or not.
    ticks: u32,
}

impl Recorder {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            trace: Trace { version: TRACE_VERSION, ..Trace::default() },
            bytes: 0,
            max_events: limits.trace_events as usize,
            max_bytes: limits.trace_bytes as usize,
            full: false,
            ticks: 0,
        }
    }

    /// The guest was seen running at one tick of the CPU meter.
    pub(crate) fn tick(&mut self) {
        self.ticks = self.ticks.saturating_add(1);
        self.trace.ticks = self.trace.ticks.saturating_add(1);
    }

    /// Ticks so far.
    pub(crate) fn ticks(&self) -> u32 {
        self.trace.ticks
    }

    /// One call. Above the bounds it is counted and not kept: the beginning of a talk says more than its end about why
    /// a scenario went astray, and a replay needs an unbroken beginning.
    pub(crate) fn record(
        &mut self,
        at: Duration,
        took: Duration,
        name: &'static str,
        told: impl FnOnce() -> (Value, Value),
    ) {
        let ticks = std::mem::take(&mut self.ticks);
        self.full |= self.trace.events.len() >= self.max_events;
        if self.full {
            return self.drop_one();
        }
        let (given, got) = told();
        self.bytes += 40 + name.len() + weight(&given) + weight(&got);
        if self.bytes > self.max_bytes {
            self.full = true;
            return self.drop_one();
        }
        let event = TraceEvent {
            at_ms: millis(at),
            took_ms: millis(took),
            call: Cow::Borrowed(name),
            given,
            got,
            ticks,
        };
        self.trace.events.push(event);
    }

    /// A call that is not kept.
    pub(crate) fn drop_one(&mut self) {
        self.trace.dropped = self.trace.dropped.saturating_add(1);
    }

    pub(crate) fn finish(self, fault: Option<String>) -> Trace {
        let mut trace = self.trace;
        trace.fault = fault;
        trace.events.shrink_to_fit();
        trace
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// About how many bytes a value has as JSON.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 3,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() + 4 + weight(value)).sum::<usize>() + 2
        }
    }
}

/// Cuts the long texts of what a guest gave.
pub(crate) fn cut(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > TEXT_BYTES => text.truncate(shorten(text, TEXT_BYTES).len()),
        Value::Array(items) => items.iter_mut().for_each(cut),
        Value::Object(fields) => fields.values_mut().for_each(cut),
        _ => {}
    }
}

pub(crate) fn prompt(parts: &[Part]) -> Value {
    parts
        .iter()
        .map(|part| match part {
            Part::Clip(name) => json!(name),
            Part::Pause(ms) => json!(ms),
            Part::Say(text) => json!({ "say": text }),
            Part::Digits(digits) => json!({ "digits": digits }),
            Part::Number(number) => json!({ "number": number }),
        })
        .collect()
}

/// An answer of the line, by the form of its `ok`.
pub(crate) fn line<T>(answer: &Result<T, LineError>, ok: impl FnOnce(&T) -> Value) -> Value {
    match answer {
        Ok(value) => ok(value),
        Err(LineError::HungUp) => json!({ "err": "hung-up" }),
        Err(LineError::Ended(why)) => json!({ "err": { "ended": why } }),
        Err(LineError::Refused(why)) => json!({ "err": { "refused": why } }),
    }
}

/// An answer that is nothing or a sentence.
pub(crate) fn done(answer: &Result<(), String>) -> Value {
    match answer {
        Ok(()) => Value::Null,
        Err(why) => json!({ "err": why }),
    }
}
