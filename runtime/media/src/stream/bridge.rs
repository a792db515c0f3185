//! A bridged stream: it hands on what the other party says, packet by packet, as it comes.
//!
//! Nothing is decoded and nothing waits. The header becomes one of ours: our SSRC, and numbers that go on where our own
//! packets stopped, so that the receiver hears one stream whatever begins, ends or interrupts. What the far end's
//! network lost or put out of order stays so, seen in the numbers: the receiver's own buffer deals with it, and no delay
//! is added.
//!
//! # Invariants
//!
//! * A number is used once. Holes in our numbers are holes in theirs.
//! * In the order of the numbers, timestamps of sound never go back, and they stay within a second of our clock,
//!   whatever the far end's clock does.
//! * What we play ourselves (a prompt, a key in the sound, silence) takes the place of the other party's sound, never a
//!   place beside it.
//!
//! Deliberately absent: mixing. Whoever is played a prompt does not hear the other party meanwhile.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::{CallRecording, PlayEnd, SAMPLES_A_SECOND, Stream, Tap, samples};
use crate::event::{self, KeyTiming};
use crate::recording::{RecordingFrame, Side};
use crate::rtp::{HEADER_LEN, Header};
use crate::{Codec, FRAME, g711};

/// How far the other party's clock may be from ours, in samples: more than any jitter, less than anybody would notice as
/// a jump of minutes.
const FAR_OFF: i32 = SAMPLES_A_SECOND as i32;

/// A hole in their numbers of this many packets or more is a new start, and so is a number this far back.
const NEW_START: i16 = 64;

/// Sound that comes this much after its time, in samples (60 ms), when that time is filled with something of ours: it is
/// what a network held back and lets go in one burst. It is dropped, since it would be heard late for ever. What is less
/// late is wobble, and takes its place a little later.
const LATE: i32 = 480;

/// If it is still late after this, nothing was held back: their clock stood still while they were silent.
const LATE_FOR: Duration = Duration::from_millis(100);

/// A recording follows the clock instead of the timestamps when they are this far apart, in samples: 400 ms.
const RECORDED_OFF: u64 = 3200;

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It is not for us: wrong source, wrong type, no RTP.
    Refused,
    /// It was taken, and is nothing to the other party: a packet that came twice.
    Taken,
    /// It was taken, and if the stream is bridged the other party's stream should [`Stream::pass_on`] it.
    Pass(Passing),
}

/// A packet as the other party's stream needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passing {
    pub(super) kind: Kind,
    /// The first of a new source: its numbers and its clock have nothing to do with those before.
    pub(super) fresh: bool,
    /// One with a later number came before it.
    pub(super) overtaken: bool,
    pub(super) marker: bool,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    /// Where the payload lies in the packet; behind twelve bytes at least.
    pub(super) payload: Range<usize>,
}

/// What is in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sound(Codec),
    /// A telephone-event; with its code if it is the first packet heard of a press.
    Key {
        pressed: Option<u8>,
    },
    /// Comfort noise: a number without sound.
    Quiet,
}

/// How the other party's numbers become ours.
#[derive(Debug)]
pub(super) struct Bridge {
    /// `None`: something of ours came between, and the next packet gets our next number.
    line: Option<Line>,
    /// Our timestamp less theirs. Outlives the line: their clock goes on while a prompt plays.
    shift: Option<u32>,
    /// The timestamp of our last packet of the line, if it was sound.
    last_sound: Option<u32>,
    begun: Instant,
    /// Silence is being sent in the other party's place.
    filling: bool,
    late_since: Option<Instant>,
    /// The press that is being handed on.
    press: Option<Press>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    /// Our number less theirs.
    offset: u16,
    /// Our first number of it.
    first: u16,
}

#[derive(Debug, Clone, Copy)]
struct Press {
    theirs: u32,
    ours: u32,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    sequence: u16,
    timestamp: u32,
    /// It continues nothing: the receiver should take its place in time anew.
    marker: bool,
    /// It comes after one with a later number.
    reordered: bool,
}

impl Bridge {
    fn new(now: Instant) -> Self {
        Self {
            line: None,
            shift: None,
            last_sound: None,
            begun: now,
            filling: false,
            late_since: None,
            press: None,
        }
    }

    /// A packet of our own takes the next number.
    pub(super) fn interrupt(&mut self) {
        self.line = None;
        self.last_sound = None;
    }

