//! A caller who does one step after the other: those of a conversation's file, or lines as they are typed.
//!
//! # When a step happens
//!
//! * `press` and `says` wait for a question. `after` counts from its start, or from the step before if that was in the
//!   same question. Without `after` the caller hears the prompt out and takes a second; at once after a timed silence.
//! * `hangs-up` and a timed `silence` count from the step before, or from the start of whatever the robot does then.
//!   Who gives no `after` hangs up after a second.
//! * A plain `silence` lasts until the question gives up.
//! * `hears` is compared with the next prompt, whatever it is. One that is not as expected ends the talk there.
//! * A moment that was fixed stays: whoever presses after the question has given up presses into what comes then.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use zvonar_scenario::ports::{Part, Question, TransferEnd};
use zvonar_scenario::question::Answer;

use crate::caller::{Act, Caller, Scene};
use crate::speech;
use crate::timeline;

/// What people take to think.
const A_MOMENT: Duration = Duration::from_secs(1);
/// Between two keys that are pressed in a row.
const BETWEEN_KEYS: Duration = Duration::from_millis(300);
/// From the pick-up until a machine is recognised: the greeting must be longer than what people say.
pub const MACHINE_AFTER: Duration = Duration::from_secs(3);
/// What the far end of a transfer takes to pick up, or to decline.
pub const TRANSFER_AFTER: Duration = Duration::from_secs(5);

/// One thing that a caller does, or listens for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The next prompt must be this one.
    Hears(Expected),
    /// Presses keys, one after the other.
    Press {
        /// Which.
        keys: String,
        /// See the module.
        after: Option<Duration>,
    },
    /// Says something.
    Says {
        /// What.
        text: String,
        /// See the module.
        after: Option<Duration>,
    },
    /// Does nothing for a time; `None`: until the question gives up.
    Silence(Option<Duration>),
    /// Leaves.
    HangsUp {
        /// See the module.
        after: Option<Duration>,
    },
    /// How the next transfer ends.
    Transfer {
        /// How.
        end: TransferEnd,
        /// After what time; absent: [`TRANSFER_AFTER`], or the whole patience when nobody picks up.
        after: Option<Duration>,
    },
    /// Is a machine.
    Machine,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hears(expected) => write!(f, "the prompt {expected}"),
            Self::Press { keys, .. } => write!(f, "the caller presses {keys}"),
            Self::Says { text, .. } => write!(f, "the caller says «{text}»"),
            Self::Silence(_) => f.write_str("silence"),
            Self::HangsUp { .. } => f.write_str("the caller hangs up"),
            Self::Transfer { end, .. } => {
                write!(f, "a transfer that ends: {}", timeline::transfer_end(end))
            }
            Self::Machine => f.write_str("an answering machine"),
        }
    }
}

/// A prompt that is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// These clips are in it, in this order.
    Clips(Vec<String>),
    /// These words are in its texts.
    Words(String),
}

impl Expected {
    fn is(&self, clips: &[String], text: Option<&str>) -> bool {
        match self {
            Self::Clips(wanted) => {
                let mut rest = clips.iter();
                wanted.iter().all(|name| rest.any(|clip| clip == name))
            }
            Self::Words(words) => text.is_some_and(|text| {
                speech::contains_words(&speech::normalised(text), &speech::normalised(words))
            }),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clips(clips) => f.write_str(&clips.join(", ")),
            Self::Words(words) => write!(f, "«{words}»"),
        }
    }
}

/// Where steps come from.
pub trait Steps: Send {
    /// The next step; `None`: there is none now. It is asked for whenever the robot does something and the steps before
    /// are done.
    fn next(&mut self, during: During) -> Option<(usize, Step)>;
}

/// What the robot does while a step is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum During {
    /// It speaks, or waits.
    Prompt,
    /// It asks.
    Question,
    /// It records the caller.
    Recording,
    /// It hands the caller over.
    Transfer,
}

/// The steps of a file, each with its line.
impl Steps for VecDeque<(usize, Step)> {
    fn next(&mut self, _: During) -> Option<(usize, Step)> {
        self.pop_front()
    }
}

