//! The line of letters before one address: which goes next, when again, and when it is given up. No clock, no socket.
//!
//! Whoever drives it takes letters in by their places ([`Line::take`]), does what [`Line::next`] says, stores what
//! [`Line::ended`] says before anything else, lets go of what [`Line::put_aside`] names, and comes back at
//! [`Line::poll_timeout`].
//!
//! # What always holds
//!
//! * A letter goes for the first time only after all before it have gone at least once. One that was not taken lets later
//!   ones pass.
//! * After the nth failure the pause is 1, 5, 15, 60 minutes, and 60 from then on; a letter that would go again later than
//!   a day after it was first not taken is given up.
//! * Letters that were not taken have a part of the line, [`RETRIES`], and never the rest of it. Those that are due last
//!   stay in the store when there are more, and come back in time ([`Line::wants_aside`]).
//! * An address that took none of five different letters, one after the other, that went for the first time, is asked with
//!   one letter at a time, at the same pauses, until it takes one: a thousand letters do not knock at a door that is shut.
//!   The letter that knocks is the one that failed least, so that one which nobody can bear keeps no other from trying.
//!   What failed and is a day old by the time the door was shut for a day is given up without going again; what never
//!   went, after a week.
//! * A receiver that refuses one letter for what it is ([`Back::Unwanted`]) has said nothing of the others: that neither
//!   shuts the door, nor shows that it is still shut.
//! * A place that is out is not given out again before it has come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zvonar_model::UnixMillis;

use super::NotTaken;
use crate::outbox::pause;

/// Letters that may be on their way to one address at once, unless something else is said.
pub const AT_ONCE: usize = 4;

/// Letters that a line holds; more wait where they are stored.
pub const ROOM: usize = 200;

/// Of those, the ones that were not taken at least once. The others have the rest to themselves.
pub const RETRIES: usize = ROOM / 2;

/// For how long a letter is tried, from the first time that it was not taken.
pub const PATIENCE_OF_A_LETTER: Duration = Duration::from_secs(24 * 3600);

/// For how long a letter waits at a door that is shut, if it never went: others have shown that it is.
pub const PATIENCE_OF_AN_UNTRIED: Duration = Duration::from_secs(7 * 24 * 3600);

/// So many different letters that are not taken when they go for the first time, one after the other, shut the door.
const SHUT_AFTER: usize = 5;

/// When a letter goes again that was first not taken at `since`, and was not taken for the nth time now; `None`: it is given up.
pub fn again(since: UnixMillis, failures: u32, now: UnixMillis) -> Option<UnixMillis> {
    let due = now.plus(pause(failures.saturating_sub(1)));
    (due <= since.plus(PATIENCE_OF_A_LETTER)).then_some(due)
}

/// A letter in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    /// When it came; of one that was not taken, when that was first.
    since: UnixMillis,
    failures: u32,
    due: UnixMillis,
    out: bool,
}

impl Waiting {
    fn is_retry(&self) -> bool {
        self.failures > 0
    }

    /// When it is given up that waits at a door shut since then.
    fn stale(&self, shut: UnixMillis) -> UnixMillis {
        let patience = if self.is_retry() { PATIENCE_OF_A_LETTER } else { PATIENCE_OF_AN_UNTRIED };
        self.since.max(shut).plus(patience)
    }
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

/// How a letter has come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// It was taken.
    Taken,
    /// The receiver is there and refuses this letter.
    Unwanted,
    /// Nobody was there, or whoever was could take nothing.
    Failed,
}

impl Back {
    /// What a courier's answer says.
    pub fn of(answer: &Result<u16, NotTaken>) -> Self {
        match answer {
            Ok(_) => Self::Taken,
            Err(why) if why.is_of_the_letter() => Self::Unwanted,
            Err(_) => Self::Failed,
        }
    }
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
        /// When it was first not taken: as `since` for [`Line::take`].
        since: UnixMillis,
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
    /// Letters in the line that were not taken, and those of them that are out.
    retries: usize,
    retries_out: usize,
    /// Letters that were not taken when they went for the first time, since one was taken.
    failed: BTreeSet<u64>,
    shut: Option<Shut>,
    /// Some that were not taken are in the store alone. The first of them is due then.
    aside: Option<UnixMillis>,
}