    /// Nothing of theirs is heard for now; a press that is cut off here does not go on later.
    fn shut(&mut self) {
        self.interrupt();
        self.press = None;
        self.filling = false;
    }

    /// Whether it is time for a packet of silence: nothing has left for so long, or what left last was one.
    pub(super) fn fills(&mut self, now: Instant, sent_at: Option<Instant>, patience: Duration) -> bool {
        let since = sent_at.unwrap_or(self.begun).max(self.begun);
        self.filling |= now.saturating_duration_since(since) >= patience;
        self.filling
    }
}

/// `a` less `b`, where both are near each other on the circle of timestamps.
fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

impl Stream {
    /// Begins to hand on what another party says. A prompt that repeats until it is stopped ends: it was played for
    /// waiting. Any other is played to its end first.
    pub fn bridge(&mut self, now: Instant) {
        if self.playing.as_ref().is_some_and(|playing| playing.playout.repeats()) {
            self.end_play(PlayEnd::Command);
        }
        let before = self.bridge.take();
        let (begun, filling) = before.map_or((now, false), |bridge| (bridge.begun, bridge.filling));
        self.bridge = Some(Bridge { begun, filling, ..Bridge::new(now) });
        self.wire.watch(now, self.hears());
    }

    /// Ends it.
    pub fn unbridge(&mut self) {
        self.bridge = None;
    }

    /// A key that the other party pressed and that comes in no packet of its own: it is sent as ours are, once what is
    /// being sent has left. When 32 wait already, it is dropped.
    pub fn pass_key(&mut self, digit: char) {
        let Ok(key) = u8::try_from(digit) else { return };
        if self.bridge.is_some() && self.keys_out.push(&[key], KeyTiming::default()) {
            self.hurry = true;
        }
    }

    /// Hands on a packet that the other party's stream took. `packet` are its bytes; what is to be sent is made of them
    /// in place, and the range says which they are. `None`: nothing is to be sent.
    pub fn pass_on(
        &mut self,
        now: Instant,
        passing: &Passing,
        packet: &mut [u8],
        tap: &mut impl Tap,
    ) -> Option<Range<usize>> {
        let plan = self.plan.as_ref()?;
        let (codec, event_send, send) = (plan.codec, plan.event_send, plan.send);
        let bridge = self.bridge.as_mut()?;
        if passing.fresh {
            *bridge = Bridge { begun: bridge.begun, filling: bridge.filling, ..Bridge::new(now) };
        }
        let busy = !send || self.playing.is_some() || self.keys_out.is_busy();
        let pressed = match passing.kind {
            Kind::Key { pressed } => pressed.and_then(event::key),
            Kind::Sound(_) | Kind::Quiet => None,
        };
        if busy || (event_send.is_none() && matches!(passing.kind, Kind::Key { .. })) {
            bridge.shut();
            // A key counts whatever is being played: it is sent as our own would be.
            if let Some(key) = pressed.filter(|_| send) {
                self.pass_key(key);
            }
            return None;
        }
        if passing.overtaken && bridge.line.is_none() {
            return None; // its hole is filled with something of ours, or was never heard
        }
        let (payload_type, slot) = match passing.kind {
            Kind::Quiet => {
                bridge.interrupt();
                return None;
            }
            Kind::Sound(from) => {
                let sound = packet.get_mut(passing.payload.clone()).filter(|sound| !sound.is_empty())?;
                if let Some(table) = g711::recoding(from, codec) {
                    sound.iter_mut().for_each(|byte| *byte = table[usize::from(*byte)]);
                }
                (codec.payload_type(), self.place_sound(now, passing)?)
            }
            Kind::Key { .. } => (event_send?, self.place_key(now, passing, pressed.is_some())?),
        };
        let Slot { sequence, timestamp, marker, reordered } = slot;
        self.report.packets_sent += u64::from(reordered); // the others are counted as they take their number
        if matches!(passing.kind, Kind::Sound(_)) {
            self.record_passed(now, codec, timestamp, packet.get(passing.payload.clone())?, tap);
        }
        let start = passing.payload.start.checked_sub(HEADER_LEN)?;
        let header = Header { marker, payload_type, sequence, timestamp, ssrc: self.ids.ssrc };
        header.write(packet.get_mut(start..)?.first_chunk_mut()?);
        Some(start..passing.payload.end)
    }

