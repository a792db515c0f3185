//! Whether the telephone of the other side is still there, by what comes over its wire.
//!
//! One that says nothing may have died, or somebody listens there while it sends nothing of the silence. Which it is nobody
//! can know, so time decides: little of it for a telephone that has said no packet since it was picked up, and at the
//! beginning of an operator's talk, when a colleague can take the caller as if nothing had been; much of it later, and
//! whenever the telephone has shown that it leaves silence out. While it holds the caller it may say nothing at all, but
//! not for ever: one that died on hold and one that forgot him look alike.
//!
//! It performs no I/O and reads no clock. What happens to the leg is told by [`Pulse::handle`], and once
//! [`Pulse::poll_timeout`] is reached the leg should be hung up.

use std::time::Instant;

use zvonar_media::Heard;
use zvonar_switch::{CallEvent, MediaEvent};

use crate::desks::SilenceRules;

/// See the module.
#[derive(Debug, Clone)]
pub struct Pulse {
    picked_up: Instant,
    /// It is an operator's: others may take the caller.
    at_desk: bool,
    /// Since when its sound is to come: the pick-up, or the end of a hold.
    due: Instant,
    held_since: Option<Instant>,
    silence: Option<Silence>,
}

#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Instant,
    heard: Heard,
}

impl Pulse {
    /// Of a telephone that was picked up then, and may hold the caller from the first moment.
    pub fn new(picked_up: Instant, is_held: bool, at_desk: bool) -> Self {
        let held_since = is_held.then_some(picked_up);
        Self { picked_up, at_desk, due: picked_up, held_since, silence: None }
    }

    /// Something has happened to the leg.
    pub fn handle(&mut self, now: Instant, event: &CallEvent) {
        match event {
            CallEvent::Held { held: true } => {
                self.held_since.get_or_insert(now);
            }
            CallEvent::Held { held: false } => {
                self.held_since = None;
                self.due = now;
            }
            CallEvent::Media(MediaEvent::SilentWire { since, heard }) => {
                self.silence = Some(Silence { since: *since, heard: *heard });
            }
            CallEvent::Media(MediaEvent::WireBack) => self.silence = None,
            _ => {}
        }
    }

    /// Whether the telephone holds the caller.
    pub fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    /// When it counts as gone, if nothing happens until then.
    pub fn poll_timeout(&self, rules: &SilenceRules) -> Option<Instant> {
        if let Some(since) = self.held_since {
            return Some(since + rules.longest_hold);
        }
        let silence = self.silence?;
        let is_short = match silence.heard {
            Heard::Nothing => true,
            // What came before the pick-up belongs to no talk.
            Heard::Sound => silence.since <= self.picked_up || self.at_desk && self.is_no_talk(rules),
            Heard::Pauses => false,
        };
        Some(silence.since.max(self.due) + if is_short { rules.short } else { rules.long })
    }

    /// Since when it says nothing; `None`: it holds the caller, which is a part of the talk.
    pub fn silent_since(&self) -> Option<Instant> {
        let silence = self.silence.filter(|_| self.held_since.is_none())?;
        Some(silence.since.max(self.due))
    }

    /// Whether it fell silent, or held the caller, so early that there was no talk.
    pub fn is_no_talk(&self, rules: &SilenceRules) -> bool {
        self.held_since.or(self.silent_since()).is_some_and(|since| since < self.picked_up + rules.start)
    }
}
