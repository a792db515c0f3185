//! The host's part of a recorded call, read back in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use zvonar_model::trace::TraceEvent;
use zvonar_model::{Direction, Trace};
use zvonar_scenario::ports::{
    About, Clock, Destination, Lead, Line, LineError, Part, Ports, Question, Sms, SmsError, TransferEnd,
    TransferOptions,
};
use zvonar_scenario::question::{Answer, Heard};

use super::{Decision, Difference};

/// A trace, and how far it was read.
pub(super) struct Tape {
    trace: Trace,
    next: usize,
    /// The event at `next` was answered from the trace, so its answer need not be compared.
    answered: bool,
    elapsed: Duration,
    pub(super) difference: Option<Difference>,
    /// The trace holds an answer that makes no sense.
    pub(super) unreadable: Option<String>,
}

/// The session's handles. Clones read the same tape.
#[derive(Clone)]
pub(super) struct SharedTape(Arc<Mutex<Tape>>);

impl SharedTape {
    pub(super) fn new(tape: Tape) -> Self {
        Self(Arc::new(Mutex::new(tape)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ports(&self) -> Ports {
        let chance = self.clone();
        Ports {
            line: Box::new(self.clone()),
            lead: Box::new(self.clone()),
            sms: Box::new(self.clone()),
            clock: Box::new(self.clone()),
            random: Box::new(move || {
                let read = |got: &Value| got.as_str()?.parse().ok();
                chance.lock().answer("host.random", read).unwrap_or_default()
            }),
        }
    }

    /// An answer of the line; never one after the first difference.
    async fn line<T>(
        &self,
        call: &'static str,
        read: impl Fn(&Value) -> Option<T> + Send,
    ) -> Result<T, LineError> {
        let answer = {
            let mut tape = self.lock();
            let answer = if tape.is_decided() {
                None
            } else {
                let other = || Err(LineError::Ended("the recorded call went another way".into()));
                Some(tape.answer(call, |got| line_answer(got, &read)).unwrap_or_else(other))
            };
            tape.pass_answer();
            answer
        };
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

impl Tape {
    pub(super) fn new(trace: Trace) -> Self {
        Self { trace, next: 0, answered: false, elapsed: Duration::ZERO, difference: None, unreadable: None }
    }

    /// Whether there is nothing more to find out.
    pub(super) fn is_decided(&self) -> bool {
        self.difference.is_some() || self.unreadable.is_some()
    }

    pub(super) fn next_event(&self) -> Option<&TraceEvent> {
        self.trace.events.get(self.next)
    }

    /// The recorded answer to this call; `None`: it is not the call that was recorded.
    fn answer<T>(&mut self, call: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let event = self.trace.events.get(self.next).filter(|event| event.call == call)?;
        let answer = read(&event.got);
        self.answered = answer.is_some();
        if answer.is_none() {
            let (index, got) = (self.next, &event.got);
            let why =
                format!("event {index} of its trace has an answer to {call} that cannot be read: {got}");
            self.unreadable.get_or_insert(why);
        }
        answer
    }

    /// Time moves to where the recorded answer came.
    fn pass_answer(&mut self) {
        if let Some(event) = self.trace.events.get(self.next) {
            self.elapsed = Duration::from_millis(u64::from(event.at_ms) + u64::from(event.took_ms));
        }
    }

    /// A call was served: the recorded one, or the first that is not.
    fn compare(&mut self, call: &str, given: &Value, got: &Value) {
        let answered = std::mem::take(&mut self.answered);
        if self.is_decided() {
            return;
        }
        let now = |got| Decision::Call { call: call.to_owned(), given: given.clone(), got };
        let difference = match self.next_event() {
            Some(event) if event.call == call && event.given == *given => {
                if answered || event.got == *got {
                    None
                } else {
                    let recorded = now(Some(event.got.clone()));
                    Some((recorded, now(Some(got.clone()))))
                }
            }
            event => Some((Decision::recorded(event), now(None))),
        };
        match difference {
            Some((recorded, now)) => self.difference = Some(self.differs_by(recorded, now)),
            None => {
                self.next += 1;
                if let Some(event) = self.trace.events.get(self.next) {
                    self.elapsed = Duration::from_millis(event.at_ms.into());
                }
            }
        }
    }

    pub(super) fn differs_by(&self, recorded: Decision, now: Decision) -> Difference {
        // Beyond the last event: the moment at which the last one was answered.
        let last = || self.trace.events.last().map(|event| event.at_ms.saturating_add(event.took_ms));
        let at_ms = self.next_event().map(|event| event.at_ms).or_else(last).unwrap_or(0);
        Difference { at_ms, index: self.next, recorded, now }
    }
}

/// An answer of the line in the trace's form.
fn line_answer<T>(got: &Value, ok: impl FnOnce(&Value) -> Option<T>) -> Option<Result<T, LineError>> {
    let Some(error) = got.get("err") else { return ok(got).map(Ok) };
    let words = |name: &str| error.get(name)?.as_str().map(str::to_owned);
    if error.as_str() == Some("hung-up") {
        return Some(Err(LineError::HungUp));
    }
    let ended = words("ended").map(LineError::Ended);
    ended.or_else(|| words("refused").map(LineError::Refused)).map(Err)
}

fn nothing(got: &Value) -> Option<()> {
    got.is_null().then_some(())
}

fn millis(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_millis)
}

fn answer(got: &Value) -> Option<Answer> {
    match got.as_str() {
        Some("silence") => return Some(Answer::Silence),
        Some("recogniser-busy") => return Some(Answer::RecogniserBusy),
        _ => {}
    }
    if let Some(keys) = got.get("keys") {
        return keys.as_str().map(|keys| Answer::Keys(keys.to_owned()));
    }
    let speech = got.get("speech")?;
    Some(Answer::Speech(Heard {
        phrase: speech.get("phrase").and_then(Value::as_str).map(str::to_owned),
        text: speech.get("text")?.as_str()?.to_owned(),
        confidence: speech.get("confidence")?.as_f64()? as f32,
        voiced: millis(speech.get("voiced")?)?,
    }))
}

fn transfer_end(got: &Value) -> Option<TransferEnd> {
    Some(match got.as_str() {
        Some("busy") => TransferEnd::Busy,
        Some("no-answer") => TransferEnd::NoAnswer,
        Some("rejected") => TransferEnd::Rejected,
        Some("nobody") => TransferEnd::Nobody,
        Some(_) => return None,
        None => match (got.get("talked"), got.get("failed")) {
            (Some(time), _) => TransferEnd::Talked(millis(time)?),
            (None, Some(why)) => TransferEnd::Failed(why.as_str()?.to_owned()),
            (None, None) => return None,
        },
    })
}

fn about(got: &Value) -> Option<About> {
    let text = |name: &str| got.get(name)?.as_str().map(str::to_owned);
    let direction = match got.get("direction")?.as_str()? {
        "outbound" => Direction::Outbound,
        "inbound" => Direction::Inbound,
        _ => return None,
    };
    Some(About {
        call: text("call")?,
        direction,
        caller: text("caller")?,
        callee: text("callee")?,
        attempt: u32::try_from(got.get("attempt")?.as_u64()?).ok()?,
    })
}

#[async_trait]
impl Line for SharedTape {
    fn about(&self) -> About {
        let unknown = || About {
            call: String::new(),
            direction: Direction::Outbound,
            caller: String::new(),
            callee: String::new(),
            attempt: 1,
        };
        self.lock().answer("line.about", about).unwrap_or_else(unknown)
    }

    fn hears_speech(&self) -> bool {
        // A line that did not is in the trace as a refusal.
        true
    }

    async fn play(&mut self, _: &[Part], _: Duration) -> Result<(), LineError> {
        self.line("line.play", nothing).await
    }

    async fn ask(&mut self, _: &Question, _: Duration) -> Result<Answer, LineError> {
        self.line("line.ask", answer).await
    }

    async fn wait(&mut self, _: Duration, _: Duration) -> Result<(), LineError> {
        self.line("line.wait", nothing).await
    }

    async fn record_voice(&mut self, _: Duration, _: Duration, _: Duration) -> Result<String, LineError> {
        self.line("line.record-voice", |got| got.as_str().map(str::to_owned)).await
    }

    async fn transfer(
        &mut self,
        _: &Destination,
        _: &TransferOptions,
        _: Duration,
    ) -> Result<TransferEnd, LineError> {
        self.line("line.transfer", transfer_end).await
    }

    async fn hangup(&mut self) {}

    fn follows(&self) -> bool {
        true
    }

    fn served(&mut self, call: &'static str, given: &Value, got: &Value) {
        self.lock().compare(call, given, got);
    }
}

impl Lead for SharedTape {
    fn field(&self, _: &str) -> Option<String> {
        self.lock().answer("lead.field", |got| Some(got.as_str().map(str::to_owned)))?
    }

    fn set_field(&mut self, _: &str, _: &str) -> Result<(), String> {
        let read = |got: &Value| match got.get("err") {
            Some(why) => why.as_str().map(|why| Err(why.to_owned())),
            None => Some(Ok(())),
        };
        self.lock().answer("lead.set-field", read).unwrap_or(Ok(()))
    }

    fn note(&mut self, _: &str) {}

    fn block(&mut self, _: &str) {}
}

impl Sms for SharedTape {
    fn send(&mut self, _: Option<&str>, _: &str) -> Result<String, SmsError> {
        let read = |got: &Value| {
            let Some(error) = got.get("err") else { return Some(Ok(got.as_str()?.to_owned())) };
            Some(Err(match error.as_str() {
                Some("not-configured") => SmsError::NotConfigured,
                Some("limit") => SmsError::Limit,
                Some(_) => return None,
                None => SmsError::Refused(error.get("refused")?.as_str()?.to_owned()),
            }))
        };
        self.lock().answer("sms.send", read).unwrap_or(Err(SmsError::NotConfigured))
    }
}

impl Clock for SharedTape {
    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }

    fn now(&self) -> String {
        let read = |got: &Value| got.as_str().map(str::to_owned);
        self.lock().answer("host.now", read).unwrap_or_default()
    }
}
