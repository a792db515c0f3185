//! The line of letters before one address: which goes next, when again, and when it is given up. No clock, no socket.
//!
//! Whoever drives it takes letters in by their places ([`Line::take`]), does what [`Line::next`] says, stores what
//! [`Line::ended`] says before anything else, and comes back at [`Line::poll_timeout`].
//!
//! # What always holds
//!
//! * A letter goes for the first time only after all before it have gone at least once. One that was not taken lets later
//!   ones pass; no more than [`ROOM`] are in the line at once, so no more than that pass it.
//! * After the nth failure the pause is 1, 5, 15, 60 minutes, and 60 from then on; a letter that would go again later than
//!   a day after it came is given up.
//! * An address that took none of five different letters, one after the other, is asked with one letter at a time, at the
//!   same pauses, until it takes one: a thousand letters do not knock at a door that is shut. What is a day old by the time
//!   the door was shut for a day is given up without going again.
//! * A place that is out is not given out again before it has come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zvonar_model::UnixMillis;

use crate::outbox::pause;

/// Letters that may be on their way to one address at once, unless something else is said.
pub const AT_ONCE: usize = 4;

/// Letters that a line holds; more wait where they are stored.
pub const ROOM: usize = 200;

/// For how long a letter is tried.
pub const PATIENCE_OF_A_LETTER: Duration = Duration::from_secs(24 * 3600);

/// So many different letters that are not taken, one after the other, shut the door.
const SHUT_AFTER: usize = 5;

/// When a letter goes again that came at `since` and was not taken for the nth time now; `None`: it is given up.
pub fn again(since: UnixMillis, failures: u32, now: UnixMillis) -> Option<UnixMillis> {
    let due = now.plus(pause(failures.saturating_sub(1)));
    (due <= since.plus(PATIENCE_OF_A_LETTER)).then_some(due)
}

/// A letter in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    since: UnixMillis,
    failures: u32,
    due: UnixMillis,
    out: bool,
}

/// The address takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shut {
    since: UnixMillis,
    until: UnixMillis,
    knocks: u32,
}

/// What is to be done with the letter at a place.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Bring it; it is the nth try. Then tell [`Line::ended`].
    Bring(u64, u32),
    /// It is given up without going again, and out of the line.
    GiveUp(u64),
}

/// What became of a letter.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken, and is out of the line.
    Taken,
    /// It goes again.
    Again {
        /// How often it was not taken.
        failures: u32,
        /// When it goes.
        due: UnixMillis,
    },
    /// It was not taken for too long, and is out of the line.
    GivenUp,
}

/// The line before one address.
#[derive(Debug, Clone)]
pub struct Line {
    at_once: usize,
    waiting: BTreeMap<u64, Waiting>,
    out: usize,
    /// Letters that were not taken since one was.
    failed: BTreeSet<u64>,
    shut: Option<Shut>,
}

impl Line {
    /// An empty line; `at_once`: letters that may be on their way together, 1 at least.
    pub fn new(at_once: usize) -> Self {
        Self {
            at_once: at_once.max(1),
            waiting: BTreeMap::new(),
            out: 0,
            failed: BTreeSet::new(),
            shut: None,
        }
    }

    /// How many more letters can be taken in.
    pub fn room(&self) -> usize {
        ROOM.saturating_sub(self.waiting.len())
    }

    /// Takes a letter in, which came at `since`, was not taken so often, and goes from `due` on. Whoever has no
    /// [`Line::room`] keeps it where it is.
    pub fn take(&mut self, place: u64, since: UnixMillis, failures: u32, due: UnixMillis) {
        self.waiting.entry(place).or_insert(Waiting { since, failures, due, out: false });
    }

    /// Whether a letter is in the line.
    pub fn holds(&self, place: u64) -> bool {
        self.waiting.contains_key(&place)
    }

    /// Lets a letter go that is not there any more: somebody has taken it away.
    pub fn lose(&mut self, place: u64) {
        if self.waiting.remove(&place).is_some_and(|letter| letter.out) {
            self.out -= 1;
        }
    }

    /// Since when the address takes nothing.
    pub fn shut_since(&self) -> Option<UnixMillis> {
        self.shut.map(|shut| shut.since)
    }

    /// What is to be done now; `None`: nothing until [`Line::poll_timeout`].
    pub fn next(&mut self, now: UnixMillis) -> Option<Turn> {
        if let Some(place) = self.stale(now) {
            self.waiting.remove(&place);
            return Some(Turn::GiveUp(place));
        }
        let may = match self.shut {
            None => self.out < self.at_once,
            Some(shut) => self.out == 0 && shut.until <= now,
        };
        if !may {
            return None;
        }
        let mut due = self.waiting.iter_mut().filter(|(_, letter)| !letter.out && letter.due <= now);
        let (place, letter) = due.next()?;
        letter.out = true;
        self.out += 1;
        Some(Turn::Bring(*place, letter.failures.saturating_add(1)))
    }

    /// A letter that is too old, at a door that has been shut for as long.
    fn stale(&self, now: UnixMillis) -> Option<u64> {
        self.shut.filter(|shut| shut.since.plus(PATIENCE_OF_A_LETTER) <= now)?;
        let old = |letter: &Waiting| !letter.out && letter.since.plus(PATIENCE_OF_A_LETTER) <= now;
        self.waiting.iter().find(|(_, letter)| old(letter)).map(|(place, _)| *place)
    }

    /// A letter has come back: it was taken, or not. What is not out changes nothing.
    pub fn ended(&mut self, place: u64, taken: bool, now: UnixMillis) -> Verdict {
        let Some(letter) = self.waiting.get_mut(&place).filter(|letter| letter.out) else {
            return Verdict::GivenUp;
        };
        letter.out = false;
        self.out -= 1;
        if taken {
            self.waiting.remove(&place);
            self.failed.clear();
            self.shut = None;
            return Verdict::Taken;
        }
        letter.failures = letter.failures.saturating_add(1);
        let (since, failures) = (letter.since, letter.failures);
        self.failed.insert(place);
        match &mut self.shut {
            // Those that were on their way when it was shut are no knocks.
            Some(shut) if shut.until <= now => {
                shut.knocks = shut.knocks.saturating_add(1);
                shut.until = now.plus(pause(shut.knocks));
            }
            Some(_) => {}
            None if self.failed.len() >= SHUT_AFTER => {
                self.shut = Some(Shut { since: now, until: now.plus(pause(0)), knocks: 0 });
                self.failed.clear();
            }
            None => {}
        }
        match again(since, failures, now) {
            Some(due) => {
                letter_at(&mut self.waiting, place).due = due;
                Verdict::Again { failures, due }
            }
            None => {
                self.waiting.remove(&place);
                Verdict::GivenUp
            }
        }
    }

    /// When something is to be done by itself; a letter that comes back or comes in may bring it forward.
    pub fn poll_timeout(&self) -> Option<UnixMillis> {
        let first = self.waiting.values().filter(|letter| !letter.out).map(|letter| letter.due).min()?;
        match self.shut {
            None => (self.out < self.at_once).then_some(first),
            Some(shut) => {
                let knock = (self.out == 0).then_some(first.max(shut.until));
                let oldest = self.waiting.values().filter(|letter| !letter.out).map(|letter| letter.since);
                let stale = oldest.min().map(|since| since.max(shut.since).plus(PATIENCE_OF_A_LETTER));
                knock.into_iter().chain(stale).min()
            }
        }
    }
}

fn letter_at(waiting: &mut BTreeMap<u64, Waiting>, place: u64) -> &mut Waiting {
    waiting.get_mut(&place).expect("it was there a moment ago")
}
