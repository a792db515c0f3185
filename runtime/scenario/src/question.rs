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

/// Words to listen for, and by which name they come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// Its name.
    pub id: String,
    /// Any of these is it.
    pub any_of: Vec<String>,
}

/// Which speech is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeechWanted {
    /// What to look for; empty: any words.
    pub phrases: Vec<Phrase>,
    /// How long until the caller begins, counted from the end of the prompt.
    pub wait: Duration,
    /// Where a long answer is cut.
    pub longest: Duration,
}

/// Something was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The phrase that was found, by its id.
    pub phrase: Option<String>,
    /// All that was understood, in small letters, without punctuation.
    pub text: String,
    /// How sure the recogniser is, from 0 to 1.
    pub confidence: f32,
    /// From the first to the last voiced frame.
    pub voiced: Duration,
}

/// Users know no better than 10 s for a key.
pub const FIRST_KEY: Duration = Duration::from_secs(10);

/// How a question was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The keys, without the finish key.
    Keys(String),
    /// What was said.
    Speech(Heard),
    /// The recogniser has no capacity right now; nothing is billed.
    RecogniserBusy,
    /// None in time.
    Silence,
}

/// Whether a telephone has this key: `0`–`9`, `*`, `#`, `A`–`D`.
pub fn is_key(c: char) -> bool {
    matches!(c, '0'..='9' | '*' | '#' | 'A'..='D')
}

