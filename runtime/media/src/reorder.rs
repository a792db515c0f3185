//! The far end's sound, put back into order: a fixed delay in which late packets may still take their place.
//!
//! The buffer is a ring of samples addressed by RTP timestamp, so packets of any length (10, 20, 30, 60 ms) fit, and a
//! packet that never came is silence in its place. It is pulled a frame at a time, at the pace of our clock; where the
//! far end's clock runs away from ours, it is anchored anew.

use crate::{Codec, FRAME, g711};

/// Samples in the ring: 128 ms, room for the longest delay and a packet of 60 ms.
const RING: usize = 1024;

/// The longest delay: what a packet of 20 ms needs besides must fit too.
const LONGEST_DELAY: u32 = 640;

/// So many packets of sound in a row that come too late mean that the far end's clock has moved.
const LATE_IN_A_ROW: u8 = 3;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It waits for its turn.
    Kept,
    /// Its turn was over.
    Late,
    /// It lay far outside, and the buffer was anchored anew at it.
    Anchored,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct ReorderBuffer {
    codec: Codec,
    delay: u32,
    /// The timestamp of the next sample to give; `None`: not anchored.
    read: Option<u32>,
    /// One past the last sample that was put in.
    end: u32,
    late_in_a_row: u8,
    ring: [u8; RING],
}

impl ReorderBuffer {
    /// An empty one that delays by so many samples: 160 to 640 (20 to 80 ms), 320 to 480 being sensible.
    pub fn new(codec: Codec, delay: u32) -> Self {
        Self {
            codec,
            delay: delay.clamp(160, LONGEST_DELAY),
            read: None,
            end: 0,
            late_in_a_row: 0,
            ring: [g711::silence(codec); RING],
        }
    }

    /// Empties it: a new source, another codec, or nobody listened for a while.
    pub fn reset(&mut self, codec: Codec) {
        self.codec = codec;
        self.read = None;
        self.ring.fill(g711::silence(codec));
    }

    /// Puts a packet's sound in its place. `marker`: the far end says that a talkspurt begins, where its clock may
    /// have jumped.
    pub fn put(&mut self, timestamp: u32, marker: bool, sound: &[u8]) -> Placed {
        // Longer packets than the ring can take were never agreed on; what is beyond is dropped.
        let sound = &sound[..sound.len().min(RING - LONGEST_DELAY as usize)];
        let len = sound.len() as u32;
        let Some(read) = self.read else {
            self.anchor(timestamp, sound);
            return Placed::Anchored;
        };
        let ahead = timestamp.wrapping_sub(read).cast_signed();
        if ahead.saturating_add_unsigned(len) <= 0 {
            self.late_in_a_row += 1;
            if marker || self.late_in_a_row >= LATE_IN_A_ROW {
                self.anchor(timestamp, sound);
                return Placed::Anchored;
            }
            return Placed::Late;
        }
        if ahead.saturating_add_unsigned(len) > RING as i32 {
            self.anchor(timestamp, sound);
            return Placed::Anchored;
        }
        self.late_in_a_row = 0;
        // Of a packet that is late in part, the rest is still good.
        let skip = usize::try_from(-ahead).unwrap_or(0);
        self.write(timestamp.wrapping_add(skip as u32), &sound[skip..]);
        Placed::Kept
    }

    /// The next 20 ms. `false`, and silence, when nothing is there that far.
    pub fn pull(&mut self, out: &mut [u8; FRAME]) -> bool {
        let silence = g711::silence(self.codec);
        let Some(read) = self.read else {
            out.fill(silence);
            return false;
        };
        // The ring's length divides 2^32, so a timestamp that wraps stays in step; a frame may lie across the seam.
        for (n, byte) in out.iter_mut().enumerate() {
            let at = (read as usize).wrapping_add(n) % RING;
            *byte = std::mem::replace(&mut self.ring[at], silence);
        }
        self.read = Some(read.wrapping_add(FRAME as u32));
        self.end.wrapping_sub(read).cast_signed() > 0
    }

    fn anchor(&mut self, timestamp: u32, sound: &[u8]) {
        self.ring.fill(g711::silence(self.codec));
        self.read = Some(timestamp.wrapping_sub(self.delay));
        self.end = timestamp;
        self.late_in_a_row = 0;
        self.write(timestamp, sound);
    }

