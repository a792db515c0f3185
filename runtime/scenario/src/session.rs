//! One running instance: what it may still spend, what it has said, and its run from start to end.
//!
//! The store's data is [`State`]. Each interface of the world is implemented on it in its own file of `interfaces`;
//! what they share — counting a call, minding the limits, writing the trace — is here.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline, WasmBacktrace};

use crate::engine::GUEST_STACK;
use crate::ports::{About, Clock, Direction, LeadCard, Line, NoSms, Part, Question};
use crate::question::Answer;
use crate::trace::{self, Recorder};
use crate::{
    AFTER_THE_CALL, Ending, Fault, Limits, LineError, Module, Place, Ports, SessionEnd, Spent, TICK, Usage,
};

/// What a session is started with.
#[derive(Debug)]
pub struct Start {
    /// The call, the card, the time, chance.
    pub ports: Ports,
    /// The project's settings: [`crate::Manifest::fill_settings`].
    pub settings: Arc<BTreeMap<String, String>>,
    /// What the tenant grants. The manifest's wishes are applied to it here.
    pub limits: Limits,
}

/// What one call to the host may carry from guest to host, in bytes.
const HOST_CALL_BYTES: usize = 128 << 10;

/// A session's side of its store.
pub(crate) struct State {
    pub(crate) ports: Ports,
    pub(crate) module: Arc<Module>,
    pub(crate) settings: Arc<BTreeMap<String, String>>,
    pub(crate) limits: Limits,
    pub(crate) trace: Recorder,
    pub(crate) result: Option<String>,
    pub(crate) spoke: bool,
    pub(crate) not_heard_out: bool,
    /// Why and since when the line is over.
    over: Option<(LineError, Duration)>,
    pub(crate) log_lines: u32,
    pub(crate) card_writes: u32,
    pub(crate) sms_sent: u32,
    pub(crate) recordings: u32,
    pub(crate) transfers: u32,
    host_calls: u32,
    memory_bytes: u64,
    meter: Meter,
}

/// The CPU meter. It counts the ticks during which the guest was seen running: an instance that the machine had no time
/// for is not charged for waiting.
struct Meter {
    allowed: u32,
    /// Spent of `allowed`; time spent waiting gives it back.
    used: u32,
    /// The engine's ticks when the host last gave the word back. A tick that is no younger passed while the guest was
    /// waiting, and is not the guest's.
    resumed_at: u64,
}

/// A call of the guest to its host, being served.
#[derive(Clone, Copy)]
pub(crate) struct HostCall {
    name: &'static str,
    at: Duration,
}

/// An answer of the line, and whether anybody waited for it.
pub(crate) struct Waited<T> {
    pub(crate) answer: Result<T, LineError>,
    /// The line had the answer at once: no thread was given back, so the time it took was computing.
    at_once: bool,
}

/// Asks the line, and notices whether it had to be waited for.
pub(crate) async fn waiting<T>(asked: impl Future<Output = Result<T, LineError>>) -> Waited<T> {
    let mut asked = pin!(asked);
    let first = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context))).await;
    match first {
        Poll::Ready(answer) => Waited { answer, at_once: true },
        Poll::Pending => Waited { answer: asked.await, at_once: false },
    }
}

impl State {
    /// Begins to serve a call: counts it, and ends the session when there were too many or the time after the call is up.
    pub(crate) fn enter(&mut self, name: &'static str) -> wasmtime::Result<HostCall> {
        self.host_calls += 1;
        if self.host_calls > self.limits.host_calls {
            return Err(Spent::HostCalls(self.limits.host_calls).into());
        }
        let at = self.ports.clock.elapsed();
        self.mind_the_end(at)?;
        Ok(HostCall { name, at })
    }

    /// The call is served: into the trace with it. `told` gives the arguments and the answer, if the trace has room.
    pub(crate) fn leave(&mut self, call: HostCall, told: impl FnOnce() -> (Value, Value)) {
        let took = self.ports.clock.elapsed().saturating_sub(call.at);
        // One text must not take the room of all that follows. What the host answered stays whole, as a replay answers
        // with it.
        let told = || {
            let (mut given, got) = told();
            trace::cut(&mut given);
            (given, got)
        };
        if self.ports.line.follows() {
            let (given, got) = told();
            self.ports.line.served(call.name, &given, &got);
            self.trace.record(call.at, took, call.name, || (given, got));
        } else {
            self.trace.record(call.at, took, call.name, told);
        }
    }

