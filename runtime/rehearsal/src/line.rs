//! The pretend line: `scenario::ports::Line` over a [`Caller`], in virtual time.
//!
//! It keeps the rules of `wit/line.wit` as a real line does: a prompt lasts as long as its sound, a key outside of a
//! question is dropped, `Asking` decides what answers a question, and the longest call ends the line. What a
//! telephone network would have to find out is fixed here: a machine is recognised three seconds after the pick-up, and
//! the far end of a transfer takes five seconds unless the caller's script says otherwise.
//!
//! Speech is heard from the prompt's end on, or from its beginning when speech may stop the prompt. Whoever has begun to
//! speak may finish. The answer comes with the last word; a key that comes before it wins.
//!
//! # Invariants
//!
//! * Nothing here waits: time is moved.
//! * Time does not go back, and no call on the line moves it past the longest length of the call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use zvonar_model::{PhoneNumber, RecognisedAnswer, SystemResult, Transfer};
use zvonar_scenario::asking::Asking;
use zvonar_scenario::ports::{
    About, Destination, Line, LineError, Part, Question, TransferEnd, TransferOptions,
};
use zvonar_scenario::question::{Answer, Heard, SpeechWanted};

use crate::caller::{Act, Caller, Scene};
use crate::clock::VirtualClock;
use crate::sounds::Sounds;
use crate::speech;
use crate::timeline::{self, Entry, Side, What, millis};

/// Keys that are kept for the record, as on a real line.
const KEYS_KEPT: usize = 128;

/// Whether a host hears speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hearing {
    /// It does.
    #[default]
    Good,
    /// It has a recogniser, and the recogniser has no capacity.
    Busy,
    /// It has none.
    Deaf,
}

/// What the host of a rehearsal can do. The usual one can do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Whether it recognises speech.
    pub speech: Hearing,
    /// Whether it transfers calls.
    pub transfers: bool,
    /// Whether it keeps recordings.
    pub recordings: bool,
}

impl Default for Abilities {
    fn default() -> Self {
        Self { speech: Hearing::Good, transfers: true, recordings: true }
    }
}

/// How the line came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The scenario hung up, or its host when the scenario was done.
    Robot,
    /// The caller left.
    Caller,
    /// The caller left while waiting for a transfer's far end.
    Waiting,
    /// A machine was recognised, and the host hung up.
    Machine,
}

/// Where entries go as they happen.
pub(crate) type Show = Box<dyn FnMut(&Entry) + Send>;

/// A talk in progress: the line's side of it, and what its record will need.
pub(crate) struct Talk {
    clock: VirtualClock,
    caller: Box<dyn Caller>,
    about: About,
    sounds: Arc<Sounds>,
    abilities: Abilities,
    show: Show,
    pub(crate) entries: Vec<Entry>,
    pub(crate) keys: String,
    /// Something of a prompt was heard.
    pub(crate) played: bool,
    pub(crate) over: Option<Over>,
    pub(crate) answers: Vec<RecognisedAnswer>,
    /// What came of each transfer.
    pub(crate) handed: Vec<Transfer>,
    /// What the last transfer means for a call whose scenario says nothing, as on a real call.
    pub(crate) meaning: Option<SystemResult>,
    pub(crate) transfers: Vec<Destination>,
    /// Spent waiting for transfers' far ends, and talking to them.
    pub(crate) waited: Duration,
    pub(crate) talked: Duration,
    recordings: u32,
}

/// The session's handle of a [`Talk`].
#[derive(Clone)]
pub(crate) struct PretendLine(Arc<Mutex<Talk>>);

impl PretendLine {
    pub(crate) fn new(
        clock: VirtualClock,
        caller: Box<dyn Caller>,
        about: About,
        sounds: Arc<Sounds>,
        abilities: Abilities,
        show: Show,
    ) -> Self {
        Self(Arc::new(Mutex::new(Talk {
            clock,
            caller,
            about,
            sounds,
            abilities,
            show,
            entries: Vec::new(),
            keys: String::new(),
            played: false,
            over: None,
            answers: Vec::new(),
            handed: Vec::new(),
            meaning: None,
            transfers: Vec::new(),
            waited: Duration::ZERO,
            talked: Duration::ZERO,
            recordings: 0,
        })))
    }

    pub(crate) fn talk(&self) -> MutexGuard<'_, Talk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left to do of the moment to which time was moved.
enum Moved {
    /// The caller pressed this.
    Key(char),
    /// The caller began to say this.
    Speech(String, Duration),
    /// The moment came, and nothing happened before.
    There,
}

impl Talk {
    pub(crate) fn now(&self) -> Duration {
        self.clock.time()
    }

