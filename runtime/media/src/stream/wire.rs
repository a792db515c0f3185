//! Whether anything comes from the far end, and what it means when nothing does.
//!
//! A far end may be silent by right: one that suppresses silence sends nothing while nobody speaks (RFC 3551 §4.1). It shows
//! that by comfort noise (RFC 3389), or by a pause after which its timestamps have gone on and its sequence numbers have
//! not. What a network lost is missing in the numbers as well, and a telephone that died shows nothing.
//!
//! Deliberately absent: RTCP, which is not heard at all.

use std::time::{Duration, Instant};

use super::{Heard, StreamEvent};

/// A hole of this many samples (200 ms) between two packets that follow each other is a pause: longer than any packet.
const PAUSE: i32 = 200 * 8;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    /// After how long it counts as silent; `None`: never.
    longest: Option<Duration>,
    /// When something came last, or the sound began.
    heard_at: Instant,
    /// When it counts as silent; `None`: told already, or nothing is to come.
    silent_at: Option<Instant>,
    /// That something comes again is to be told.
    told: bool,
    heard: Heard,
    /// The number of the latest packet and the timestamp after it, if it was sound.
    latest: Option<(u16, u32)>,
}

/// What the far end sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sign {
    Sound {
        sequence: u16,
        timestamp: u32,
        samples: u32,
    },
    /// Comfort noise.
    Quiet,
    Key,
}

impl Wire {
    pub(super) fn new(now: Instant, longest: Option<Duration>) -> Self {
        Self { longest, heard_at: now, silent_at: None, told: false, heard: Heard::Nothing, latest: None }
    }

    /// The sound begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Something is to come from now on, or nothing is. A silence that was told already is told anew if it goes on:
    /// whoever listens now may be another, or waits for the end of a hold.
    pub(super) fn watch(&mut self, now: Instant, hears: bool) {
        self.silent_at = self.longest.filter(|_| hears).map(|time| now + time);
        self.latest = None; // a hold is no pause
    }

    /// Another far end, with habits of its own.
    pub(super) fn new_far_end(&mut self) {
        self.heard = Heard::Nothing;
    }

    /// Another source begins, with numbers of its own.
    pub(super) fn new_source(&mut self) {
        self.latest = None;
    }

    /// Something came, though perhaps out of order. Whether it ends a silence that was told.
    pub(super) fn handle(&mut self, now: Instant, hears: bool) -> bool {
        self.heard_at = now;
        if self.heard == Heard::Nothing {
            self.heard = Heard::Sound;
        }
        self.silent_at = self.longest.filter(|_| hears).map(|time| now + time);
        std::mem::take(&mut self.told)
    }

    /// What came, in order.
    pub(super) fn notice(&mut self, sign: Sign) {
        let latest = self.latest.take();
        match sign {
            Sign::Sound { sequence, timestamp, samples } => {
                let pauses = |(last, until): (u16, u32)| {
                    sequence == last.wrapping_add(1) && timestamp.wrapping_sub(until).cast_signed() >= PAUSE
                };
                if latest.is_some_and(pauses) {
                    self.heard = Heard::Pauses;
                }
                self.latest = Some((sequence, timestamp.wrapping_add(samples)));
            }
            Sign::Quiet => self.heard = Heard::Pauses,
            // It has the time of its beginning, however long it lasts.
            Sign::Key => {}
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) -> Option<StreamEvent> {
        self.silent_at.filter(|at| now >= *at)?;
        self.silent_at = None;
        self.told = true;
        Some(StreamEvent::SilentWire { since: self.heard_at, heard: self.heard })
    }
}
