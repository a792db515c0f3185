//! A pretend line in virtual time, a patient line in real time, and what the tests start sessions with.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use zvonar_scenario::LeadCard;
use zvonar_scenario::ports::{About, Clock, Direction, Line, LineError, Part, Ports, Question};
use zvonar_scenario::question::{Answer, KeyCollector};
use zvonar_scenario::{Engine, EngineConfig, Limits, Module, Package, SessionEnd, Start};

/// How long every clip of the pretend line is.
pub(crate) const CLIP: Duration = Duration::from_secs(2);

/// What a pretend caller does, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    Presses(char),
    HangsUp,
}

/// A line whose time passes only by being waited for. It writes down what was heard on it.
#[derive(Debug, Default)]
pub(crate) struct Pretend {
    now: Duration,
    script: VecDeque<(Duration, Caller)>,
    gone: bool,
    pub(crate) heard: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct PretendLine(pub(crate) Arc<Mutex<Pretend>>);

impl PretendLine {
    /// Times in milliseconds since the answer.
    pub(crate) fn new(script: &[(u64, Caller)]) -> Self {
        let script = script.iter().map(|(at, what)| (Duration::from_millis(*at), *what)).collect();
        Self(Arc::new(Mutex::new(Pretend { script, ..Pretend::default() })))
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().heard.clone()
    }
}

impl Pretend {
    /// The next thing that happens up to a moment, and time moves there; `None`: the moment came.
    fn next_until(&mut self, moment: Duration) -> Option<Caller> {
        let next = self.script.front().copied().filter(|(at, _)| *at <= moment);
        match next {
            Some((at, what)) => {
                self.script.pop_front();
                self.now = self.now.max(at);
                Some(what)
            }
            None => {
                self.now = self.now.max(moment);
                None
            }
        }
    }

    fn pass(&mut self, time: Duration, until: Duration) -> Result<(), LineError> {
        let end = self.now + time;
        while !self.gone {
            match self.next_until(end.min(until)) {
                Some(Caller::HangsUp) => self.gone = true,
                Some(Caller::Presses(_)) => {}
                None if end > until => return Err(LineError::Ended("the call is too long".into())),
                None => return Ok(()),
            }
        }
        Err(LineError::HungUp)
    }

    fn begin(&mut self, prompt: &[Part]) -> Duration {
        let mut length = Duration::ZERO;
        for part in prompt {
            match part {
                Part::Clip(name) => {
                    self.heard.push(format!("{}ms {name}", self.now.as_millis()));
                    length += CLIP;
                }
                Part::Pause(time) => length += *time,
            }
        }
        length
    }
}

#[async_trait]
impl Line for PretendLine {
    fn about(&self) -> About {
        about()
    }

    async fn play(&mut self, prompt: &[Part], until: Duration) -> Result<(), LineError> {
        let mut line = self.0.lock().unwrap();
        let length = line.begin(prompt);
        line.pass(length, until)
    }

    async fn ask(&mut self, question: &Question, until: Duration) -> Result<Answer, LineError> {
        let mut line = self.0.lock().unwrap();
        let over = line.now + line.begin(&question.prompt);
        let mut collector =
            KeyCollector::new(question.keys.expect("only keys are asked for here"), question.key_interrupts);
        let mut playing = true;
        loop {
            if playing && (line.now >= over || collector.stops_prompt()) {
                playing = false;
                let now = line.now;
                collector.prompt_over(now);
            }
            if let Some(answer) = collector.answer() {
                return Ok(answer.clone());
            }
            let moment = if playing { over } else { collector.poll_timeout().expect("no prompt, no answer") };
            match line.next_until(moment.min(until)) {
                Some(Caller::Presses(key)) => {
                    let now = line.now;
                    collector.press(now, key);
                }
                Some(Caller::HangsUp) => {
                    line.gone = true;
                    return Err(LineError::HungUp);
                }
                None if line.now >= until => return Err(LineError::Ended("the call is too long".into())),
                None => {
                    let now = line.now;
                    collector.handle_timeout(now);
                }
            }
        }
    }

