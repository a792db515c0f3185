//! What exchanges sing to whoever waits, as the Russian network sings it: 425 Hz in different rhythms.

use std::f32::consts::TAU;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::{Clip, Part, Prompt};

const HZ: f32 = 425.0;
/// -10 dBm0.
const AMPLITUDE: f32 = 7200.0;
/// Edges that do not click, in samples: 5 ms.
const EDGE: usize = 40;

/// It rings at the other end: 1 s of tone, 4 s of silence, again and again.
pub fn ring_back() -> Prompt {
    static PROMPT: OnceLock<Prompt> = OnceLock::new();
    PROMPT.get_or_init(|| rhythm(1000, 4000)).clone()
}

/// The other end is busy: 0.35 s of tone, 0.35 s of silence, again and again.
pub fn busy() -> Prompt {
    static PROMPT: OnceLock<Prompt> = OnceLock::new();
    PROMPT.get_or_init(|| rhythm(350, 350)).clone()
}

/// You are held, nobody has forgotten you: a short tone every 5 s, again and again.
pub fn hold() -> Prompt {
    static PROMPT: OnceLock<Prompt> = OnceLock::new();
    PROMPT.get_or_init(|| rhythm(200, 4800)).clone()
}

fn rhythm(tone_ms: usize, pause_ms: u64) -> Prompt {
    let length = tone_ms * 8;
    let samples: Vec<i16> = (0..length)
        .map(|n| {
            let edge = (n.min(length - 1 - n) as f32 / EDGE as f32).min(1.0);
            (AMPLITUDE * edge * (TAU * HZ * n as f32 / 8000.0).sin()) as i16
        })
        .collect();
    let tone = Part::Clip(Arc::new(Clip::from_samples(&samples)));
    Prompt::new([tone, Part::Pause(Duration::from_millis(pause_ms))]).repeated()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playout::Playout;
    use crate::{Codec, FRAME, g711, level};

    /// The milliseconds at which it begins and ends to sound.
    fn changes(prompt: Prompt, ms: usize) -> Vec<usize> {
        let mut playout = Playout::new(prompt);
        let mut heard = Vec::new();
        let mut before = false;
        for n in 0..ms / 20 {
            let (mut frame, mut linear) = ([0; FRAME], [0; FRAME]);
            assert!(playout.fill(Codec::Pcma, &mut frame), "it never ends");
            g711::decode(Codec::Pcma, &frame, &mut linear);
            let sounds = level::dbfs(&linear) > -30.0;
            if sounds != before {
                heard.push(n * 20);
            }
            before = sounds;
        }
        heard
    }

    #[test]
    fn each_tone_has_its_rhythm() {
        assert_eq!(changes(ring_back(), 11_000), [0, 1000, 5000, 6000, 10_000]);
        assert_eq!(changes(busy(), 1400), [0, 360, 700, 1060]);
        assert_eq!(changes(hold(), 10_400), [0, 200, 5000, 5200, 10_000, 10_200]);
    }

    #[expect(
        clippy::approx_constant,
        reason = "A-law overloads at 3.14 dBm0 (G.711), which only looks like pi"
    )]
    #[test]
    fn it_is_425_hertz_at_ten_decibels_below_the_line_level() {
        let (mut sound, mut linear) = ([0; 8000], [0; 8000]);
        assert!(Playout::new(ring_back()).fill(Codec::Pcma, &mut sound));
        g711::decode(Codec::Pcma, &sound, &mut linear);
        assert!((crate::testing::pitch_hz(&linear) - 425.0).abs() < 3.0);
        // A full-scale sine is 3.14 dBm0 and -3 dBFS.
        assert!((level::dbfs(&linear) + 3.0 + 3.14 + 10.0).abs() < 0.5, "{}", level::dbfs(&linear));
    }
}