    pub(crate) fn note(&mut self, what: What) {
        let entry = Entry { at_ms: millis(self.now()), what };
        (self.show)(&entry);
        self.entries.push(entry);
    }

    /// Moves to the caller's next act, or to `moment` if there is none before it.
    fn move_on(&mut self, moment: Duration) -> Result<Moved, LineError> {
        let Some((at, act)) = self.caller.next(moment) else {
            self.clock.move_to(moment);
            return Ok(Moved::There);
        };
        self.clock.move_to(at);
        match act {
            Act::Press(key) => {
                if self.keys.len() < KEYS_KEPT {
                    self.keys.push(key);
                }
                Ok(Moved::Key(key))
            }
            Act::Say { text, lasts } => Ok(Moved::Speech(text, lasts)),
            Act::HangUp => {
                self.over = Some(Over::Caller);
                self.note(What::HungUp { by: Side::Caller });
                Err(LineError::HungUp)
            }
            Act::IsMachine => {
                self.over = Some(Over::Machine);
                self.note(What::Machine);
                self.note(What::HungUp { by: Side::Robot });
                Err(LineError::Ended("an answering machine picked up".into()))
            }
        }
    }

    /// Lets time pass up to a moment; what the caller presses and says meanwhile is dropped.
    fn pass(&mut self, end: Duration, until: Duration) -> Result<(), LineError> {
        loop {
            match self.move_on(end.min(until))? {
                Moved::Key(key) => self.note(What::Pressed { key, heard: false }),
                Moved::Speech(text, _) => self.note(What::Said { text, heard: false }),
                Moved::There if end <= until => return Ok(()),
                Moved::There => return Err(too_long()),
            }
        }
    }

    fn prompt(&mut self, prompt: &[Part], asks: Option<&Question>) -> Duration {
        let length = self.sounds.length(prompt);
        if !prompt.is_empty() || asks.is_some() {
            self.note(What::Prompt {
                clips: timeline::clips(prompt),
                text: self.sounds.text(prompt),
                lasts_ms: millis(length),
                asks: asks.map(Into::into),
            });
        }
        length
    }

    /// Whether anything of a prompt that began then was heard by now.
    fn heard_since(&mut self, began: Duration, length: Duration) {
        self.played |= !length.is_zero() && self.now() > began;
    }

    fn play(&mut self, prompt: &[Part], until: Duration) -> Result<(), LineError> {
        let began = self.now();
        let length = self.prompt(prompt, None);
        self.caller.begin(began, Scene::Play { prompt });
        let played = self.pass(began.saturating_add(length), until);
        self.heard_since(began, length);
        self.caller.end(self.now(), None);
        played
    }

    fn ask(&mut self, question: &Question, until: Duration) -> Result<Answer, LineError> {
        if let Some(speech) = &question.speech {
            speech::check(&speech.phrases).map_err(LineError::Refused)?;
        }
        let began = self.now();
        let length = self.prompt(&question.prompt, Some(question));
        let prompt_over = began.saturating_add(length);
        self.caller.begin(began, Scene::Ask { question, prompt_over });
        let answer = self.answer(question, prompt_over, until);
        self.heard_since(began, length);
        if let Ok(answer) = &answer {
            self.note(What::Answered { answer: timeline::answer(answer) });
            if let Answer::Speech(heard) = answer {
                self.answers.push(RecognisedAnswer {
                    speech: heard.voiced.into(),
                    text: heard.text.clone(),
                    phrase: heard.phrase.clone(),
                    confidence: heard.confidence,
                    ..RecognisedAnswer::default()
                });
            }
        }
        self.caller.end(self.now(), answer.as_ref().ok());
        answer
    }

    fn answer(
        &mut self,
        question: &Question,
        prompt_over: Duration,
        until: Duration,
    ) -> Result<Answer, LineError> {
        let mut open = Open::new(question, prompt_over, self.abilities.speech);
        loop {
            let now = self.now();
            if let Some(answer) = open.answer(now) {
                return Ok(answer);
            }
            let moment = open.deadline();
            if now >= until {
                return Err(too_long());
            }
            match self.move_on(moment.min(until))? {
                Moved::Key(key) => {
                    let heard = open.press(self.now(), key);
                    self.note(What::Pressed { key, heard });
                }
                Moved::Speech(text, lasts) => {
                    let heard = open.hear(self.now(), &text, lasts);
                    self.note(What::Said { text, heard });
                }
                Moved::There => {}
            }
        }
    }

