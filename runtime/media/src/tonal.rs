//! Is this block nothing but tones? The network's and the keys' tones carry no voice, whatever they do to a detector.

use std::f32::consts::TAU;

/// What exchanges and keypads sing: dialling, ringing and busy tone (425 Hz), information tones, fax, keys.
const TONES_HZ: [f32; 15] = [
    400.0, 425.0, 450.0, 697.0, 770.0, 852.0, 941.0, 950.0, 1100.0, 1209.0, 1336.0, 1400.0, 1477.0, 1633.0,
    2100.0,
];
/// The share of a block's energy that its two strongest tones must have. The purest vowel of thirty recordings has 0.93
/// for a block, and never for two in a row.
const SHARE: f32 = 0.9;

/// The Goertzel factors of the tones, worked out once.
#[derive(Debug, Clone)]
pub(crate) struct TonesOnly {
    factors: [f32; TONES_HZ.len()],
}

impl TonesOnly {
    pub(crate) fn new() -> Self {
        Self { factors: TONES_HZ.map(|hz| 2.0 * (TAU * hz / 8000.0).cos()) }
    }

    /// Whether one or two tones are all that is in these samples.
    pub(crate) fn are_all_of(&self, samples: &[i16]) -> bool {
        let total: f32 = samples.iter().map(|sample| f32::from(*sample) * f32::from(*sample)).sum();
        if total <= 0.0 {
            return false;
        }
        let mut energies = self.factors.map(|factor| {
            let (mut one_ago, mut two_ago) = (0.0_f32, 0.0_f32);
            for sample in samples {
                let next = f32::from(*sample) + factor * one_ago - two_ago;
                (two_ago, one_ago) = (one_ago, next);
            }
            one_ago * one_ago + two_ago * two_ago - factor * one_ago * two_ago
        });
        // A tone that lies between two filters shows in both; neighbours are the same tone.
        energies.sort_by(f32::total_cmp);
        let [.., second, first] = energies;
        let scale = 2.0 / samples.len() as f32;
        first.max(0.0) * scale > SHARE * total
            || (first + second) * scale > SHARE * total && second * 8.0 > first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Noise;

    fn mixed(hz: &[f32], noise: f32) -> Vec<i16> {
        let mut hiss = Noise(5);
        (0..256)
            .map(|n| {
                let tones: f32 = hz.iter().map(|hz| 6000.0 * (TAU * hz * n as f32 / 8000.0).sin()).sum();
                (tones + noise * hiss.unit()) as i16
            })
            .collect()
    }

    #[test]
    fn tones_of_the_network_and_keys_are_told_from_everything_else() {
        let tones = TonesOnly::new();
        for hz in [&[425.0][..], &[440.0], &[697.0, 1209.0], &[941.0, 1477.0], &[2100.0], &[420.0]] {
            assert!(tones.are_all_of(&mixed(hz, 0.0)), "{hz:?}");
            assert!(tones.are_all_of(&mixed(hz, 1500.0)), "{hz:?} with hiss");
        }
        for hz in [&[300.0][..], &[425.0, 1275.0, 2125.0], &[210.0, 420.0, 630.0, 840.0]] {
            assert!(!tones.are_all_of(&mixed(hz, 0.0)), "{hz:?}");
        }
        assert!(!tones.are_all_of(&mixed(&[], 8000.0)), "noise");
        assert!(!tones.are_all_of(&[0; 256]), "silence");
    }
}