    fn write(&mut self, timestamp: u32, sound: &[u8]) {
        for (n, byte) in sound.iter().enumerate() {
            self.ring[(timestamp as usize).wrapping_add(n) % RING] = *byte;
        }
        let end = timestamp.wrapping_add(sound.len() as u32);
        if end.wrapping_sub(self.end).cast_signed() > 0 {
            self.end = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SILENCE: u8 = 0xd5;

    fn packet(n: u8) -> [u8; FRAME] {
        [n; FRAME]
    }

    fn pull(buffer: &mut ReorderBuffer) -> String {
        let mut frame = [0; FRAME];
        let there = buffer.pull(&mut frame);
        assert!(frame.iter().all(|byte| *byte == frame[0]), "a frame in pieces");
        if frame[0] == SILENCE { if there { "gap".into() } else { "-".into() } } else { frame[0].to_string() }
    }

    #[test]
    fn packets_out_of_order_come_out_in_order_after_the_delay() {
        let mut buffer = ReorderBuffer::new(Codec::Pcma, 480);
        let first = u32::MAX - 200; // wraps on the way
        let mut heard = Vec::new();
        for (n, order) in [0u8, 2, 1, 3, 5, 4, 6, 7, 8, 9].into_iter().enumerate() {
            let placed = buffer.put(first.wrapping_add(160 * u32::from(order)), false, &packet(order + 1));
            assert_eq!(placed, if n == 0 { Placed::Anchored } else { Placed::Kept });
            heard.push(pull(&mut buffer));
        }
        assert_eq!(heard.join(" "), "gap gap gap 1 2 3 4 5 6 7");
    }

    #[test]
    fn a_packet_that_never_came_is_silence_in_its_place() {
        let mut buffer = ReorderBuffer::new(Codec::Pcma, 320);
        let mut heard = Vec::new();
        for n in [1u8, 2, 3, 5, 6, 7, 8] {
            buffer.put(160 * u32::from(n), false, &packet(n));
            if n == 5 {
                heard.push(pull(&mut buffer));
            }
            heard.push(pull(&mut buffer));
        }
        assert_eq!(heard.join(" "), "gap gap 1 2 3 gap 5 6");
    }

    #[test]
    fn a_packet_after_its_turn_is_late_and_is_not_heard() {
        let mut buffer = ReorderBuffer::new(Codec::Pcma, 160);
        buffer.put(0, false, &packet(1));
        buffer.put(320, false, &packet(3));
        let heard: Vec<_> = (0..3).map(|_| pull(&mut buffer)).collect();
        assert_eq!(buffer.put(160, false, &packet(2)), Placed::Late);
        assert_eq!(heard.join(" "), "gap 1 gap");
        assert_eq!(pull(&mut buffer), "3");
        assert_eq!(pull(&mut buffer), "-");
    }

    #[test]
    fn a_clock_that_jumped_is_followed_after_three_packets_or_at_once_with_a_marker() {
        let mut buffer = ReorderBuffer::new(Codec::Pcma, 160);
        buffer.put(1_000_000, false, &packet(1));
        assert_eq!(buffer.put(500, false, &packet(2)), Placed::Late);
        assert_eq!(buffer.put(660, false, &packet(3)), Placed::Late);
        assert_eq!(buffer.put(820, false, &packet(4)), Placed::Anchored);
        assert_eq!(buffer.put(100, true, &packet(5)), Placed::Anchored);
        assert_eq!(buffer.put(900_000, false, &packet(6)), Placed::Anchored);
        assert_eq!((pull(&mut buffer), pull(&mut buffer)), ("gap".into(), "6".into()));
    }

    #[test]
    fn packets_of_other_lengths_fit_together() {
        let mut buffer = ReorderBuffer::new(Codec::Pcma, 480);
        let mut expected = vec![SILENCE; 480];
        let mut timestamp = 77;
        for (n, len) in [240usize, 80, 240, 160, 80, 160].into_iter().enumerate() {
            buffer.put(timestamp, n == 0, &vec![n as u8; len]);
            expected.resize(expected.len() + len, n as u8);
            timestamp += len as u32;
            if n % 2 == 1 {
                let mut frame = [0; FRAME];
                let mut two = expected.drain(..320).collect::<Vec<_>>();
                buffer.pull(&mut frame);
                assert_eq!(frame[..], two[..160]);
                buffer.pull(&mut frame);
                assert_eq!(frame[..], two.split_off(160)[..]);
            }
        }
    }

    proptest! {
        /// Against a model that keeps every sample in a map. Packets are lost, repeated and moved within the delay.
        #[test]
        fn what_comes_out_agrees_with_a_naive_model(
            first: u32,
            fates in proptest::collection::vec((0u8..8, 0usize..4), 1..120),
        ) {
            const DELAY: u32 = 480;
            let mut arrivals: Vec<(usize, u32)> = Vec::new();
            for (n, (fate, later)) in fates.iter().enumerate() {
                match fate {
                    _ if n == 0 => arrivals.push((0, 0)),
                    0 => {}
                    1 => arrivals.extend([(n, n as u32), (n + later, n as u32)]),
                    2 => arrivals.push((n + later, n as u32)),
                    _ => arrivals.push((n, n as u32)),
                }
            }
            arrivals.sort_by_key(|(at, _)| *at);
            let mut buffer = ReorderBuffer::new(Codec::Pcma, DELAY);
            let mut model: BTreeMap<i64, u8> = BTreeMap::new();
            let mut read = -i64::from(DELAY);
            let mut arrivals = arrivals.into_iter().peekable();
            for tick in 0..fates.len() + 4 {
                while let Some((_, n)) = arrivals.next_if(|(at, _)| *at <= tick) {
                    let byte = (n % 200) as u8;
                    let placed = buffer.put(first.wrapping_add(n * 160), false, &[byte; FRAME]);
                    let late = i64::from(n) * 160 + 160 <= read;
                    prop_assert_eq!(placed == Placed::Late, late);
                    if !late {
                        for sample in 0..160 {
                            model.insert(i64::from(n) * 160 + sample, byte);
                        }
                    }
                }
                let mut frame = [0; FRAME];
                buffer.pull(&mut frame);
                for byte in frame {
                    prop_assert_eq!(byte, model.get(&read).copied().unwrap_or(SILENCE));
                    read += 1;
                }
            }
        }

        #[test]
        fn arbitrary_packets_never_panic(packets in proptest::collection::vec(
            (any::<u32>(), any::<bool>(), 0usize..1500), 0..60)) {
            let mut buffer = ReorderBuffer::new(Codec::Pcmu, 480);
            for (timestamp, marker, len) in packets {
                buffer.put(timestamp, marker, &vec![0; len]);
                buffer.pull(&mut [0; FRAME]);
            }
        }
    }
}
