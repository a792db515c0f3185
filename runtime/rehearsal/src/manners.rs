//! What a callee of the farm does between picking up and the end: when he presses, speaks, or leaves.
//!
//! The manners do no I/O and read no clock. [`crate::farm`] tells them what the callee hears, does what
//! [`Manners::poll_act`] asks for, and calls [`Manners::handle_timeout`] once [`Manners::poll_timeout`] is reached.
//!
//! # Invariants
//!
//! * A callee leaves at last, at most [`LONGEST`] after the answer.
//! * Who speaks says it [`TIMES`] times at most, and not while he hears somebody speak, unless he is one who interrupts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::behaviour::{Behaviour, INTERRUPTS_AFTER, KEY_AFTER, LEAVES_AFTER, TALKS_FOR, WAITS_FOR};

/// No call of the farm lasts longer: a caller that crashed must not keep a callee busy for ever.
pub(crate) const LONGEST: Duration = Duration::from_secs(300);
/// So long a silence is the end of what the robot says; between its sentences there is less.
pub(crate) const SILENT_FOR: Duration = Duration::from_millis(1200);
/// Who hears nobody speak says what he has to say anyway: the robot may play music, or wait.
const HEARS_NOBODY: Duration = Duration::from_secs(20);
/// How often a callee says what he has to say: nobody is asked more often without hanging up.
const TIMES: u32 = 3;

/// What the callee hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hears {
    /// The far end begins to speak.
    Voice,
    /// The far end has been silent for [`SILENT_FOR`].
    Silence,
    /// It speaks on, longer than is listened to in one go.
    More,
}

/// What the callee does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Begins to listen for one turn of the far end.
    Listen,
    /// Presses this key.
    Press(char),
    /// Says what he has to say.
    Say,
    /// Hangs up.
    Leave,
}

#[derive(Debug)]
enum State {
    /// Will do this at that time, and then stay to the end.
    Once(Act, Instant),
    /// Will press this then, and leave when he has waited [`WAITS_FOR`].
    Impatient(char, Instant),
    /// Will speak then, unless he hears somebody meanwhile.
    Turn {
        speaks_at: Instant,
        times: u32,
    },
    /// Will speak then, whoever speaks.
    Interrupting {
        speaks_at: Instant,
    },
    /// Hears somebody out.
    Hearing {
        times: u32,
    },
    /// Has done it all.
    Stays,
    Left,
}

/// One callee who has picked up.
#[derive(Debug)]
pub(crate) struct Manners {
    state: State,
    leaves_at: Instant,
    acts: VecDeque<Act>,
}

impl Manners {
    /// At the answer.
    pub(crate) fn new(behaviour: Behaviour, now: Instant) -> Self {
        let state = match behaviour {
            Behaviour::Says(_) | Behaviour::SaysOwn => {
                State::Turn { speaks_at: now + HEARS_NOBODY, times: TIMES }
            }
            Behaviour::Interrupts(_) => State::Interrupting { speaks_at: now + INTERRUPTS_AFTER },
            Behaviour::Presses(digit) => State::Once(Act::Press(digit), now + KEY_AFTER),
            Behaviour::HangsUp => State::Once(Act::Leave, now + LEAVES_AFTER),
            Behaviour::GivesUp(digit) => State::Impatient(digit, now + KEY_AFTER),
            Behaviour::Colleague => State::Once(Act::Leave, now + TALKS_FOR),
            _ => State::Stays,
        };
        let listens = matches!(state, State::Turn { .. });
        Self { state, leaves_at: now + LONGEST, acts: listens.then_some(Act::Listen).into_iter().collect() }
    }

    /// Takes what is heard since the last [`Act::Listen`].
    pub(crate) fn handle(&mut self, now: Instant, hears: Hears) {
        match (&self.state, hears) {
            (State::Turn { times, .. }, Hears::Voice) => self.state = State::Hearing { times: *times },
            (State::Hearing { .. }, Hears::More) => self.acts.push_back(Act::Listen),
            (State::Hearing { times }, Hears::Silence) => self.speak(now, *times),
            _ => {}
        }
    }

