//! The keys of one question: which presses are its answer, and when the waiting ends.
//!
//! [`KeyCollector`] performs no I/O and reads no clock. A line drives it: it starts the prompt, makes a collector,
//! passes presses, the prompt's end and the time in, stops the prompt when [`KeyCollector::stops_prompt`] says so, and
//! hands [`KeyCollector::answer`] to the session.
//!
//! # Invariants
//!
//! * An answer never has more than `max` keys and never contains the finish key.
//! * Once there is an answer it does not change.
//! * Without `key_interrupts` no answer comes before the prompt's end.
//! * After the prompt's end there is an answer or a deadline, always.
//!
//! Deliberately absent: keys from before the question. The line drops them, since it knows when the question began.

use std::time::Duration;

/// Which keys are an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeysWanted {
    /// How many at most; at least 1.
    pub max: u8,
    /// The key that ends the answer early and is not part of it.
    pub finish: Option<char>,
    /// How long to wait for the first key once the prompt is over.
    pub first: Duration,
    /// How long to wait for each further key.
    pub between: Duration,
}

/// Users know no better than 10 s for a key.
pub const FIRST_KEY: Duration = Duration::from_secs(10);

/// How a question was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The keys, without the finish key.
    Keys(String),
    /// None in time.
    Silence,
}

/// Whether a telephone has this key: `0`–`9`, `*`, `#`, `A`–`D`.
pub fn is_key(c: char) -> bool {
    matches!(c, '0'..='9' | '*' | '#' | 'A'..='D')
}

/// The machine of one question. Times are of any one monotonic clock.
#[derive(Debug, Clone)]
pub struct KeyCollector {
    wanted: KeysWanted,
    key_interrupts: bool,
    keys: String,
    /// Nothing can be added to `keys`.
    complete: bool,
    last_key: Option<Duration>,
    /// When the prompt was over; `None` while it plays.
    prompt_over: Option<Duration>,
    answer: Option<Answer>,
}

impl KeyCollector {
    /// A question whose prompt begins now. With an empty prompt call [`KeyCollector::prompt_over`] at once.
    pub fn new(wanted: KeysWanted, key_interrupts: bool) -> Self {
        Self {
            wanted,
            key_interrupts,
            keys: String::new(),
            complete: false,
            last_key: None,
            prompt_over: None,
            answer: None,
        }
    }

    /// A key was pressed. What is no key, and what can add nothing, is dropped.
    pub fn press(&mut self, now: Duration, key: char) {
        // A press that comes after the deadline but before the driver noticed the deadline is too late all the same:
        // otherwise the answer would depend on how busy the machine is.
        self.handle_timeout(now);
        if self.complete || self.answer.is_some() || !is_key(key) {
            return;
        }
        if self.wanted.finish == Some(key) {
            self.complete = true;
        } else {
            self.keys.push(key);
            self.complete = self.keys.len() >= usize::from(self.wanted.max);
        }
        self.last_key = Some(now);
        if self.key_interrupts {
            self.prompt_over.get_or_insert(now);
        }
        self.settle();
    }

    /// The prompt was played to its end.
    pub fn prompt_over(&mut self, now: Duration) {
        self.prompt_over.get_or_insert(now);
        self.settle();
    }

    /// Whether the prompt, if it still plays, is to be stopped.
    pub fn stops_prompt(&self) -> bool {
        self.key_interrupts && self.last_key.is_some()
    }

    /// When to call [`KeyCollector::handle_timeout`]; `None` while the prompt plays, and once there is an answer.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let (None, Some(over)) = (&self.answer, self.prompt_over) else { return None };
        Some(match self.last_key {
            None => over.saturating_add(self.wanted.first),
            Some(key) => key.max(over).saturating_add(self.wanted.between),
        })
    }

    /// The time has come; harmless when it has not.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            self.answer = Some(match self.last_key {
                None => Answer::Silence,
                Some(_) => Answer::Keys(std::mem::take(&mut self.keys)),
            });
        }
    }

    /// The answer, once there is one.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    fn settle(&mut self) {
        if self.complete && self.prompt_over.is_some() && self.answer.is_none() {
            self.answer = Some(Answer::Keys(std::mem::take(&mut self.keys)));
        }
    }
}