/// The machine of one question. Times are of any one monotonic clock.
#[derive(Debug, Clone, PartialEq)]
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Event {
        Press(char),
        PromptOver,
    }
    use Event::{Press, PromptOver};

    /// Plays events (in milliseconds) to a question and says when it was answered, and how.
    fn ask(wanted: KeysWanted, key_interrupts: bool, events: &[(u64, Event)]) -> String {
        let mut collector = KeyCollector::new(wanted, key_interrupts);
        let mut events = events.iter().copied().peekable();
        let mut now = Duration::ZERO;
        loop {
            if let Some(answer) = collector.answer() {
                return match answer {
                    Answer::Keys(keys) => format!("{} ms: {keys:?}", now.as_millis()),
                    other => format!("{} ms: {other:?}", now.as_millis()),
                };
            }
            let timeout = collector.poll_timeout();
            match events.peek() {
                Some((at, _)) if timeout.is_none_or(|timeout| Duration::from_millis(*at) < timeout) => {
                    let (at, event) = events.next().expect("it was peeked at");
                    now = Duration::from_millis(at);
                    match event {
                        Press(key) => collector.press(now, key),
                        PromptOver => collector.prompt_over(now),
                    }
                }
                _ => match timeout {
                    Some(timeout) => {
                        now = timeout;
                        collector.handle_timeout(now);
                    }
                    None => return "no answer".into(),
                },
            }
        }
    }

    fn keys(max: u8, finish: Option<char>) -> KeysWanted {
        let (first, between) = (Duration::from_secs(10), Duration::from_secs(3));
        KeysWanted { max, finish, first, between }
    }

    #[test]
    fn a_menu_is_answered_at_once_or_after_ten_silent_seconds() {
        let menu = keys(1, None);
        for (interrupts, events, answer) in [
            (true, &[(2000u64, Press('1'))] as &[_], "2000 ms: \"1\""),
            (true, &[(5000, PromptOver), (6000, Press('2'))], "6000 ms: \"2\""),
            (true, &[(5000, PromptOver)], "15000 ms: Silence"),
            // The prompt is heard out, and the key counts all the same.
            (false, &[(2000, Press('1')), (5000, PromptOver)], "5000 ms: \"1\""),
            // The first key was the answer.
            (false, &[(2000, Press('1')), (3000, Press('2')), (5000, PromptOver)], "5000 ms: \"1\""),
            // What is no key is not one.
            (true, &[(2000, Press('x')), (5000, PromptOver), (6000, Press('#'))], "6000 ms: \"#\""),
            // On the deadline is too late.
            (true, &[(5000, PromptOver), (15_000, Press('1'))], "15000 ms: Silence"),
            // A prompt that never ends keeps the question open.
            (true, &[], "no answer"),
        ] {
            assert_eq!(ask(menu, interrupts, events), answer, "{interrupts} {events:?}");
        }
    }

    #[test]
    fn a_number_ends_with_its_last_key_the_finish_key_or_a_pause() {
        let number = keys(4, Some('#'));
        for (interrupts, events, answer) in [
            (true, &[(0u64, PromptOver), (10, Press('1')), (20, Press('2'))] as &[_], "3020 ms: \"12\""),
            (true, &[(0, PromptOver), (10, Press('1')), (20, Press('#'))], "20 ms: \"1\""),
            (true, &[(0, PromptOver), (10, Press('#'))], "10 ms: \"\""),
            (
                true,
                &[(10, Press('1')), (20, Press('2')), (30, Press('3')), (40, Press('4')), (50, Press('5'))],
                "40 ms: \"1234\"",
            ),
            // Typed ahead: the pause after a key is counted from the prompt's end at the earliest.
            (false, &[(10, Press('7')), (8000, PromptOver), (9000, Press('8'))], "12000 ms: \"78\""),
            (false, &[(10, Press('7')), (8000, PromptOver)], "11000 ms: \"7\""),
            (false, &[(10, Press('7')), (20, Press('#')), (8000, PromptOver)], "8000 ms: \"7\""),
        ] {
            assert_eq!(ask(number, interrupts, events), answer, "{interrupts} {events:?}");
        }
    }

    #[test]
    fn the_prompt_is_stopped_by_the_first_key_if_keys_interrupt() {
        for interrupts in [true, false] {
            let mut collector = KeyCollector::new(keys(2, None), interrupts);
            assert!(!collector.stops_prompt());
            collector.press(Duration::ZERO, '5');
            assert_eq!(collector.stops_prompt(), interrupts);
        }
    }

    proptest! {
        #[test]
        fn every_question_whose_prompt_ends_is_answered_once_within_its_bounds(
            max in 1u8..6,
            finish in prop::option::of(prop::sample::select(vec!['#', '*', '0'])),
            first in 0u64..5_000,
            between in 0u64..5_000,
            interrupts: bool,
            gaps in prop::collection::vec((0u64..4_000, prop::sample::select(vec!['0', '1', '#', '*', 'x', 'D'])), 0..12),
            over in 0u64..20_000,
        ) {
            let ms = Duration::from_millis;
            let wanted = KeysWanted { max, finish, first: ms(first), between: ms(between) };
            let mut collector = KeyCollector::new(wanted, interrupts);
            let mut events = Vec::new();
            let mut at = 0;
            for (gap, key) in gaps {
                at += gap;
                events.push((at, Press(key)));
            }
            events.push((over, PromptOver));
            events.sort_by_key(|(at, _)| *at);
            let mut answer: Option<Answer> = None;
            // By the order of events, not by their times: a key may come in the millisecond in which the prompt ends.
            let mut was_over = false;
            for (at, event) in events {
                was_over |= matches!(event, PromptOver);
                collector.handle_timeout(ms(at));
                match event {
                    Press(key) => collector.press(ms(at), key),
                    PromptOver => collector.prompt_over(ms(at)),
                }
                if let Some(answer) = &answer {
                    prop_assert_eq!(collector.answer(), Some(answer), "an answer does not change");
                }
                answer = collector.answer().cloned();
                prop_assert!(interrupts || was_over || answer.is_none(), "the prompt is heard out");
                prop_assert!(answer.is_none() || collector.poll_timeout().is_none());
                prop_assert!(!was_over || answer.is_some() || collector.poll_timeout().is_some());
            }
            if let Some(deadline) = collector.poll_timeout() {
                collector.handle_timeout(deadline);
            }
            match collector.answer() {
                Some(Answer::Keys(keys)) => {
                    prop_assert!(keys.len() <= usize::from(max));
                    prop_assert!(keys.chars().all(|key| is_key(key) && Some(key) != finish));
                }
                Some(Answer::Silence) => {}
                Some(other) => prop_assert!(false, "keys do not speak: {other:?}"),
                None => prop_assert!(false, "after its deadline a question is answered"),
            }
        }
    }
}