    /// Time has come to [`Manners::poll_timeout`].
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if now >= self.leaves_at {
            self.acts.push_back(Act::Leave);
            self.state = State::Left;
            return;
        }
        match self.state {
            State::Once(act, at) if now >= at => {
                self.acts.push_back(act);
                self.state = if act == Act::Leave { State::Left } else { State::Stays };
            }
            State::Impatient(digit, at) if now >= at => {
                self.acts.push_back(Act::Press(digit));
                self.state = State::Once(Act::Leave, now + WAITS_FOR);
            }
            State::Turn { speaks_at, times } if now >= speaks_at => self.speak(now, times),
            State::Interrupting { speaks_at } if now >= speaks_at => self.speak(now, TIMES),
            _ => {}
        }
    }

    fn speak(&mut self, now: Instant, times: u32) {
        self.acts.push_back(Act::Say);
        self.state = match times - 1 {
            0 => State::Stays,
            times => {
                self.acts.push_back(Act::Listen);
                State::Turn { speaks_at: now + HEARS_NOBODY, times }
            }
        };
    }

    /// When [`Manners::handle_timeout`] wants to be called; `None` once the callee has left.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let at = match self.state {
            State::Left => return None,
            State::Once(_, at) | State::Impatient(_, at) => at,
            State::Turn { speaks_at, .. } | State::Interrupting { speaks_at } => speaks_at,
            State::Hearing { .. } | State::Stays => self.leaves_at,
        };
        Some(at.min(self.leaves_at))
    }

    /// The next thing to do.
    pub(crate) fn poll_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Saying;

    /// Lets a callee hear these things at these times (ms since the answer), and everything happen in between.
    fn check(behaviour: Behaviour, hears: &[(u64, Hears)], expected: &str) {
        let start = zvonar_switch::clock::now();
        let mut manners = Manners::new(behaviour, start);
        let mut seen = Vec::new();
        let take = |manners: &mut Manners, at: Instant, seen: &mut Vec<String>| {
            while let Some(act) = manners.poll_act() {
                seen.push(format!("{} {act:?}", (at - start).as_millis()));
            }
        };
        take(&mut manners, start, &mut seen);
        let mut hears = hears.iter().map(|(ms, what)| (start + Duration::from_millis(*ms), *what)).peekable();
        while let Some(due) = manners.poll_timeout() {
            match hears.next_if(|(at, _)| *at <= due) {
                Some((at, what)) => {
                    manners.handle(at, what);
                    take(&mut manners, at, &mut seen);
                }
                None => {
                    manners.handle_timeout(due);
                    take(&mut manners, due, &mut seen);
                }
            }
        }
        assert_eq!(seen.join(" | "), expected);
    }

    #[test]
    fn a_callee_speaks_when_the_robot_has_fallen_silent_and_again_when_it_asks_again() {
        check(
            Behaviour::Says(Saying::Yes),
            &[
                (200, Hears::Voice),
                (30_200, Hears::More),
                (41_000, Hears::Silence),
                (43_000, Hears::Voice),
                (50_000, Hears::Silence),
            ],
            "0 Listen | 30200 Listen | 41000 Say | 41000 Listen | 50000 Say | 50000 Listen | 70000 Say | 300000 Leave",
        );
    }

    #[test]
    fn who_hears_nobody_speaks_into_the_silence_and_not_for_ever() {
        check(
            Behaviour::Says(Saying::No),
            &[],
            "0 Listen | 20000 Say | 20000 Listen | 40000 Say | 40000 Listen | 60000 Say | 300000 Leave",
        );
    }

    #[test]
    fn who_interrupts_speaks_over_the_robot_and_then_listens_as_the_others_do() {
        check(
            Behaviour::Interrupts(Saying::Yes),
            &[(500, Hears::Voice), (6_000, Hears::Voice), (9_000, Hears::Silence)],
            "4000 Say | 4000 Listen | 9000 Say | 9000 Listen | 29000 Say | 300000 Leave",
        );
    }

    #[test]
    fn keys_and_hanging_up_come_at_their_times_and_nobody_stays_for_ever() {
        check(Behaviour::Presses('1'), &[], "2000 Press('1') | 300000 Leave");
        check(Behaviour::HangsUp, &[], "1500 Leave");
        check(Behaviour::GivesUp('1'), &[], "2000 Press('1') | 7000 Leave");
        check(Behaviour::Colleague, &[(100, Hears::Voice)], "6000 Leave");
        check(Behaviour::Listens, &[(100, Hears::Voice), (200, Hears::Silence)], "300000 Leave");
    }
}
