//! Replay: what a module would have done on a call that was recorded.
//!
//! A trace holds every call of a scenario to its host with the answer. Here the host's part is read from the trace: the
//! line answers what it answered then, the clock and chance show what they showed, settings and the card have the values
//! that were asked for. As long as the module makes the same calls, it sees the same world; the first call that is not
//! the recorded one is the first decision that differs, and the replay ends there, since nobody knows what the caller
//! would have said to something that he never heard.
//!
//! Settings that the recorded version never asked for have the manifest's defaults.
//!
//! # Invariants
//!
//! * A replay reads nothing but the trace and the module, and changes nothing.
//! * The module that was recorded replays as [`Verdict::Same`].
//!
//! Deliberately absent: time. A scenario that computes for longer decides the same.

mod tape;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use zvonar_model::trace::{TRACE_VERSION, TraceEvent};
use zvonar_model::{AttemptRecord, Trace};
use zvonar_scenario::{Ending, Limits, Module, Seat, Start};

use tape::{SharedTape, Tape};

/// What a replay found.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Every decision is the recorded one.
    Same,
    /// The first one that is not.
    Differs(Box<Difference>),
    /// The recorded call cannot be compared, for this reason.
    NotComparable(String),
}

/// The first decision that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Its moment in the recorded call, in milliseconds.
    pub at_ms: u32,
    /// Which of the trace's events it is, counted from 0.
    pub index: usize,
    /// What the recorded version did.
    pub recorded: Decision,
    /// What this one does.
    pub now: Decision,
}

/// What a scenario can do next.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It calls its host.
    Call {
        /// `line.ask`, …
        call: String,
        /// The arguments.
        given: Value,
        /// The answer, where it is the answer that differs: a result that is not declared any more, a clip that is gone.
        #[serde(skip_serializing_if = "Option::is_none")]
        got: Option<Value>,
    },
    /// It returns.
    Returns,
    /// It fails, in a sentence.
    Fails(String),
}

impl Decision {
    fn recorded(event: Option<&TraceEvent>) -> Self {
        event.map_or(Self::Returns, |event| Self::Call {
            call: event.call.to_string(),
            given: event.given.clone(),
            got: None,
        })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { call, given, got } => {
                f.write_str(call)?;
                if !given.is_null() {
                    write!(f, " {given}")?;
                }
                match got {
                    Some(Value::Null) => f.write_str(" -> done"),
                    Some(got) => write!(f, " -> {got}"),
                    None => Ok(()),
                }
            }
            Self::Returns => f.write_str("the scenario is done"),
            Self::Fails(why) => f.write_str(why),
        }
    }
}

/// Replays calls against one module.
#[derive(Debug)]
pub struct Replayer {
    module: Arc<Module>,
    defaults: BTreeMap<String, String>,
    /// Held between replays, so that the CPU meter does not fall asleep and wake up for each.
    _seat: Seat,
}

impl Replayer {
    /// # Errors
    ///
    /// A sentence, when the sandbox has no room for two sessions.
    pub fn new(module: Arc<Module>) -> Result<Self, String> {
        let seat = module.take_seat().ok_or("the sandbox has no room for a replay")?;
        let settings = &module.manifest().settings;
        let defaults = settings.iter().filter_map(|one| Some((one.name.clone(), one.default.clone()?)));
        Ok(Self { defaults: defaults.collect(), _seat: seat, module })
    }

    /// What the calls are replayed against.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// Whether the record is of a call on which this scenario ran, whichever version of it.
    pub fn concerns(&self, record: &AttemptRecord) -> bool {
        let name = &self.module.manifest().name;
        record.trace.version != 0 && record.scenario.as_ref().is_some_and(|scenario| scenario.name == *name)
    }

    /// Replays one call.
    pub fn replay(&self, trace: Trace) -> Verdict {
        if let Some(why) = not_comparable(&trace) {
            return Verdict::NotComparable(why);
        }
        let settings = self.settings(&trace);
        let tape = SharedTape::new(Tape::new(trace));
        let Some(seat) = self.module.take_seat() else {
            return Verdict::NotComparable("the sandbox has no room for another session".into());
        };
        let start = Start { ports: tape.ports(), settings, limits: limits() };
        let mut run = pin!(self.module.run(seat, start));
        let mut context = Context::from_waker(Waker::noop());
        let ending = loop {
            match run.as_mut().poll(&mut context) {
                Poll::Ready(end) => break Some(end.ending),
                // The line never answers once a decision differs; dropping the session ends it.
                Poll::Pending if tape.lock().is_decided() => break None,
                // A guest that computes for long gives others their turn.
                Poll::Pending => {}
            }
        };
        tape.lock().verdict(ending)
    }

    /// What the recorded version was told, over the defaults of this one.
    fn settings(&self, trace: &Trace) -> Arc<BTreeMap<String, String>> {
        let mut settings = self.defaults.clone();
        for event in trace.events.iter().filter(|event| event.call == "settings.get") {
            let Some(name) = event.given.as_str() else { continue };
            match event.got.as_str() {
                Some(value) => drop(settings.insert(name.to_owned(), value.to_owned())),
                None => drop(settings.remove(name)),
            }
        }
        Arc::new(settings)
    }
}

fn not_comparable(trace: &Trace) -> Option<String> {
    if trace.version != TRACE_VERSION {
        return Some(match trace.version {
            0 => "no scenario ran on it".into(),
            other => format!("its trace has version {other}; this program reads version {TRACE_VERSION}"),
        });
    }
    if let Some(fault) = &trace.fault {
        return Some(format!("the recorded scenario failed: {fault}"));
    }
    (trace.dropped > 0)
        .then(|| format!("its trace is not whole: {} calls to the host were not kept", trace.dropped))
}

/// Nothing that the recorded call was allowed may be lacking here. No trace is written of a replay.
fn limits() -> Limits {
    Limits {
        memory_bytes: 1 << 30,
        cpu: Duration::from_secs(1),
        call: Duration::from_secs(24 * 3600),
        host_calls: 1_000_000,
        log_lines: 1_000_000,
        sms: 1_000_000,
        trace_events: 0,
        trace_bytes: 0,
    }
}

impl Tape {
    /// What came of the replay; `ending`: of a session that was not stopped.
    fn verdict(&mut self, ending: Option<Ending>) -> Verdict {
        if let Some(why) = self.unreadable.take() {
            return Verdict::NotComparable(why);
        }
        if let Some(difference) = self.difference.take() {
            return Verdict::Differs(Box::new(difference));
        }
        let now = match ending {
            Some(Ending::Returned) if self.next_event().is_none() => return Verdict::Same,
            Some(Ending::Returned) | None => Decision::Returns,
            Some(Ending::Failed(words)) => Decision::Fails(format!("the scenario returns an error: {words}")),
            Some(Ending::Faulted(fault)) => Decision::Fails(fault.to_string()),
        };
        Verdict::Differs(Box::new(self.differs_by(Decision::recorded(self.next_event()), now)))
    }
}

#[cfg(test)]
mod tests;