/// A prompt that was not the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// The step's line in its file.
    pub line: usize,
    /// What was expected.
    pub expected: Expected,
    /// What was heard.
    pub heard: String,
}

/// A caller by steps.
pub struct Script<S> {
    steps: S,
    texts: TextOf,
    /// The step that is not done yet, its line, and its moment once that is fixed.
    current: Option<(usize, Step)>,
    due: Option<Duration>,
    /// Keys that follow the first one of a step.
    acts: VecDeque<(Duration, Act)>,
    scene: Option<Here>,
    unexpected: Option<Unexpected>,
}

/// What prompts say.
type TextOf = Box<dyn Fn(&[Part]) -> Option<String> + Send>;

/// What the robot does, as far as the steps need it.
struct Here {
    during: During,
    began: Duration,
    prompt_over: Duration,
    /// How long the question waits for a first key or word.
    patience: Duration,
    between: Duration,
    /// When the last step was done in it, and whether that was a timed silence.
    done: Option<(Duration, bool)>,
}

impl<S: Steps> Script<S> {
    /// `texts`: what a prompt says, as far as it is known.
    pub fn new(steps: S, texts: impl Fn(&[Part]) -> Option<String> + Send + 'static) -> Self {
        Self {
            steps,
            texts: Box::new(texts),
            current: None,
            due: None,
            acts: VecDeque::new(),
            scene: None,
            unexpected: None,
        }
    }

    /// The prompt that was not as expected, and ended the talk.
    pub fn unexpected(&self) -> Option<&Unexpected> {
        self.unexpected.as_ref()
    }

    /// The first step that was not done, with its line. Silence needs no time of its own.
    pub fn left_over(&mut self) -> Option<(usize, Step)> {
        loop {
            let step = self.current.take().or_else(|| self.steps.next(During::Prompt))?;
            if !matches!(step.1, Step::Silence(_)) {
                return Some(step);
            }
        }
    }

    fn hear(&mut self, now: Duration, prompt: &[Part]) {
        if prompt.is_empty() || self.unexpected.is_some() {
            return;
        }
        self.take_up(During::Prompt);
        let Some((line, Step::Hears(expected))) = &self.current else { return };
        let (clips, text) = (timeline::clips(prompt), (self.texts)(prompt));
        if expected.is(&clips, text.as_deref()) {
            self.current = None;
        } else {
            let heard = match text {
                Some(text) => format!("{} «{text}»", clips.join(", ")),
                None => clips.join(", "),
            };
            self.unexpected = Some(Unexpected { line: *line, expected: expected.clone(), heard });
            // There is nothing more to be learnt from this talk.
            self.acts = [(now, Act::HangUp)].into();
        }
    }

    fn take_up(&mut self, during: During) {
        if self.current.is_none() {
            self.current = self.steps.next(during);
            self.due = None;
        }
    }

    /// When the current step happens; `None`: not before something else begins.
    fn moment(&self) -> Option<Duration> {
        if self.due.is_some() {
            return self.due;
        }
        let (here, (_, step)) = (self.scene.as_ref()?, self.current.as_ref()?);
        let since = here.done.map_or(here.began, |(at, _)| at);
        let speaks = |during| matches!(during, During::Question | During::Recording);
        let usual = match here.done {
            Some((at, true)) => at,
            Some((at, false)) => at + A_MOMENT.min(here.patience / 2),
            None => here.prompt_over + A_MOMENT.min(here.patience / 2),
        };
        match step {
            Step::Press { after, .. } if here.during == During::Question => {
                Some(after.map_or(usual, |after| since + after))
            }
            Step::Says { after, .. } if speaks(here.during) => {
                Some(after.map_or(usual, |after| since + after))
            }
            Step::Silence(time) => time.map(|time| since + time),
            Step::HangsUp { after } => {
                let moment =
                    if here.done.is_some_and(|(_, silent)| silent) { Duration::ZERO } else { A_MOMENT };
                Some(since + after.unwrap_or(moment))
            }
            Step::Machine => Some(MACHINE_AFTER),
            Step::Press { .. } | Step::Says { .. } | Step::Hears(_) | Step::Transfer { .. } => None,
        }
    }

