//! Sequence numbers of the far end: what was lost, what came twice, what is stray; and its jitter (RFC 3550 §6.4.1, A.1).

use std::time::Instant;

/// A jump forward by more than this is a new start (RFC 3550 A.1), and so is one back by more than the window.
const MAX_DROPOUT: i16 = 3000;

/// How far back a packet may come and still be told from a duplicate.
const WINDOW: u32 = 64;

/// What a sequence number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Not seen before: the next, one after a hole, or one that fills a hole.
    New,
    /// Seen already.
    Duplicate,
    /// Far from all others. If the next packet follows it, that is a restart; alone it is thrown away.
    Stray,
}

/// Follows the sequence numbers of one source. A restart of the source adds to what was lost before.
#[derive(Debug, Clone, Default)]
pub struct SequenceTracker {
    /// Highest number so far, extended over wraps; `None` before the first.
    highest: Option<u64>,
    first: u64,
    /// Bit n: the number `highest - n` came.
    seen: u64,
    unique: u64,
    lost_before: u64,
    duplicates: u64,
    /// What must follow for a stray to be a restart.
    after_stray: Option<u16>,
}

impl SequenceTracker {
    /// Takes a sequence number.
    pub fn handle(&mut self, sequence: u16) -> Arrival {
        let Some(highest) = self.highest else {
            self.restart(sequence);
            return Arrival::New;
        };
        let step = sequence.wrapping_sub(highest as u16).cast_signed();
        let arrival = match step {
            1..=MAX_DROPOUT => {
                let step = u64::from(step.unsigned_abs());
                self.highest = Some(highest + step);
                self.seen = if step < u64::from(u64::BITS) { self.seen << step } else { 0 } | 1;
                self.unique += 1;
                Arrival::New
            }
            ..=0 if u32::from(step.unsigned_abs()) < WINDOW => {
                let bit = 1u64 << step.unsigned_abs();
                // It may lie before the first one that came: then the stream began earlier than it seemed.
                let number = highest - u64::from(step.unsigned_abs());
                if self.seen & bit != 0 {
                    self.duplicates += 1;
                    Arrival::Duplicate
                } else {
                    self.first = self.first.min(number);
                    self.seen |= bit;
                    self.unique += 1;
                    Arrival::New
                }
            }
            _ if self.after_stray == Some(sequence) => {
                self.lost_before = self.lost();
                self.restart(sequence);
                Arrival::New
            }
            _ => {
                self.after_stray = Some(sequence.wrapping_add(1));
                return Arrival::Stray;
            }
        };
        self.after_stray = None;
        arrival
    }

    /// A new source: what was counted stays counted.
    pub fn new_source(&mut self) {
        self.lost_before = self.lost();
        self.highest = None;
        self.after_stray = None;
    }

    /// The number that is ahead of all others; `None` before the first.
    pub fn latest(&self) -> Option<u16> {
        self.highest.map(|highest| highest as u16)
    }

    /// Holes that are not filled so far.
    pub fn lost(&self) -> u64 {
        let Some(highest) = self.highest else { return self.lost_before };
        self.lost_before + (highest - self.first + 1).saturating_sub(self.unique)
    }

    /// Packets that came twice.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    fn restart(&mut self, sequence: u16) {
        // Far enough from zero that a straggler from before the first stays a number.
        let first = (1 << 16) + u64::from(sequence);
        (self.highest, self.first, self.seen, self.unique) = (Some(first), first, 1, 1);
    }
}

/// Interarrival jitter: how unevenly packets come, smoothed over about sixteen of them.
#[derive(Debug, Clone, Default)]
pub struct Jitter {
    last: Option<(Instant, u32)>,
    samples: f32,
}

impl Jitter {
    /// Takes the arrival of a packet of sound.
    pub fn handle(&mut self, now: Instant, timestamp: u32) {
        if let Some((then, before)) = self.last {
            let elapsed = now.saturating_duration_since(then).as_secs_f32() * 8000.0;
            let step = timestamp.wrapping_sub(before).cast_signed() as f32;
            let off = (elapsed - step).abs();
            // A clock that was set anew is no jitter.
            if off < 8000.0 {
                self.samples += (off - self.samples) / 16.0;
            }
        }
        self.last = Some((now, timestamp));
    }

