//! Key presses as telephone-event packets (RFC 4733), received and sent.
//!
//! A press is reported at its *first* packet, not at its end: the person has pressed already, and 100 ms saved is a
//! prompt that stops when the finger goes down. Everything after that is recognising the same press again: packets
//! repeat every 20 ms, the last one comes three times, and any of them may be lost or overtaken.

use std::time::{Duration, Instant};

/// The sixteen keys by event code (RFC 4733 §3.2, table 3).
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// The bytes of a telephone-event payload.
pub const PAYLOAD_LEN: usize = 4;

/// A press of which nothing was heard for this long is over, though its end packets were all lost.
const LOST_END: Duration = Duration::from_millis(200);

/// A timestamp that lies further back than this is a new clock of the far end, not a straggler.
const STRAGGLER: i32 = -10 * 8000;

/// The event code of a key: `0`–`9`, `*`, `#`, `A`–`D`, in either case.
pub fn code(key: char) -> Option<u8> {
    let key = u8::try_from(key.to_ascii_uppercase()).ok()?;
    KEYS.iter().position(|known| *known == key).and_then(|at| u8::try_from(at).ok())
}

/// The key of an event code; `None` for the events that are no keys (flash, tones).
pub fn key(code: u8) -> Option<char> {
    KEYS.get(usize::from(code)).map(|key| char::from(*key))
}

/// Turns telephone-event packets into presses, each told once.
#[derive(Debug, Clone, Default)]
pub struct KeyReceiver {
    last: Option<Press>,
}

#[derive(Debug, Clone, Copy)]
struct Press {
    code: u8,
    timestamp: u32,
    duration: u16,
    ended: bool,
    at: Instant,
}

impl KeyReceiver {
    /// Takes one packet's payload; gives the key when the packet is the first heard of a new press.
    pub fn handle(&mut self, now: Instant, marker: bool, timestamp: u32, payload: &[u8]) -> Option<char> {
        let &[code, flags, high, low] = payload.first_chunk()?;
        let (duration, ended) = (u16::from_be_bytes([high, low]), flags & 0x80 != 0);
        let key = key(code)?;
        if let Some(last) = &mut self.last {
            let step = timestamp.wrapping_sub(last.timestamp).cast_signed();
            if step == 0 {
                last.duration = last.duration.max(duration);
                last.ended |= ended;
                last.at = now;
                return None;
            }
            if (STRAGGLER..0).contains(&step) {
                return None;
            }
            if !marker && code == last.code && !last.ended && now.duration_since(last.at) < LOST_END {
                // A press longer than 8 s goes on in a further segment, which begins where the last one ended and has
                // no marker (RFC 4733 §2.5.1.3). And some gateways wrongly move the timestamp with each packet of one
                // press: there the duration goes on growing, which a new press cannot do.
                let next_segment = step == i32::from(last.duration);
                let moving_clock = duration > last.duration && step <= 8 * 200;
                if next_segment || moving_clock {
                    *last = Press { code, timestamp, duration, ended, at: now };
                    return None;
                }
            }
        }
        self.last = Some(Press { code, timestamp, duration, ended, at: now });
        Some(key)
    }

    /// Forgets the last press: the far end began a new stream with a new clock.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

/// How keys are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTiming {
    /// How long a key is down; whole 20 ms, at most 8 s (one segment of RFC 4733).
    pub hold: Duration,
    /// The pause after it.
    pub gap: Duration,
}

impl Default for KeyTiming {
    fn default() -> Self {
        Self { hold: Duration::from_millis(100), gap: Duration::from_millis(80) }
    }
}

/// Keys that wait to be sent; more than fit are refused as a whole, none is lost in the middle.
#[derive(Debug, Clone, Default)]
pub struct KeySender {
    codes: [u8; Self::CAPACITY],
    head: usize,
    len: usize,
    hold_ticks: u16,
    gap_ticks: u16,
    /// Ticks since the current key went down.
    tick: u16,
    timestamp: u32,
}

/// What a [`KeySender`] does in one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyTick {
    /// No key is being sent: sound may go out.
    Idle,
    /// The pause between keys: nothing goes out.
    Gap,
    /// A packet goes out.
    Packet {
        /// The first packet of the press.
        marker: bool,
        /// When the press began.
        timestamp: u32,
        /// The payload.
        payload: [u8; PAYLOAD_LEN],
        /// Which key, as its event code, and how many ticks it has been down: for those who sing it instead.
        code: u8,
        /// Whether the key is up already: one of the three end packets.
        ended: bool,
    },
}

impl KeySender {
    /// Keys that can wait at once.
    pub const CAPACITY: usize = 32;

    /// How loud the keys say they are: -10 dBm0, what phones send.
    const VOLUME: u8 = 10;

    /// Adds keys. `false`: not all of them fit, or one is no key; then none was added.
    pub fn push(&mut self, keys: &[u8], timing: KeyTiming) -> bool {
        let known = keys.iter().all(|key| code(char::from(*key)).is_some());
        if !known || keys.len() > Self::CAPACITY - self.len {
            return false;
        }
        let ticks =
            |time: Duration| u16::try_from(time.as_millis().div_ceil(20)).unwrap_or(400).clamp(1, 400);
        self.hold_ticks = ticks(timing.hold);
        self.gap_ticks = ticks(timing.gap);
        for key in keys {
            self.codes[(self.head + self.len) % Self::CAPACITY] = code(char::from(*key)).unwrap_or(0);
            self.len += 1;
        }
        true
    }

    /// Whether keys are being sent or wait.
    pub fn is_busy(&self) -> bool {
        self.len > 0
    }

    /// One step of 20 ms; `timestamp` is what a packet of this tick would carry.
    pub fn tick(&mut self, timestamp: u32) -> KeyTick {
        if self.len == 0 {
            return KeyTick::Idle;
        }
        self.tick += 1;
        let marker = self.tick == 1;
        if marker {
            self.timestamp = timestamp;
        }
        // The end packet goes out three times, a tick apart (RFC 4733 §2.5.1.4).
        if self.tick > self.hold_ticks + 3 {
            if self.tick >= self.hold_ticks + 3 + self.gap_ticks {
                self.head = (self.head + 1) % Self::CAPACITY;
                self.len -= 1;
                self.tick = 0;
            }
            return KeyTick::Gap;
        }
        let ended = self.tick > self.hold_ticks;
        let duration = self.tick.min(self.hold_ticks) * 160;
        let [high, low] = duration.to_be_bytes();
        let code = self.codes[self.head];
        let payload = [code, (u8::from(ended) << 7) | Self::VOLUME, high, low];
        KeyTick::Packet { marker, timestamp: self.timestamp, payload, code, ended }
    }
}

#[cfg(test)]
mod tests;