    /// The current step is done at its moment.
    fn done(&mut self, at: Duration, silent: bool) {
        self.current = None;
        self.due = None;
        if let Some(here) = &mut self.scene {
            here.done = Some((at, silent));
        }
    }
}

impl<S: Steps> Caller for Script<S> {
    fn begin(&mut self, now: Duration, scene: Scene<'_>) {
        let here = |during, prompt_over, (patience, between)| Here {
            during,
            began: now,
            prompt_over,
            patience,
            between,
            done: None,
        };
        let unhurried = (A_MOMENT * 2, BETWEEN_KEYS * 2);
        self.scene = Some(match scene {
            Scene::Play { .. } | Scene::Wait => here(During::Prompt, now, unhurried),
            Scene::Ask { question, prompt_over } => here(During::Question, prompt_over, patience(question)),
            Scene::Record => here(During::Recording, now, unhurried),
            Scene::Transfer { .. } => here(During::Transfer, now, unhurried),
        });
        match scene {
            Scene::Play { prompt } => self.hear(now, prompt),
            Scene::Ask { question, .. } => self.hear(now, &question.prompt),
            Scene::Wait | Scene::Record | Scene::Transfer { .. } => {}
        }
    }

    fn next(&mut self, until: Duration) -> Option<(Duration, Act)> {
        loop {
            if let Some((at, _)) = self.acts.front() {
                return if *at < until || matches!(self.acts.front(), Some((_, Act::HangUp))) {
                    self.acts.pop_front()
                } else {
                    None
                };
            }
            let during = self.scene.as_ref()?.during;
            self.take_up(during);
            let at = self.moment()?;
            self.due = Some(at);
            if at >= until {
                return None;
            }
            let between = self.scene.as_ref().map_or(BETWEEN_KEYS, |here| here.between);
            let (_, step) = self.current.take()?;
            let (mut last, silent) = (at, matches!(step, Step::Silence(_)));
            match step {
                Step::Press { keys, .. } => {
                    for (index, key) in (0..).zip(keys.chars()) {
                        last = at + between * index;
                        self.acts.push_back((last, Act::Press(key)));
                    }
                }
                Step::Says { text, .. } => {
                    let lasts = speech::lasts(&text);
                    last = at + lasts;
                    self.acts.push_back((at, Act::Say { text, lasts }));
                }
                Step::HangsUp { .. } => self.acts.push_back((at, Act::HangUp)),
                Step::Machine => self.acts.push_back((at, Act::IsMachine)),
                Step::Silence(_) | Step::Hears(_) | Step::Transfer { .. } => {}
            }
            self.done(last, silent);
        }
    }

    fn end(&mut self, _: Duration, answer: Option<&Answer>) {
        let asked = self.scene.take().is_some_and(|here| here.during == During::Question);
        if asked && answer.is_some() && matches!(self.current, Some((_, Step::Silence(None)))) {
            self.current = None;
        }
    }

    fn transfer(&mut self) -> Option<(Duration, TransferEnd)> {
        self.take_up(During::Transfer);
        let is_transfer = |step: &mut (usize, Step)| matches!(step.1, Step::Transfer { .. });
        let Some((_, Step::Transfer { end, after })) = self.current.take_if(is_transfer) else { return None };
        let usual = match end {
            // More than anybody's patience: the line waits as long as the scenario allows.
            TransferEnd::NoAnswer | TransferEnd::Nobody => None,
            _ => Some(TRANSFER_AFTER),
        };
        match after.or(usual) {
            Some(after) => Some((after, end)),
            None => Some((Duration::MAX, end)),
        }
    }
}

/// How long a question waits for a first key or word, and for each further key.
fn patience(question: &Question) -> (Duration, Duration) {
    let keys = question.keys.map(|keys| keys.first);
    let speech = question.speech.as_ref().map(|speech| speech.wait);
    let first = keys.into_iter().chain(speech).min().unwrap_or(A_MOMENT * 2);
    let pause = question.keys.map(|keys| keys.between / 2).filter(|pause| !pause.is_zero());
    let between = BETWEEN_KEYS.min(pause.unwrap_or(BETWEEN_KEYS));
    (first, between)
}

#[cfg(test)]
mod tests;
