//! A prompt on its way out: where in which part it is.

use std::time::Duration;

use crate::{Codec, Part, Prompt, clip, g711};

/// A prompt being played, 20 ms at a time. Parts follow each other inside a packet: there is no gap at a seam.
#[derive(Debug)]
pub struct Playout {
    prompt: Prompt,
    part: usize,
    /// Samples of that part that have left.
    at: usize,
    played: usize,
}

impl Playout {
    /// From its beginning.
    pub fn new(prompt: Prompt) -> Self {
        Self { prompt, part: 0, at: 0, played: 0 }
    }

    /// Fills the payload of the next packet, the rest of the last one with silence; `false`, and `out` untouched, when
    /// everything has been played.
    pub fn fill(&mut self, codec: Codec, out: &mut [u8]) -> bool {
        let mut filled = 0;
        let mut wrapped = false;
        while filled < out.len() {
            let Some(part) = self.prompt.parts().get(self.part) else {
                // A repeated prompt starts over; one that is empty must not do so for ever.
                if !self.prompt.repeats() || wrapped {
                    break;
                }
                wrapped = filled == 0;
                (self.part, self.at) = (0, 0);
                continue;
            };
            let rest = &mut out[filled..];
            let copied = match part {
                Part::Clip(clip) => {
                    let sound = &clip.bytes(codec)[self.at..];
                    let len = sound.len().min(rest.len());
                    rest[..len].copy_from_slice(&sound[..len]);
                    len
                }
                Part::Pause(time) => {
                    let len = samples(*time).saturating_sub(self.at).min(rest.len());
                    rest[..len].fill(g711::silence(codec));
                    len
                }
            };
            filled += copied;
            self.at += copied;
            self.played += copied;
            if copied > 0 {
                wrapped = false;
            }
            if filled < out.len() {
                self.part += 1;
                self.at = 0;
            }
        }
        if filled == 0 {
            return false;
        }
        out[filled..].fill(g711::silence(codec));
        true
    }

    /// Whether it goes on until it is stopped.
    pub fn repeats(&self) -> bool {
        self.prompt.repeats()
    }

    /// How much of it has left, repeats included.
    pub fn played(&self) -> Duration {
        clip::duration(self.played)
    }

    /// Gives the prompt back, so that whoever may free memory frees it.
    pub fn into_prompt(self) -> Prompt {
        self.prompt
    }
}

fn samples(time: Duration) -> usize {
    usize::try_from(time.as_micros() * u128::from(clip::SAMPLE_RATE_HZ) / 1_000_000).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::Clip;

    fn clip(first: i16, len: usize) -> Part {
        let samples: Vec<i16> = (0..len).map(|n| first + 256 * (n % 8) as i16).collect();
        Part::Clip(Arc::new(Clip::from_samples(&samples)))
    }

    fn all(playout: &mut Playout, codec: Codec, most: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        let mut frame = [0; 160];
        while heard.len() < most && playout.fill(codec, &mut frame) {
            heard.extend(frame);
        }
        heard
    }

    #[test]
    fn parts_follow_each_other_without_a_gap_and_the_end_is_padded() {
        let parts = [clip(1000, 100), Part::Pause(Duration::from_millis(10)), clip(-9000, 250)];
        let mut expected = Vec::new();
        let Part::Clip(first) = &parts[0] else { panic!() };
        let Part::Clip(last) = &parts[2] else { panic!() };
        expected.extend(first.bytes(Codec::Pcmu));
        expected.extend([0xff; 80]);
        expected.extend(last.bytes(Codec::Pcmu));
        expected.resize(480, 0xff);
        let mut playout = Playout::new(Prompt::new(parts));
        assert_eq!(all(&mut playout, Codec::Pcmu, 9999), expected);
        assert_eq!(playout.played(), clip::duration(430));
    }

    #[test]
    fn a_prompt_of_nothing_is_over_at_once_even_when_repeated() {
        for parts in [vec![], vec![Part::Pause(Duration::ZERO)], vec![clip(0, 0)]] {
            assert_eq!(all(&mut Playout::new(Prompt::new(parts.clone())), Codec::Pcma, 9999), []);
            assert_eq!(all(&mut Playout::new(Prompt::new(parts).repeated()), Codec::Pcma, 9999), []);
        }
    }

    #[test]
    fn a_repeated_prompt_goes_round_without_a_gap() {
        let part = clip(500, 50);
        let Part::Clip(sound) = part.clone() else { panic!() };
        let heard = all(&mut Playout::new(Prompt::new([part]).repeated()), Codec::Pcma, 800);
        let expected: Vec<u8> = sound.bytes(Codec::Pcma).iter().copied().cycle().take(800).collect();
        assert_eq!(heard, expected);
    }

    proptest! {
        #[test]
        fn whatever_the_parts_all_of_them_is_heard_in_order(parts in proptest::collection::vec((any::<bool>(), 0usize..500), 0..8)) {
            let mut expected = Vec::new();
            let parts: Vec<Part> = parts.into_iter().map(|(sound, len)| {
                let part = if sound { clip(3000, len) } else { Part::Pause(Duration::from_millis(len as u64)) };
                match &part {
                    Part::Clip(clip) => expected.extend_from_slice(clip.bytes(Codec::Pcma)),
                    Part::Pause(time) => expected.resize(expected.len() + samples(*time), 0xd5),
                }
                part
            }).collect();
            expected.resize(expected.len().next_multiple_of(160), 0xd5);
            prop_assert_eq!(all(&mut Playout::new(Prompt::new(parts)), Codec::Pcma, usize::MAX), expected);
        }
    }
}