    fn place_sound(&mut self, now: Instant, passing: &Passing) -> Option<Slot> {
        let length = u32::try_from(passing.payload.len()).ok()?;
        let slot = match self.in_line(now, passing, length) {
            Some(slot) => slot?,
            None => self.line_anew(now, passing)?,
        };
        let bridge = self.bridge.as_mut()?;
        if !slot.reordered {
            bridge.last_sound = Some(slot.timestamp);
            self.ids.sequence = slot.sequence.wrapping_add(1);
            let until = slot.timestamp.wrapping_add(length);
            self.passed(now, until);
        }
        Some(slot)
    }

    /// The place of sound that goes on with what came before, or belongs in between. `Some(None)`: it has none any more.
    /// `None`: it does not go on, and begins anew.
    fn in_line(&self, now: Instant, passing: &Passing, length: u32) -> Option<Option<Slot>> {
        let bridge = self.bridge.as_ref()?;
        let (line, shift, until) = (bridge.line?, bridge.shift?, self.sent_until?);
        let sequence = passing.sequence.wrapping_add(line.offset);
        let timestamp = passing.timestamp.wrapping_add(shift);
        let step = sequence.wrapping_sub(self.ids.sequence).cast_signed();
        if step >= NEW_START || step <= -NEW_START {
            return None;
        }
        if step >= 0 {
            let goes_on = ahead(timestamp, until) >= 0
                && ahead(timestamp, self.clock(now)).unsigned_abs() <= FAR_OFF.unsigned_abs();
            return goes_on.then_some(Some(Slot {
                sequence,
                timestamp,
                marker: passing.marker,
                reordered: false,
            }));
        }
        // It comes after a later one. It keeps its number if that is a hole of this line, and its timestamp is the one
        // that belongs to it.
        let back = u32::from(step.unsigned_abs()) - 1;
        let belongs = bridge.last_sound.map(|last| last.wrapping_sub(back.wrapping_mul(length)));
        let in_hole = sequence.wrapping_sub(line.first).cast_signed() >= 0 && belongs == Some(timestamp);
        Some(in_hole.then_some(Slot { sequence, timestamp, marker: passing.marker, reordered: true }))
    }

    /// The place of sound that comes after something of ours, or from a clock that jumped: our next number, and its own
    /// place in time if that is free.
    fn line_anew(&mut self, now: Instant, passing: &Passing) -> Option<Slot> {
        let clock = self.clock(now);
        let until = self.sent_until;
        let bridge = self.bridge.as_mut()?;
        let theirs = bridge.shift.map(|shift| passing.timestamp.wrapping_add(shift));
        let near = theirs.filter(|theirs| ahead(*theirs, clock).unsigned_abs() <= FAR_OFF.unsigned_abs());
        let timestamp = match near {
            Some(theirs) if until.is_none_or(|until| ahead(theirs, until) >= 0) => theirs,
            Some(theirs) if !passing.marker && until.is_some_and(|until| ahead(theirs, until) < -LATE) => {
                let since = bridge.late_since.filter(|since| now < *since + 2 * LATE_FOR).unwrap_or(now);
                bridge.late_since = Some(since);
                bridge.interrupt();
                if now.saturating_duration_since(since) < LATE_FOR {
                    return None;
                }
                self.begin_line(now, passing.timestamp)
            }
            _ => self.begin_line(now, passing.timestamp),
        };
        self.take_number(passing, timestamp, clock)
    }

    /// From here on their timestamp is ours of now.
    fn begin_line(&mut self, now: Instant, theirs: u32) -> u32 {
        self.talking = false;
        let ours = self.next_timestamp(now);
        if let Some(bridge) = &mut self.bridge {
            bridge.interrupt();
            bridge.shift = Some(ours.wrapping_sub(theirs));
        }
        ours
    }

    /// Our next number, for a packet that begins a line. A far end that sends faster than time passes is not followed.
    fn take_number(&mut self, passing: &Passing, timestamp: u32, clock: u32) -> Option<Slot> {
        let sequence = self.ids.sequence;
        let bridge = self.bridge.as_mut()?;
        bridge.late_since = None;
        bridge.last_sound = None;
        if ahead(timestamp, clock) > FAR_OFF {
            bridge.line = None;
            return None;
        }
        bridge.line = Some(Line { offset: sequence.wrapping_sub(passing.sequence), first: sequence });
        Some(Slot { sequence, timestamp, marker: true, reordered: false })
    }

