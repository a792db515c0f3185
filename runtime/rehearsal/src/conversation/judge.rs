//! Plays a conversation and compares what came of it with what was expected.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use zvonar_scenario::ports::Destination;

use super::{At, Conversation};
use crate::script::{Script, Step};
use crate::stage::{Rehearsed, Stage};
use crate::timeline::{To, What};

/// How many lines of a talk are shown before the first difference.
const SHOWN_BEFORE: usize = 40;

/// A conversation that was played.
#[derive(Debug)]
pub struct Played {
    /// Its title.
    pub title: String,
    /// Its file.
    pub file: PathBuf,
    /// What is not as expected, in the order of the talk; empty: it passed.
    pub differences: Vec<Difference>,
    /// What happened.
    pub rehearsed: Rehearsed,
}

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Which of the talk's entries it is about, by its index.
    pub entry: usize,
    /// The line of the conversation's file.
    pub line: usize,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl Conversation {
    /// Plays the talk on a virtual clock. It must fit its package ([`Conversation::fits`]).
    ///
    /// # Errors
    ///
    /// A sentence, when the sandbox has no room.
    pub fn play(&self, stage: &Stage) -> Result<Played, String> {
        let sounds = Arc::clone(stage.sounds());
        let steps: VecDeque<(usize, Step)> = self.talk.clone();
        let script = Script::new(steps, move |prompt: &[_]| sounds.text(prompt));
        let script = Arc::new(Mutex::new(script));
        let rehearsed = match &self.prices {
            Some(prices) => {
                stage.with_prices(prices.clone()).play(&self.setup, Arc::clone(&script), |_| ())?
            }
            None => stage.play(&self.setup, Arc::clone(&script), |_| ())?,
        };
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        let mut judge = Judge { rehearsed: &rehearsed, differences: Vec::new() };
        match script.unexpected() {
            // The talk was cut off there: what did not come of it says nothing.
            Some(unexpected) => {
                let prompt = judge.last(|what| matches!(what, What::Prompt { .. }));
                let expected = format!("the prompt {}", unexpected.expected);
                judge.differ(prompt, unexpected.line, expected, unexpected.heard.clone());
            }
            None => {
                if let Some((line, step)) = script.left_over() {
                    let got = "the talk was over before".to_owned();
                    judge.differ(None, line, step.to_string(), got);
                }
                judge.compare(self);
            }
        }
        let mut differences = judge.differences;
        differences.sort_by_key(|difference| (difference.entry, difference.line));
        Ok(Played { title: self.title.clone(), file: self.file.clone(), differences, rehearsed })
    }
}

struct Judge<'r> {
    rehearsed: &'r Rehearsed,
    differences: Vec<Difference>,
}

