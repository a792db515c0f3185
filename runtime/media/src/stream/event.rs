//! What a stream tells, and where it waits until it is taken.

use std::time::{Duration, Instant};

use super::VoiceEnd;
use crate::Prompt;
use crate::amd::Verdict as MachineVerdict;

/// Events that can wait to be taken; from half of it on, key presses are dropped.
const EVENTS: usize = 16;

/// Which `play` an event is about; chosen by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayId(pub u64);

/// How a prompt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlayEnd {
    /// It was played to its end, and the time of its last packet is over.
    Played,
    /// The far end pressed a key.
    Key,
    /// It was stopped, or replaced by another.
    Command,
}

/// What came from a far end so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Not a single packet.
    Nothing,
    /// Packets without a pause.
    Sound,
    /// It leaves silence out: it has sent comfort noise, or paused and gone on. Nobody may be speaking there.
    Pauses,
}

/// What a stream has to tell.
#[derive(Debug)]
pub enum StreamEvent {
    /// A key was pressed.
    Key {
        /// Which.
        digit: char,
        /// When its first packet came.
        at: Instant,
    },
    /// The first packet left.
    FirstPacketSent {
        /// When.
        at: Instant,
    },
    /// The first packet of the far end was taken.
    FirstPacketHeard {
        /// When.
        at: Instant,
    },
    /// A prompt is over.
    PlayEnded {
        /// Which.
        id: PlayId,
        /// How.
        end: PlayEnd,
        /// How much of it had left.
        played: Duration,
        /// The prompt, to be freed where memory may be freed.
        prompt: Prompt,
    },
    /// All keys to be sent have left.
    KeysSent,
    /// Keys were not sent: too many wait already, or one is no key.
    KeysRefused,
    /// Nothing came for [`StreamSettings::silent_wire`]. Told once, and once more after a new plan or a bridge if still
    /// nothing comes.
    SilentWire {
        /// When something came last, or the sound began.
        since: Instant,
        /// What came before.
        heard: Heard,
    },
    /// Something came again after that.
    WireBack,
    /// Whether a person or a machine picked up.
    Machine(MachineVerdict),
    /// The machine has beeped: from now on it records.
    Beep {
        /// Its pitch.
        hz: f32,
    },
    /// A voice recording is over; no frame of it follows.
    VoiceEnded {
        /// Why.
        end: VoiceEnd,
        /// Where it ends, in samples since it began.
        at: u64,
    },
}

/// The events that wait, in a ring of fixed size.
#[derive(Debug)]
pub(super) struct Events {
    ring: [Option<StreamEvent>; EVENTS],
    head: usize,
    len: usize,
    pub(super) dropped: u64,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { ring: [const { None }; EVENTS], head: 0, len: 0, dropped: 0 }
    }

    /// From here on key presses are dropped.
    pub(super) fn is_half_full(&self) -> bool {
        self.len >= EVENTS / 2
    }

    pub(super) fn push(&mut self, event: StreamEvent) {
        // A driver that takes the events after each call never comes near the limit: one call makes at most four. It
        // is reached only when those who listen to all calls have stood still.
        if self.len < EVENTS {
            self.ring[(self.head + self.len) % EVENTS] = Some(event);
            self.len += 1;
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn pop(&mut self) -> Option<StreamEvent> {
        let event = self.ring[self.head].take()?;
        self.head = (self.head + 1) % EVENTS;
        self.len -= 1;
        Some(event)
    }

    pub(super) fn unpop(&mut self, event: StreamEvent) {
        if self.len < EVENTS {
            self.head = (self.head + EVENTS - 1) % EVENTS;
            self.ring[self.head] = Some(event);
            self.len += 1;
        }
    }
}
