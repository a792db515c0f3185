//! A whole question: keys, speech, or whichever comes first of both.
//!
//! [`Asking`] performs no I/O and reads no clock. A line drives it as it would a [`KeyCollector`], and tells it besides
//! when somebody begins to speak, and what came of it. Real and pretend lines have the same one, so that a rehearsed
//! question ends as a real one does.
//!
//! # Invariants
//!
//! * Once a key counts the answer is keys: what is said meanwhile is none.
//! * While somebody speaks no time runs out.
//! * Nobody is listened to before the prompt's end unless his voice interrupts it, nor after
//!   [`SpeechWanted::wait`](crate::question::SpeechWanted::wait).
//! * After the prompt's end there is an answer, or a deadline, or somebody speaks.

use std::time::Duration;

use crate::ports::Question;
use crate::question::{Answer, KeyCollector};

/// The machine of one question. Times are of any one monotonic clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    keys: Option<KeyCollector>,
    /// A key has come: the answer will be keys.
    keyed: bool,
    /// How long he may take to begin to speak; `None`: speech is no answer.
    wait: Option<Duration>,
    voice_interrupts: bool,
    /// Somebody speaks, or it is not known yet what he said.
    speaking: bool,
    /// What was said.
    said: Option<Answer>,
    prompt_over: Option<Duration>,
}

impl Asking {
    /// A question whose prompt begins now. With an empty prompt call [`Asking::prompt_over`] at once.
    pub fn new(question: &Question) -> Self {
        Self {
            keys: question.keys.map(|keys| KeyCollector::new(keys, question.key_interrupts)),
            keyed: false,
            wait: question.speech.as_ref().map(|speech| speech.wait),
            voice_interrupts: question.voice_interrupts,
            speaking: false,
            said: None,
            prompt_over: None,
        }
    }

    /// The prompt was played to its end, or stopped.
    pub fn prompt_over(&mut self, now: Duration) {
        self.prompt_over.get_or_insert(now);
        if let Some(keys) = &mut self.keys {
            keys.prompt_over(now);
        }
    }

    /// A key was pressed; says whether it counts.
    pub fn press(&mut self, now: Duration, key: char) -> bool {
        if self.answer(now).is_some() {
            return false;
        }
        let Some(keys) = &mut self.keys else { return false };
        // What is too late changes nothing but the time.
        keys.handle_timeout(now);
        let before = keys.clone();
        keys.press(now, key);
        let counts = *keys != before;
        self.keyed |= counts;
        if keys.stops_prompt() {
            self.prompt_over(now);
        }
        counts
    }

    /// Whether somebody who begins to speak now is listened to.
    pub fn listens(&self, now: Duration) -> bool {
        let in_time = match self.listens_until() {
            Some(end) => now < end,
            None => self.voice_interrupts,
        };
        self.wait.is_some() && !self.keyed && !self.speaking && self.said.is_none() && in_time
    }

    /// Somebody begins to speak; says whether he is listened to. Then the prompt, if it still plays, is to be stopped.
    pub fn begins(&mut self, now: Duration) -> bool {
        let listens = self.listens(now);
        if listens {
            self.speaking = true;
            self.prompt_over(now);
        }
        listens
    }

    /// That was no speech, or there were no words in it: the waiting goes on where it was.
    pub fn said_nothing(&mut self) {
        self.speaking = false;
    }

    /// What he said, or that nobody had time to recognise it. Too late for one who has pressed a key meanwhile.
    pub fn said(&mut self, answer: Answer) {
        self.speaking = false;
        self.said.get_or_insert(answer);
    }

    /// Whether the prompt, if it still plays, is to be stopped.
    pub fn stops_prompt(&self) -> bool {
        self.keys.as_ref().is_some_and(KeyCollector::stops_prompt) || self.speaking
    }

    /// Whether words can no longer be the answer.
    pub fn is_deaf(&self, now: Duration) -> bool {
        self.wait.is_none()
            || self.keyed
            || (!self.speaking && self.listens_until().is_some_and(|end| now >= end))
    }