impl Line {
    /// An empty line; `at_once`: letters that may be on their way together, 1 at least.
    pub fn new(at_once: usize) -> Self {
        Self {
            at_once: at_once.max(1),
            waiting: BTreeMap::new(),
            out: 0,
            retries: 0,
            retries_out: 0,
            failed: BTreeSet::new(),
            shut: None,
            aside: None,
        }
    }

    /// How many more letters can be taken in that never went.
    pub fn room(&self) -> usize {
        (ROOM - RETRIES).saturating_sub(self.waiting.len() - self.retries)
    }

    /// Takes a letter in, which came at `since` (or was first not taken then), was not taken so often, and goes from `due` on. Whoever has no
    /// [`Line::room`] keeps one that never went where it is; for others see [`Line::put_aside`].
    pub fn take(&mut self, place: u64, since: UnixMillis, failures: u32, due: UnixMillis) {
        if self.waiting.contains_key(&place) {
            return;
        }
        let letter = Waiting { since, failures, due, out: false };
        self.retries += usize::from(letter.is_retry());
        self.waiting.insert(place, letter);
    }

    /// A letter that has to leave the line and stays in the store, as too many were not taken: the one that is due last.
    /// Asked after each [`Line::take`] and [`Line::ended`], until it names none.
    pub fn put_aside(&mut self) -> Option<u64> {
        if self.retries <= RETRIES {
            return None;
        }
        let retries = self.waiting.iter().filter(|(_, letter)| letter.is_retry() && !letter.out);
        let (place, due) =
            retries.map(|(place, letter)| (*place, letter.due)).max_by_key(|(place, due)| (*due, *place))?;
        self.remove(place);
        self.note_aside(due);
        Some(place)
    }

    /// Some that were not taken are in the store and not in the line; the first of them is due then.
    pub fn note_aside(&mut self, due: UnixMillis) {
        self.aside = Some(self.aside.map_or(due, |known| known.min(due)));
    }

    /// Whether the store has to be looked through for letters that are aside: there is room for them, or one is due before
    /// all that are here. Then nothing is aside any more ([`Line::looking_aside`]) but what is named so again.
    pub fn wants_aside(&self, now: UnixMillis) -> bool {
        self.aside_at().is_some_and(|at| at <= now)
    }

    /// The store is looked through: the first [`RETRIES`] to be due that are not here are taken in, and the due time of the
    /// next one is told to [`Line::note_aside`].
    pub fn looking_aside(&mut self) {
        self.aside = None;
    }

    fn aside_at(&self) -> Option<UnixMillis> {
        let aside = self.aside?;
        if self.retries <= RETRIES / 2 {
            return Some(UnixMillis(i64::MIN));
        }
        let here = self.waiting.values().filter(|letter| letter.is_retry() && !letter.out);
        // What is due first here goes first: there is time until then.
        here.map(|letter| letter.due).min().is_none_or(|first| aside < first).then_some(aside)
    }

    /// Whether a letter is in the line.
    pub fn holds(&self, place: u64) -> bool {
        self.waiting.contains_key(&place)
    }

    /// Lets a letter go that is not there any more: somebody has taken it away.
    pub fn lose(&mut self, place: u64) {
        self.remove(place);
    }

    fn remove(&mut self, place: u64) {
        if let Some(letter) = self.waiting.remove(&place) {
            self.out -= usize::from(letter.out);
            self.retries -= usize::from(letter.is_retry());
            self.retries_out -= usize::from(letter.is_retry() && letter.out);
        }
    }

    /// Somebody says that the address takes letters again: if it is shut, one knocks now.
    pub fn knock(&mut self, now: UnixMillis) {
        if let Some(shut) = &mut self.shut {
            shut.until = shut.until.min(now);
        }
    }

    /// Since when the address takes nothing.
    pub fn shut_since(&self) -> Option<UnixMillis> {
        self.shut.map(|shut| shut.since)
    }