    /// Whether the line can be asked for anything at this moment, and until when.
    pub(crate) fn line_until(&mut self, call: HostCall) -> Result<Duration, LineError> {
        if let Some((why, _)) = &self.over {
            return Err(why.clone());
        }
        if call.at >= self.limits.call {
            let why =
                LineError::Ended(format!("the longest call, {} s, is over", self.limits.call.as_secs()));
            self.line_is_over(why.clone(), call.at);
            return Err(why);
        }
        Ok(self.limits.call)
    }

    /// The line has answered. Time spent waiting gives CPU time back.
    ///
    /// An answer that was there at once gives nothing, and a tick that passed meanwhile is the guest's: a scenario that
    /// asks again and again without waiting computes, even if the code that runs is mostly the host's.
    pub(crate) fn line_answered<T>(&mut self, call: HostCall, waited: Waited<T>) -> Result<T, LineError> {
        let now = self.ports.clock.elapsed();
        let ticks = now.saturating_sub(call.at).as_millis() / TICK.as_millis();
        self.meter.used = self.meter.used.saturating_sub(u32::try_from(ticks).unwrap_or(u32::MAX));
        if !waited.at_once {
            self.meter.resumed_at = self.module.engine().ticks();
        }
        if let Err(why @ (LineError::HungUp | LineError::Ended(_))) = &waited.answer {
            self.line_is_over(why.clone(), now);
        }
        waited.answer
    }

    /// Nothing can be said any more. The first reason stands.
    pub(crate) fn line_is_over(&mut self, why: LineError, now: Duration) {
        self.over.get_or_insert((why, now));
    }

    /// The instance was seen running at a tick of the epoch.
    fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.mind_the_end(self.ports.clock.elapsed())?;
        if self.module.engine().ticks() == self.meter.resumed_at {
            return Ok(UpdateDeadline::Continue(1));
        }
        self.trace.tick();
        self.meter.used += 1;
        if self.meter.used > self.meter.allowed {
            return Err(Spent::Cpu(self.limits.cpu).into());
        }
        // Whoever else has something to do on this thread comes first, and so do timers and sockets: a plain yield would
        // put this instance behind those who are ready, and leave the rest unseen for some sixty such turns.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    }

    fn mind_the_end(&self, now: Duration) -> wasmtime::Result<()> {
        match &self.over {
            Some((_, since)) if now.saturating_sub(*since) > AFTER_THE_CALL => {
                Err(Spent::AfterTheCall(AFTER_THE_CALL).into())
            }
            _ => Ok(()),
        }
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.memory_bytes + desired.saturating_sub(current) as u64;
        if sum > self.limits.memory_bytes {
            // A failed `memory.grow` would end most guests in an abort that says nothing. This names the limit and the
            // place.
            return Err(Spent::Memory(self.limits.memory_bytes).into());
        }
        self.memory_bytes = sum;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The pool's own bound on a table's elements holds.
        Ok(true)
    }
}

/// Runs the module once.
pub(crate) async fn run(module: &Arc<Module>, start: Start) -> SessionEnd {
    let limits = module.limits(start.limits);
    let mut store = store(module, start, limits);
    let ending = match module.pre().instantiate_async(&mut store).await {
        Err(error) => Ending::Faulted(match fault(&error) {
            Fault::Trap { what, place: None } => Fault::NotStarted(what),
            other => other,
        }),
        Ok(scenario) => match scenario.call_run(&mut store).await {
            Ok(Ok(())) => Ending::Returned,
            Ok(Err(words)) => Ending::Failed(words),
            Err(error) => Ending::Faulted(fault(&error)),
        },
    };

    let state = store.into_data();
    let sentence = match &ending {
        Ending::Returned => None,
        Ending::Failed(words) => Some(format!("the scenario returned an error: {words}")),
        Ending::Faulted(fault) => Some(fault.to_string()),
    };
    SessionEnd {
        usage: Usage {
            host_calls: state.host_calls,
            cpu_ticks: state.trace.ticks(),
            memory_bytes: state.memory_bytes,
            log_lines: state.log_lines,
            sms: state.sms_sent,
        },
        limits,
        result: state.result,
        ending,
        line_over: state.over.is_some(),
        spoke: state.spoke,
        not_heard_out: state.not_heard_out,
        trace: state.trace.finish(sentence),
        ports: state.ports,
    }
}

/// A session's store, with its limits.
fn store(module: &Arc<Module>, start: Start, limits: Limits) -> Store<State> {
    let mut store = Store::new(
        module.engine().wasmtime(),
        State {
            ports: start.ports,
            module: Arc::clone(module),
            settings: start.settings,
            limits,
            trace: Recorder::new(&limits),
            result: None,
            spoke: false,
            not_heard_out: false,
            over: None,
            log_lines: 0,
            card_writes: 0,
            sms_sent: 0,
            recordings: 0,
            transfers: 0,
            host_calls: 0,
            memory_bytes: 0,
            meter: Meter { allowed: limits.cpu_ticks(), used: 0, resumed_at: module.engine().ticks() },
        },
    );
    store.limiter(|state| state);
    store.set_hostcall_fuel(HOST_CALL_BYTES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut context| context.data_mut().tick());
    store
}