    /// When to ask for the [`Asking::answer`] again although nothing has happened. `None`: not before the prompt is over
    /// or he has finished speaking.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let keys = self.keys.as_ref().and_then(KeyCollector::poll_timeout);
        if self.keyed {
            return keys;
        }
        if self.speaking {
            return None;
        }
        // Of two, the later one: the earlier one alone answers nothing.
        self.prompt_over.and_then(|_| keys.max(self.listens_until()))
    }

    /// The answer, once there is one.
    pub fn answer(&mut self, now: Duration) -> Option<Answer> {
        if let Some(keys) = &mut self.keys {
            keys.handle_timeout(now);
        }
        let keys = self.keys.as_ref().map(KeyCollector::answer);
        if let Some(Some(answer @ Answer::Keys(_))) = keys {
            return Some(answer.clone());
        }
        if self.keyed || self.speaking {
            return None;
        }
        if self.said.is_some() {
            return self.said.clone();
        }
        let keys_are_silent = keys.is_none_or(|answer| answer.is_some());
        let nobody_spoke = self.wait.is_none() || self.listens_until().is_some_and(|end| now >= end);
        (self.prompt_over.is_some() && keys_are_silent && nobody_spoke).then_some(Answer::Silence)
    }

    /// When the waiting for a first word is over; `None`: not before the prompt is.
    fn listens_until(&self) -> Option<Duration> {
        Some(self.prompt_over?.saturating_add(self.wait?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::{Heard, KeysWanted, SpeechWanted};

    #[derive(Debug, Clone, Copy)]
    enum Event {
        Press(char),
        PromptOver,
        Begins,
        Nothing,
        Says(&'static str),
        Busy,
    }
    use Event::{Begins, Busy, Nothing, Press, PromptOver, Says};

    /// A question for one key of 10 s, or words within 5 s, or both.
    fn question(keys: bool, speech: bool, voice_interrupts: bool) -> Question {
        let (first, between) = (Duration::from_secs(10), Duration::from_secs(3));
        let wait = Duration::from_secs(5);
        let longest = Duration::from_secs(30);
        Question {
            prompt: Vec::new(),
            keys: keys.then_some(KeysWanted { max: 1, finish: None, first, between }),
            speech: speech.then(|| SpeechWanted { phrases: Vec::new(), wait, longest }),
            key_interrupts: true,
            voice_interrupts,
        }
    }

    fn words(text: &str) -> Answer {
        let (confidence, voiced) = (1.0, Duration::from_secs(1));
        Answer::Speech(Heard { phrase: None, text: text.into(), confidence, voiced })
    }

    /// Plays events (in milliseconds) to a question and says when it was answered, and how.
    fn ask(question: &Question, events: &[(u64, Event)]) -> String {
        let mut asking = Asking::new(question);
        let mut events = events.iter().copied().peekable();
        let mut now = Duration::ZERO;
        loop {
            if let Some(answer) = asking.answer(now) {
                let told = match answer {
                    Answer::Keys(keys) => format!("keys {keys}"),
                    Answer::Speech(heard) => heard.text,
                    Answer::RecogniserBusy => "busy".into(),
                    Answer::Silence => "silence".into(),
                };
                return format!("{} ms: {told}", now.as_millis());
            }
            let timeout = asking.poll_timeout();
            match events.peek() {
                Some((at, _)) if timeout.is_none_or(|timeout| Duration::from_millis(*at) < timeout) => {
                    let (at, event) = events.next().expect("it was peeked at");
                    now = Duration::from_millis(at);
                    match event {
                        Press(key) => drop(asking.press(now, key)),
                        PromptOver => asking.prompt_over(now),
                        Begins => drop(asking.begins(now)),
                        Nothing => asking.said_nothing(),
                        Says(text) => asking.said(words(text)),
                        Busy => asking.said(Answer::RecogniserBusy),
                    }
                }
                _ => match timeout {
                    Some(timeout) => now = timeout,
                    None => return "no answer".into(),
                },
            }
        }
    }

    #[test]
    fn a_question_is_answered_by_words_keys_or_silence() {
        for (keys, speech, interrupts, events, answer) in [
            (
                false,
                true,
                false,
                &[(2000u64, PromptOver), (3000, Begins), (4000, Says("да"))] as &[_],
                "4000 ms: да",
            ),
            (false, true, false, &[(2000, PromptOver)], "7000 ms: silence"),
            // He began in time, and may take his time.
            (false, true, false, &[(0, PromptOver), (4900, Begins), (20_000, Says("да"))], "20000 ms: да"),
            (false, true, false, &[(0, PromptOver), (5000, Begins), (6000, Says("да"))], "5000 ms: silence"),
            // Into the prompt: only where a voice interrupts it.
            (false, true, true, &[(1000, Begins), (2000, Says("да"))], "2000 ms: да"),
            (false, true, true, &[(1000, Begins), (2000, Nothing)], "6000 ms: silence"),
            // A cough: the waiting goes on, and is over at once if the time was.
            (
                false,
                true,
                false,
                &[(0, PromptOver), (1000, Begins), (2000, Nothing), (3000, Begins), (4000, Says("нет"))],
                "4000 ms: нет",
            ),
            (false, true, false, &[(0, PromptOver), (1000, Begins), (9000, Nothing)], "9000 ms: silence"),
            (false, true, false, &[(0, PromptOver), (1000, Begins), (2000, Busy)], "2000 ms: busy"),
            // Both: silence is when neither came.
            (true, true, false, &[(0, PromptOver)], "10000 ms: silence"),
            (true, true, false, &[(0, PromptOver), (7000, Press('1'))], "7000 ms: keys 1"),
            // A key goes before words that are still being said, or recognised.
            (
                true,
                true,
                false,
                &[(0, PromptOver), (1000, Begins), (1500, Press('2')), (2000, Says("да"))],
                "1500 ms: keys 2",
            ),
            (
                true,
                true,
                false,
                &[(0, PromptOver), (1000, Begins), (2000, Says("да")), (2001, Press('1'))],
                "2000 ms: да",
            ),
            // The time for keys does not cut off who speaks.
            (true, true, false, &[(0, PromptOver), (4000, Begins), (14_000, Says("да"))], "14000 ms: да"),
            (true, false, false, &[(0, PromptOver), (1000, Begins), (2000, Press('3'))], "2000 ms: keys 3"),
        ] {
            assert_eq!(
                ask(&question(keys, speech, interrupts), events),
                answer,
                "{keys} {speech} {events:?}"
            );
        }
    }

    #[test]
    fn a_voice_stops_the_prompt_only_where_it_interrupts() {
        for interrupts in [true, false] {
            let mut asking = Asking::new(&question(true, true, interrupts));
            assert!(!asking.stops_prompt());
            assert_eq!(asking.begins(Duration::from_secs(1)), interrupts);
            assert_eq!(asking.stops_prompt(), interrupts);
        }
    }

    #[test]
    fn nobody_need_listen_once_words_come_too_late() {
        let mut asking = Asking::new(&question(true, true, false));
        assert!(!asking.is_deaf(Duration::from_secs(60)), "the prompt still plays");
        asking.prompt_over(Duration::ZERO);
        assert!(!asking.is_deaf(Duration::from_secs(4)));
        assert!(asking.is_deaf(Duration::from_secs(5)));
        let mut keyed = Asking::new(&question(true, true, true));
        keyed.press(Duration::ZERO, '1');
        assert!(keyed.is_deaf(Duration::ZERO));
    }
}