impl Judge<'_> {
    /// The last entry that is one of these.
    fn last(&self, is: impl Fn(&What) -> bool) -> Option<usize> {
        self.rehearsed.entries.iter().rposition(|entry| is(&entry.what))
    }

    /// The entry of this number among those that are one of these.
    fn nth(&self, n: usize, is: impl Fn(&What) -> bool) -> Option<usize> {
        let mut found = self.rehearsed.entries.iter().enumerate().filter(|(_, entry)| is(&entry.what));
        found.nth(n).map(|(index, _)| index)
    }

    /// No entry: the end of the talk.
    fn differ(&mut self, entry: Option<usize>, line: usize, expected: String, got: String) {
        let entry = entry.unwrap_or(self.rehearsed.entries.len().saturating_sub(1));
        self.differences.push(Difference { entry, line, expected, got });
    }

    fn compare(&mut self, conversation: &Conversation) {
        let (rehearsed, expect) = (self.rehearsed, &conversation.expect);
        if let Some(At { line, value }) = &expect.result
            && value != rehearsed.result()
        {
            let entry = self.last(|what| matches!(what, What::Result { .. }));
            self.differ(entry, *line, format!("the result «{value}»"), format!("«{}»", rehearsed.result()));
        }
        if let Some(At { line, value }) = &expect.hangs_up
            && *value != rehearsed.hung_up
        {
            let entry = self.last(|what| matches!(what, What::HungUp { .. }));
            let got = format!("the {} did", rehearsed.hung_up);
            self.differ(entry, *line, format!("the {value} hangs up"), got);
        }
        if let Some(At { line, value }) = &expect.transfer
            && value.as_ref() != rehearsed.transfers.last()
        {
            let told = |to: Option<&Destination>| match to {
                Some(to) => format!("a transfer to {}", To::from(to)),
                None => "no transfer".to_owned(),
            };
            let entry = self.last(|what| matches!(what, What::Transfer { .. }));
            self.differ(entry, *line, told(value.as_ref()), told(rehearsed.transfers.last()));
        }
        self.texts(conversation);
        for (name, At { line, value }) in &expect.fields {
            let written = rehearsed.card.written.get(name);
            if written != Some(value) {
                let entry = self.last(|what| matches!(what, What::Field { name: of, .. } if of == name));
                let got =
                    written.map_or("it was not written".into(), |written| format!("{name} = {written}"));
                self.differ(entry, *line, format!("the field {name} = {value}"), got);
            }
        }
        if let Some(At { line, value }) = &expect.notes {
            let index = first_difference(value, &rehearsed.card.notes);
            if let Some(index) = index {
                let entry = self.nth(index, |what| matches!(what, What::Note { .. }));
                let told = |note: Option<&String>| {
                    note.map_or("no more notes".into(), |n| format!("the note «{n}»"))
                };
                self.differ(entry, *line, told(value.get(index)), told(rehearsed.card.notes.get(index)));
            }
        }
        if let Some(At { line, value }) = &expect.blocked {
            let blocked = rehearsed.card.blocked.as_deref();
            if !part_of(value.as_deref(), blocked) {
                let entry = self.last(|what| matches!(what, What::Blocked { .. }));
                let told =
                    |reason: Option<&str>| reason.map_or("not blocked".into(), |r| format!("blocked: {r}"));
                self.differ(entry, *line, told(value.as_deref()), told(blocked));
            }
        }
        if let Some(At { line, value }) = &expect.seconds
            && *value != rehearsed.seconds()
        {
            self.differ(None, *line, format!("{value} s"), format!("{} s", rehearsed.seconds()));
        }
        if let Some(At { line, value }) = &expect.kopecks
            && *value != rehearsed.charge.total.0
        {
            let lines: Vec<&str> = rehearsed.charge.lines.iter().map(|line| line.why.as_str()).collect();
            let got = format!("{} kopecks ({})", rehearsed.charge.total.0, lines.join("; "));
            self.differ(None, *line, format!("{value} kopecks"), got);
        }
        // A scenario that fails is never what somebody meant without saying so.
        let unsaid = At { line: 1, value: None };
        let At { line, value } = expect.fault.as_ref().unwrap_or(&unsaid);
        if !part_of(value.as_deref(), rehearsed.fault()) {
            let entry = self.last(|what| matches!(what, What::Fault { .. }));
            let told = |fault: Option<&str>| fault.unwrap_or("no fault").to_owned();
            self.differ(entry, *line, told(value.as_deref()), told(rehearsed.fault()));
        }
    }

    fn texts(&mut self, conversation: &Conversation) {
        let Some(At { line, value }) = &conversation.expect.sms else { return };
        let sent = &self.rehearsed.sms;
        let same = |(to, text): &(Option<String>, String), index: usize| {
            sent.get(index).is_some_and(|sent| sent.text == *text && (to.is_none() || sent.to == *to))
        };
        let first = (0..value.len().max(sent.len()))
            .find(|index| !value.get(*index).is_some_and(|w| same(w, *index)));
        let Some(index) = first else { return };
        let told = |to: Option<&String>, text: &str| match to {
            Some(to) => format!("the text «{text}» to {to}"),
            None => format!("the text «{text}»"),
        };
        let none = || "no more texts".to_owned();
        let expected = value.get(index).map_or_else(none, |(to, text)| told(to.as_ref(), text));
        let got = sent.get(index).map_or_else(none, |sent| told(sent.to.as_ref(), &sent.text));
        let entry = self.nth(index, |what| matches!(what, What::Sms { .. }));
        self.differ(entry, *line, expected, got);
    }
}

/// The first place where two lists are not the same.
fn first_difference(expected: &[String], got: &[String]) -> Option<usize> {
    (0..expected.len().max(got.len())).find(|index| expected.get(*index) != got.get(*index))
}

/// Whether what is wanted stands in what is there; nothing is wanted where nothing is.
fn part_of(wanted: Option<&str>, there: Option<&str>) -> bool {
    match (wanted, there) {
        (None, None) => true,
        (Some(wanted), Some(there)) => there.contains(wanted),
        _ => false,
    }
}

impl Played {
    /// Whether all is as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// The talk as it went, with the first difference marked in it; further ones follow.
impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let marked = self.differences.first().map(|difference| difference.entry);
        let skipped = marked.map_or(0, |entry| entry.saturating_sub(SHOWN_BEFORE));
        if skipped > 0 {
            writeln!(f, "      … {skipped} lines before")?;
        }
        for (index, entry) in self.rehearsed.entries.iter().enumerate().skip(skipped) {
            let mark = if marked == Some(index) { '✗' } else { ' ' };
            writeln!(f, "   {mark}  {entry}")?;
            if let Some(first) = self.differences.first().filter(|_| marked == Some(index)) {
                writeln!(f, "          expected  {}   ({file}:{})", first.expected, first.line)?;
                writeln!(f, "          got       {}", first.got)?;
            }
        }
        for more in self.differences.iter().skip(1) {
            writeln!(f, "   ✗  and expected {}, got {}   ({file}:{})", more.expected, more.got, more.line)?;
        }
        Ok(())
    }
}