    async fn wait(&mut self, time: Duration, until: Duration) -> Result<(), LineError> {
        self.0.lock().unwrap().pass(time, until)
    }

    async fn hangup(&mut self) {
        let mut line = self.0.lock().unwrap();
        let now = line.now;
        line.heard.push(format!("{}ms (hangup)", now.as_millis()));
    }
}

impl Clock for PretendLine {
    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    fn now(&self) -> String {
        "2026-03-01T10:00:00+03:00[Europe/Moscow]".into()
    }
}

/// A line of real time, on which nobody says anything: waiting is sleeping.
pub(crate) struct PatientLine;

#[async_trait]
impl Line for PatientLine {
    fn about(&self) -> About {
        about()
    }

    async fn play(&mut self, _: &[Part], _: Duration) -> Result<(), LineError> {
        tokio::time::sleep(CLIP).await;
        Ok(())
    }

    async fn ask(&mut self, question: &Question, _: Duration) -> Result<Answer, LineError> {
        tokio::time::sleep(question.keys.expect("only keys are asked for here").first).await;
        Ok(Answer::Silence)
    }

    async fn wait(&mut self, time: Duration, _: Duration) -> Result<(), LineError> {
        tokio::time::sleep(time).await;
        Ok(())
    }

    async fn hangup(&mut self) {}
}

/// Real time.
pub(crate) struct RealClock(std::time::Instant);

impl RealClock {
    #[expect(clippy::disallowed_methods, reason = "these tests are about real CPU time")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Clock for RealClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn now(&self) -> String {
        "2026-03-01T10:00:00+03:00[Europe/Moscow]".into()
    }
}

fn about() -> About {
    About {
        call: "call-1".into(),
        direction: Direction::Outbound,
        caller: "+74950000000".into(),
        callee: "+79001234517".into(),
        attempt: 1,
    }
}

pub(crate) fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

/// One engine for all tests: its cache is in the build folder, where nobody else writes.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        Engine::new(&EngineConfig { max_sessions: 200, ..EngineConfig::new(cache) }).unwrap()
    })
}

/// A package of `scenarios/`, loaded. Panics, aloud, when its guest is not built.
pub(crate) fn module(name: &str) -> Arc<Module> {
    let package = Package::open(&scenarios().join(name)).unwrap_or_else(|faults| {
        panic!("\n{faults}\n(the guests of these tests are built by `./zv guests`)\n")
    });
    engine().load(&package).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn settings(module: &Module, filled: &[(&str, &str)]) -> Arc<BTreeMap<String, String>> {
    let filled = filled.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    module.manifest().fill_settings(&filled).unwrap()
}

/// A session on the pretend line, from the answer to its end.
pub(crate) async fn talk(module: &Arc<Module>, filled: &[(&str, &str)], line: &PretendLine) -> SessionEnd {
    talk_within(module, filled, line, Limits::default()).await
}

pub(crate) async fn talk_within(
    module: &Arc<Module>,
    filled: &[(&str, &str)],
    line: &PretendLine,
    limits: Limits,
) -> SessionEnd {
    let mut n = 0;
    let ports = Ports {
        line: Box::new(line.clone()),
        lead: Box::new(LeadCard::default()),
        sms: Box::new(zvonar_scenario::ports::NoSms),
        clock: Box::new(line.clone()),
        random: Box::new(move || {
            n += 1;
            n
        }),
    };
    let start = Start { ports, settings: settings(module, filled), limits };
    module.run(module.take_seat().expect("there is room"), start).await
}

/// A session in real time.
pub(crate) async fn patient(module: &Arc<Module>, filled: &[(&str, &str)]) -> SessionEnd {
    let ports = Ports {
        line: Box::new(PatientLine),
        lead: Box::new(LeadCard::default()),
        sms: Box::new(zvonar_scenario::ports::NoSms),
        clock: Box::new(RealClock::start()),
        random: Box::new(|| 4),
    };
    let start = Start { ports, settings: settings(module, filled), limits: Limits::default() };
    module.run(module.take_seat().expect("there is room"), start).await
}