    fn record_voice(
        &mut self,
        longest: Duration,
        stop_at_silence: Duration,
        until: Duration,
    ) -> Result<String, LineError> {
        if !self.abilities.recordings {
            return Err(LineError::Refused("this host keeps no recordings".into()));
        }
        let began = self.now();
        self.caller.begin(began, Scene::Record);
        let end = began.saturating_add(longest);
        let silent = |since: Duration| match stop_at_silence.is_zero() {
            true => end,
            false => since.saturating_add(stop_at_silence).min(end),
        };
        let mut stop = silent(began);
        let recorded = loop {
            match self.move_on(stop.min(until)) {
                Ok(Moved::Key(key)) => self.note(What::Pressed { key, heard: false }),
                Ok(Moved::Speech(text, lasts)) => {
                    stop = silent(self.now().saturating_add(lasts)).max(stop);
                    self.note(What::Said { text, heard: true });
                }
                Ok(Moved::There) if stop <= until => break Ok(()),
                Ok(Moved::There) => break Err(too_long()),
                Err(why) => break Err(why),
            }
        };
        self.caller.end(self.now(), None);
        recorded?;
        self.recordings += 1;
        let name = format!("voice-{}.wav", self.recordings);
        self.note(What::Recorded { name: name.clone(), lasts_ms: millis(self.now() - began) });
        Ok(name)
    }

    fn transfer(
        &mut self,
        to: &Destination,
        options: &TransferOptions,
        until: Duration,
    ) -> Result<TransferEnd, LineError> {
        if !self.abilities.transfers {
            return Err(LineError::Refused("this host does not transfer calls".into()));
        }
        let began = self.now();
        self.note(What::Transfer { to: to.into() });
        self.transfers.push(to.clone());
        let to_operator = matches!(to, Destination::Operator(_));
        let number = match to {
            Destination::Operator(_) => None,
            Destination::Number(number) => PhoneNumber::parse(number).ok(),
        };
        self.handed.push(Transfer { to_operator, number, ..Transfer::default() });
        self.caller.begin(began, Scene::Transfer { to, options });
        let (after, end) = match self.caller.transfer() {
            Some((after, end)) if after <= options.longest_wait => (after, end),
            Some((_, end @ (TransferEnd::NoAnswer | TransferEnd::Nobody))) => (options.longest_wait, end),
            // Nobody knows an end, or it comes too late for the caller's patience.
            Some(_) | None => (options.longest_wait, TransferEnd::Nobody),
        };
        let waited = self.pass(began.saturating_add(after), until);
        let waiting = self.now() - began;
        self.waited += waiting;
        self.handed.last_mut().expect("it was put there just now").wait = waiting.into();
        if waited == Err(LineError::HungUp) {
            self.over = Some(Over::Waiting);
        }
        let talked = waited.and_then(|()| match &end {
            TransferEnd::Talked(time) => self.talk_to(*time, until),
            _ => Ok(()),
        });
        self.caller.end(self.now(), None);
        if talked.is_err() && matches!(end, TransferEnd::Talked(_)) && self.over != Some(Over::Waiting) {
            self.meaning = Some(SystemResult::Connected);
        }
        talked?;
        self.meaning = match &end {
            TransferEnd::Talked(_) => Some(SystemResult::Connected),
            TransferEnd::NoAnswer => Some(SystemResult::OperatorNoAnswer),
            TransferEnd::Busy => Some(SystemResult::OperatorBusy),
            TransferEnd::Rejected => Some(SystemResult::OperatorDeclined),
            TransferEnd::Nobody | TransferEnd::Failed(_) => self.meaning.or(Some(SystemResult::NoResult)),
        };
        self.note(What::TransferEnded { end: timeline::transfer_end(&end) });
        Ok(end)
    }

    fn talk_to(&mut self, time: Duration, until: Duration) -> Result<(), LineError> {
        let began = self.now();
        let end = began.saturating_add(time);
        // The robot does not listen to what those two say.
        self.clock.move_to(end.min(until));
        let talk = self.now() - began;
        self.talked += talk;
        let transfer = self.handed.last_mut().expect("a talk follows a transfer");
        (transfer.connected, transfer.talk) = (true, talk.into());
        if end <= until { Ok(()) } else { Err(too_long()) }
    }