    /// What is to be done now; `None`: nothing until [`Line::poll_timeout`].
    pub fn next(&mut self, now: UnixMillis) -> Option<Turn> {
        if let Some(place) = self.stale(now) {
            self.remove(place);
            return Some(Turn::GiveUp(place));
        }
        let place = match self.shut {
            None if self.out < self.at_once => self.first_of(now),
            Some(shut) if self.out == 0 && shut.until <= now => {
                let knocks = self.due(now).min_by_key(|(place, letter)| (letter.failures, *place));
                knocks.map(|(place, _)| place)
            }
            _ => None,
        }?;
        let letter = letter_at(&mut self.waiting, place);
        letter.out = true;
        self.out += 1;
        self.retries_out += usize::from(letter.is_retry());
        Some(Turn::Bring(place, letter.failures.saturating_add(1)))
    }

    /// The first to go of those that are due. Letters that were not taken have half of the way while others want it.
    fn first_of(&self, now: UnixMillis) -> Option<u64> {
        let (first, letter) = self.due(now).next()?;
        if letter.is_retry() && self.retries_out >= (self.at_once / 2).max(1) {
            let fresh = self.due(now).find(|(_, letter)| !letter.is_retry());
            return Some(fresh.map_or(first, |(place, _)| place));
        }
        Some(first)
    }

    fn due(&self, now: UnixMillis) -> impl Iterator<Item = (u64, &Waiting)> {
        let due = self.waiting.iter().filter(move |(_, letter)| !letter.out && letter.due <= now);
        due.map(|(place, letter)| (*place, letter))
    }

    /// A letter that is too old, at a door that has been shut for as long.
    fn stale(&self, now: UnixMillis) -> Option<u64> {
        let shut = self.shut.filter(|shut| shut.since.plus(PATIENCE_OF_A_LETTER) <= now)?;
        let old = |letter: &Waiting| !letter.out && letter.stale(shut.since) <= now;
        self.waiting.iter().find(|(_, letter)| old(letter)).map(|(place, _)| *place)
    }

    /// A letter has come back. What is not out changes nothing.
    pub fn ended(&mut self, place: u64, back: Back, now: UnixMillis) -> Verdict {
        let Some(letter) = self.waiting.get(&place).copied().filter(|letter| letter.out) else {
            return Verdict::GivenUp;
        };
        self.remove(place);
        match back {
            Back::Taken => {
                self.failed.clear();
                self.shut = None;
                return Verdict::Taken;
            }
            Back::Failed => self.knocked_in_vain(place, letter.is_retry(), now),
            Back::Unwanted => {}
        }
        let failures = letter.failures.saturating_add(1);
        let since = if letter.is_retry() { letter.since } else { now };
        match again(since, failures, now) {
            Some(due) => {
                self.take(place, since, failures, due);
                Verdict::Again { failures, due, since }
            }
            None => Verdict::GivenUp,
        }
    }

    fn knocked_in_vain(&mut self, place: u64, retry: bool, now: UnixMillis) {
        match &mut self.shut {
            // Those that were on their way when it was shut are no knocks.
            Some(shut) if shut.until <= now => {
                shut.knocks = shut.knocks.saturating_add(1);
                shut.until = now.plus(pause(shut.knocks));
            }
            Some(_) => {}
            // That it failed before says more of the letter than of the door.
            None if retry => {}
            None => {
                self.failed.insert(place);
                if self.failed.len() >= SHUT_AFTER {
                    self.shut = Some(Shut { since: now, until: now.plus(pause(0)), knocks: 0 });
                    self.failed.clear();
                }
            }
        }
    }

    /// When something is to be done by itself; a letter that comes back or comes in may bring it forward.
    pub fn poll_timeout(&self) -> Option<UnixMillis> {
        let here = || self.waiting.values().filter(|letter| !letter.out);
        let first = here().map(|letter| letter.due).min();
        let turn = match self.shut {
            None => first.filter(|_| self.out < self.at_once),
            Some(shut) => first.filter(|_| self.out == 0).map(|first| first.max(shut.until)),
        };
        let stale = self.shut.and_then(|shut| here().map(|letter| letter.stale(shut.since)).min());
        turn.into_iter().chain(stale).chain(self.aside_at()).min()
    }
}

fn letter_at(waiting: &mut BTreeMap<u64, Waiting>, place: u64) -> &mut Waiting {
    waiting.get_mut(&place).expect("it was there a moment ago")
}