    fn place_key(&mut self, now: Instant, passing: &Passing, pressed: bool) -> Option<Slot> {
        let clock = self.clock(now);
        let bridge = self.bridge.as_mut()?;
        // What is no key of ours (hook flash), and a press whose beginning was not handed on, is not.
        let timestamp = match (pressed, bridge.press) {
            (false, None) => {
                bridge.interrupt();
                return None;
            }
            (false, Some(press)) => {
                let on = passing.timestamp.wrapping_sub(press.theirs);
                if on > u32::from(u16::MAX) {
                    return None;
                }
                press.ours.wrapping_add(on)
            }
            (true, _) => {
                let theirs = bridge.shift.map(|shift| passing.timestamp.wrapping_add(shift));
                let free = |ours: &u32| {
                    ahead(*ours, clock).unsigned_abs() <= FAR_OFF.unsigned_abs()
                        && bridge.last_sound.or(self.sent_until).is_none_or(|last| ahead(*ours, last) >= 0)
                };
                let ours = match theirs.filter(free) {
                    Some(ours) => ours,
                    None => self.begin_line(now, passing.timestamp),
                };
                let bridge = self.bridge.as_mut()?;
                bridge.press = Some(Press { theirs: passing.timestamp, ours });
                ours
            }
        };
        if ahead(timestamp, clock) > FAR_OFF {
            return None;
        }
        let bridge = self.bridge.as_mut()?;
        let next = self.ids.sequence;
        let (sequence, step) = match bridge.line {
            Some(line) => {
                let sequence = passing.sequence.wrapping_add(line.offset);
                (sequence, sequence.wrapping_sub(next).cast_signed())
            }
            None => (next, NEW_START),
        };
        let marker = pressed || passing.marker;
        if (1 - NEW_START..0).contains(&step) {
            // Out of order among its repetitions. A hole of the line is its own; anything else is not.
            let in_line =
                bridge.line.is_some_and(|line| sequence.wrapping_sub(line.first).cast_signed() >= 0);
            return in_line.then_some(Slot { sequence, timestamp, marker, reordered: true });
        }
        let sequence = if (0..NEW_START).contains(&step) {
            sequence
        } else {
            bridge.line = Some(Line { offset: next.wrapping_sub(passing.sequence), first: next });
            next
        };
        bridge.last_sound = None;
        self.ids.sequence = sequence.wrapping_add(1);
        // Not its end: some far ends send sound beside their events.
        let until = self.sent_until.filter(|sent| ahead(*sent, timestamp) > 0).unwrap_or(timestamp);
        self.passed(now, until);
        Some(Slot { sequence, timestamp, marker, reordered: false })
    }

    /// A packet leaves in its order.
    fn passed(&mut self, now: Instant, until: u32) {
        self.talking = false;
        self.sent(now, until);
        if let Some(bridge) = &mut self.bridge {
            bridge.filling = false;
        }
    }

    /// What the far end hears of the other party, at the place in the recording that its timestamp gives it: so the
    /// network's wobble is not in the file, and a packet out of order is in its place.
    fn record_passed(
        &mut self,
        now: Instant,
        codec: Codec,
        timestamp: u32,
        sound: &[u8],
        tap: &mut impl Tap,
    ) {
        let Some(recording) = &mut self.recording else { return };
        let at = recording.place(now, timestamp);
        for (n, part) in sound.chunks(FRAME).enumerate() {
            let mut frame = [0; FRAME];
            frame[..part.len()].copy_from_slice(part);
            let at = at + (n * FRAME) as u64;
            let frame = RecordingFrame { side: Side::Us, codec, at, len: part.len(), sound: frame };
            self.report.frames_dropped += u64::from(!tap.call(frame));
        }
        recording.us = recording.us.max(at + sound.len() as u64);
    }
}

impl CallRecording {
    /// Where sound of this timestamp belongs.
    fn place(&mut self, now: Instant, timestamp: u32) -> u64 {
        let elapsed = samples(now.saturating_duration_since(self.since));
        if let Some((first, at)) = self.passed {
            let at = at.checked_add_signed(i64::from(ahead(timestamp, first)));
            if let Some(at) = at.filter(|at| at.abs_diff(elapsed) <= RECORDED_OFF) {
                return at;
            }
        }
        let at = if elapsed.abs_diff(self.us) > 2 * FRAME as u64 { elapsed } else { self.us };
        self.passed = Some((timestamp, at));
        at
    }
}

#[cfg(test)]
mod tests;
