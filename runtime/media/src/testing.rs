//! Tones, pitches and a first moment, for the tests of this crate.

use std::time::Instant;

/// Some moment; tests count from it and never look at the clock again.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can be had no other way; no test depends on which it is"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// A tone at 8 kHz, `amplitude` of full scale.
pub(crate) fn sine(hz: f32, samples: usize, amplitude: f32) -> Vec<i16> {
    (0..samples)
        .map(|n| ((n as f32 * hz / 8000.0 * std::f32::consts::TAU).sin() * amplitude * 32767.0) as i16)
        .collect()
}

/// The pitch of a clean tone at 8 kHz, by its zero crossings.
pub(crate) fn pitch_hz(samples: &[i16]) -> f32 {
    let crossings = samples.windows(2).filter(|pair| (pair[0] >= 0) != (pair[1] >= 0)).count();
    crossings as f32 * 8000.0 / 2.0 / samples.len() as f32
}

/// A small repeatable generator of noise (SplitMix64).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From -1.0 to 1.0.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A recording of `tests/data` as samples.
pub(crate) fn recorded(name: &str) -> Vec<i16> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.alaw"));
    let bytes = std::fs::read(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    bytes.iter().map(|byte| crate::g711::table(crate::Codec::Pcma)[usize::from(*byte)]).collect()
}

/// Tones at once, -9 dBFS in all.
pub(crate) fn tone(hz: &[f32], ms: usize) -> Vec<i16> {
    let wave = |n: usize, hz: &f32| (std::f32::consts::TAU * hz * n as f32 / 8000.0).sin();
    (0..ms * 8)
        .map(|n| (hz.iter().map(|hz| wave(n, hz)).sum::<f32>() * 12_000.0 / hz.len() as f32) as i16)
        .collect()
}