    fn wait(&mut self, time: Duration, until: Duration) -> Result<(), LineError> {
        let began = self.now();
        self.note(What::Waits { lasts_ms: millis(time) });
        self.caller.begin(began, Scene::Wait);
        let waited = self.pass(began.saturating_add(time), until);
        self.caller.end(self.now(), None);
        waited
    }

    /// The robot's side hangs up, if nobody has yet.
    pub(crate) fn hang_up(&mut self) {
        if self.over.is_none() {
            self.over = Some(Over::Robot);
            self.note(What::HungUp { by: Side::Robot });
        }
    }
}

fn too_long() -> LineError {
    LineError::Ended("the call reached its longest length".into())
}

/// A question that is open.
struct Open<'q> {
    asking: Asking,
    speech: Option<&'q SpeechWanted>,
    hearing: Hearing,
    /// What is being said, how long that takes, and when it is over.
    speaking: Option<(String, Duration, Duration)>,
    /// When the prompt is over if nobody stops it.
    prompt_ends: Duration,
}

impl<'q> Open<'q> {
    fn new(question: &'q Question, prompt_ends: Duration, hearing: Hearing) -> Self {
        let speech = question.speech.as_ref();
        Self { asking: Asking::new(question), speech, hearing, speaking: None, prompt_ends }
    }

    fn handle_time(&mut self, now: Duration) {
        if now >= self.prompt_ends {
            self.asking.prompt_over(self.prompt_ends);
        }
        if self.speaking.as_ref().is_some_and(|(.., end)| now >= *end) {
            let (text, lasts, _) = self.speaking.take().expect("somebody speaks");
            self.asking.said(match self.hearing {
                Hearing::Busy => Answer::RecogniserBusy,
                Hearing::Good | Hearing::Deaf => Answer::Speech(Heard {
                    phrase: self.speech.and_then(|speech| speech::find(&text, &speech.phrases)),
                    text: speech::normalised(&text),
                    confidence: 1.0,
                    voiced: lasts,
                }),
            });
        }
    }

    /// Whether the key was an answer or a part of one.
    fn press(&mut self, now: Duration, key: char) -> bool {
        self.handle_time(now);
        self.asking.press(now, key)
    }

    /// Whether anybody listens to what begins to be said now.
    fn hear(&mut self, now: Duration, text: &str, lasts: Duration) -> bool {
        self.handle_time(now);
        let Some(speech) = self.speech.filter(|_| self.asking.begins(now)) else { return false };
        let lasts = lasts.min(speech.longest);
        self.speaking = Some((text.to_owned(), lasts, now.saturating_add(lasts)));
        true
    }

    fn answer(&mut self, now: Duration) -> Option<Answer> {
        self.handle_time(now);
        self.asking.answer(now)
    }

    /// The next moment at which something changes by itself.
    fn deadline(&self) -> Duration {
        let over = self.speaking.as_ref().map(|(.., end)| *end);
        // Keys that cannot grow any more wait for the prompt's end.
        self.asking.poll_timeout().or(over).unwrap_or(self.prompt_ends)
    }
}

#[async_trait]
impl Line for PretendLine {
    fn about(&self) -> About {
        self.talk().about.clone()
    }

    fn hears_speech(&self) -> bool {
        self.talk().abilities.speech != Hearing::Deaf
    }

    async fn play(&mut self, prompt: &[Part], until: Duration) -> Result<(), LineError> {
        self.talk().play(prompt, until)
    }

    async fn ask(&mut self, question: &Question, until: Duration) -> Result<Answer, LineError> {
        self.talk().ask(question, until)
    }

    async fn wait(&mut self, time: Duration, until: Duration) -> Result<(), LineError> {
        self.talk().wait(time, until)
    }

    async fn record_voice(
        &mut self,
        longest: Duration,
        stop_at_silence: Duration,
        until: Duration,
    ) -> Result<String, LineError> {
        self.talk().record_voice(longest, stop_at_silence, until)
    }

    async fn transfer(
        &mut self,
        to: &Destination,
        options: &TransferOptions,
        until: Duration,
    ) -> Result<TransferEnd, LineError> {
        self.talk().transfer(to, options, until)
    }

    async fn hangup(&mut self) {
        self.talk().hang_up();
    }

    fn follows(&self) -> bool {
        true
    }

    fn served(&mut self, call: &'static str, given: &Value, got: &Value) {
        if let Some(what) = timeline::of_call(call, given, got) {
            self.talk().note(what);
        }
    }
}

#[cfg(test)]
mod tests;