    /// A new source, with another clock.
    pub fn new_source(&mut self) {
        self.last = None;
    }

    /// The jitter now, in microseconds.
    pub fn micros(&self) -> u64 {
        (self.samples * 125.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_wrap_without_loss() {
        let mut tracker = SequenceTracker::default();
        for n in 0..200_000u32 {
            assert_eq!(tracker.handle((n + 65_000) as u16), Arrival::New);
        }
        assert_eq!(tracker.lost(), 0);
    }

    #[test]
    fn a_hole_is_a_loss_until_it_is_filled() {
        let mut tracker = SequenceTracker::default();
        tracker.handle(65_534);
        tracker.handle(1);
        assert_eq!(tracker.lost(), 2);
        assert_eq!(tracker.handle(65_535), Arrival::New);
        assert_eq!(tracker.lost(), 1);
        assert_eq!(tracker.handle(65_535), Arrival::Duplicate);
        assert_eq!((tracker.lost(), tracker.duplicates()), (1, 1));
    }

    #[test]
    fn a_stray_number_is_thrown_away_and_a_restart_is_followed() {
        let mut tracker = SequenceTracker::default();
        tracker.handle(100);
        tracker.handle(102);
        assert_eq!(tracker.handle(40_000), Arrival::Stray);
        assert_eq!(tracker.handle(103), Arrival::New);
        assert_eq!(tracker.handle(30_000), Arrival::Stray);
        assert_eq!(tracker.handle(30_001), Arrival::New);
        assert_eq!(tracker.handle(30_002), Arrival::New);
        assert_eq!(tracker.lost(), 1);
    }

    #[test]
    fn even_packets_have_no_jitter_and_uneven_ones_have_their_unevenness() {
        let start = crate::testing::start();
        let mut even = Jitter::default();
        let mut uneven = Jitter::default();
        for n in 0..400u32 {
            let timestamp = (u32::MAX - 16_000).wrapping_add(n * 160);
            even.handle(start + Duration::from_millis(u64::from(n) * 20), timestamp);
            let wobble = if n % 2 == 0 { 0 } else { 5 };
            uneven.handle(start + Duration::from_millis(u64::from(n) * 20 + wobble), timestamp);
        }
        assert!(even.micros() < 10, "{}", even.micros());
        assert!((4500..=5100).contains(&uneven.micros()), "{}", uneven.micros());
    }

    proptest! {
        /// Against a model that keeps every number it saw, extended. Packets are lost, repeated and moved by up to 30.
        #[test]
        fn counts_agree_with_a_naive_model(first: u16, fates in proptest::collection::vec((0u8..10, 0u64..30), 1..400)) {
            let mut order: Vec<(u64, u64)> = Vec::new();
            for (n, (fate, delay)) in fates.iter().enumerate() {
                let number = u64::from(first) + n as u64;
                match fate {
                    0 => {}
                    1 => order.extend([(n as u64, number), (n as u64 + delay, number)]),
                    2 => order.push((n as u64 + delay, number)),
                    _ => order.push((n as u64, number)),
                }
            }
            order.sort_by_key(|(at, _)| *at);
            let mut tracker = SequenceTracker::default();
            let mut seen = BTreeSet::new();
            let mut duplicates = 0;
            for (_, number) in &order {
                let new = seen.insert(*number);
                duplicates += u64::from(!new);
                let expected = if new { Arrival::New } else { Arrival::Duplicate };
                prop_assert_eq!(tracker.handle(*number as u16), expected);
            }
            if let (Some(low), Some(high)) = (seen.first(), seen.last()) {
                prop_assert_eq!(tracker.lost(), high - low + 1 - seen.len() as u64);
                prop_assert_eq!(tracker.duplicates(), duplicates);
            }
        }

        #[test]
        fn arbitrary_numbers_never_panic(numbers in proptest::collection::vec(any::<u16>(), 0..500)) {
            let mut tracker = SequenceTracker::default();
            for number in numbers {
                tracker.handle(number);
            }
            tracker.lost();
        }
    }
}