/// Starts one instance and lets it go again: one that cannot start is found when it is loaded, and not by the first
/// caller. Gives the linear memory that it began with, in bytes. The error is a sentence.
///
/// Blocks for as long as a start takes: about a millisecond for the largest.
pub(crate) fn try_start(module: &Arc<Module>) -> Result<u64, String> {
    let ports = Ports {
        line: Box::new(Nowhere),
        lead: Box::new(LeadCard::default()),
        sms: Box::new(NoSms),
        clock: Box::new(Nowhere),
        random: Box::new(|| 0),
    };
    // Whatever it is granted later: what one needs is found here.
    let limits = Limits { memory_bytes: MOST_TO_BEGIN_WITH, ..Limits::default() };
    let start = Start { ports, settings: Arc::default(), limits };
    let mut store = store(module, start, limits);
    let started = {
        let mut starting = pin!(module.pre().instantiate_async(&mut store));
        // Nothing in it waits for anybody: what is pending only gave way to others, of whom there are none here.
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match starting.as_mut().poll(&mut context) {
                Poll::Ready(started) => break started.map(drop),
                Poll::Pending => std::thread::yield_now(),
            }
        }
    };
    match started {
        Ok(()) => Ok(store.data().memory_bytes),
        Err(error) => Err(fault(&error).to_string()),
    }
}

/// What an instance may have from its first moment on, in bytes, before anybody asks what it is granted.
const MOST_TO_BEGIN_WITH: u64 = 1 << 30;

/// The line of an instance that is only tried.
struct Nowhere;

#[async_trait]
impl Line for Nowhere {
    fn about(&self) -> About {
        let nobody = String::new;
        About {
            call: nobody(),
            direction: Direction::Outbound,
            caller: nobody(),
            callee: nobody(),
            attempt: 1,
        }
    }

    async fn play(&mut self, _: &[Part], _: Duration) -> Result<(), LineError> {
        Err(LineError::HungUp)
    }

    async fn ask(&mut self, _: &Question, _: Duration) -> Result<Answer, LineError> {
        Err(LineError::HungUp)
    }

    async fn wait(&mut self, _: Duration, _: Duration) -> Result<(), LineError> {
        Err(LineError::HungUp)
    }

    async fn hangup(&mut self) {}
}

impl Clock for Nowhere {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn now(&self) -> String {
        "1970-01-01T00:00:00+00:00[UTC]".into()
    }
}

/// What an error of the sandbox means.
fn fault(error: &wasmtime::Error) -> Fault {
    let place = error.downcast_ref::<WasmBacktrace>().and_then(place);
    if let Some(spent) = error.downcast_ref::<Spent>() {
        return Fault::Limit { spent: *spent, place };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Fault::Limit { spent: Spent::Stack(GUEST_STACK), place },
        Some(trap) => Fault::Trap { what: trap.to_string(), place },
        None => match error.root_cause().to_string() {
            // The sandbox has no public type for it; a test notices when the words change.
            what if what.starts_with("too much data is being copied") => {
                Fault::Limit { spent: Spent::HostCallBytes(HOST_CALL_BYTES), place }
            }
            what => Fault::Trap { what, place },
        },
    }
}

/// The innermost frame that is the author's own code; the innermost of all if there is none.
fn place(backtrace: &WasmBacktrace) -> Option<Place> {
    let mut innermost = None;
    for frame in backtrace.frames() {
        // A function that was inlined has a symbol of its own, innermost first.
        for symbol in frame.symbols() {
            let Some(function) = symbol.name().or(frame.func_name()) else { continue };
            let source = symbol.file().zip(symbol.line()).map(|(file, line)| (file.to_owned(), line));
            let own = source.as_ref().is_some_and(|(file, _)| !of_a_library(file));
            let place = Place { function: function.to_owned(), source };
            if own {
                return Some(place);
            }
            innermost.get_or_insert(place);
        }
        if let Some(function) = frame.func_name() {
            innermost.get_or_insert_with(|| Place { function: function.to_owned(), source: None });
        }
    }
    innermost
}

/// Code that the author did not write: the language's own library, a registry's crate, generated bindings.
fn of_a_library(file: &str) -> bool {
    ["/library/", "/registry/src/", "/rustc/", "bindings.rs", "wit_bindgen"]
        .iter()
        .any(|mark| file.contains(mark))
}
