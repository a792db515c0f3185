//! How loud a frame is, and a gate that tells voice from the line's noise.

use std::time::Duration;

/// What a frame of pure zeros is said to be, instead of minus infinity.
pub const SILENCE_DBFS: f32 = -100.0;

/// The level of a frame in dB below full scale: 0 is a full-scale square wave, a full-scale sine is -3.
pub fn dbfs(samples: &[i16]) -> f32 {
    if samples.is_empty() {
        return SILENCE_DBFS;
    }
    let energy: i64 = samples.iter().map(|sample| i64::from(*sample) * i64::from(*sample)).sum();
    let mean = energy as f64 / samples.len() as f64;
    if mean < 1.0 {
        return SILENCE_DBFS;
    }
    (10.0 * (mean / (32768.0 * 32768.0)).log10()) as f32
}

/// The settings of a [`Gate`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateSettings {
    /// Quieter than this is never voice, whatever the floor, in dBFS.
    pub least_dbfs: f32,
    /// How far above the noise floor voice must be, in dB.
    pub above_floor_db: f32,
    /// How fast the floor follows a rising noise, in dB a second. It falls at once.
    pub floor_rises_db_per_s: f32,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self { least_dbfs: -48.0, above_floor_db: 9.0, floor_rises_db_per_s: 3.0 }
    }
}

/// Voice or not, frame by frame, by energy over an adaptive floor: the floor drops to any quieter frame at once and
/// creeps up slowly, so that steady noise becomes floor and speech, which pauses, does not.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    settings: GateSettings,
    floor_dbfs: f32,
}

/// The floor before anything was heard: a quiet digital line.
const FIRST_FLOOR_DBFS: f32 = -60.0;
/// Digital silence must not drag the floor so low that comfort noise counts as voice.
const LOWEST_FLOOR_DBFS: f32 = -70.0;

impl Gate {
    /// A gate that has heard nothing.
    pub fn new(settings: GateSettings) -> Self {
        Self { settings, floor_dbfs: FIRST_FLOOR_DBFS }
    }

    /// Takes the level of a frame that lasted `time`; says whether it was voice.
    pub fn handle(&mut self, level_dbfs: f32, time: Duration) -> bool {
        if level_dbfs < self.floor_dbfs {
            self.floor_dbfs = level_dbfs.max(LOWEST_FLOOR_DBFS);
        } else {
            let rise = self.settings.floor_rises_db_per_s * time.as_secs_f32();
            self.floor_dbfs = (self.floor_dbfs + rise).min(level_dbfs);
        }
        level_dbfs > self.settings.least_dbfs && level_dbfs > self.floor_dbfs + self.settings.above_floor_db
    }

    /// The floor now, in dBFS.
    pub fn floor_dbfs(&self) -> f32 {
        self.floor_dbfs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    #[test]
    fn a_full_scale_sine_is_three_decibels_down_and_zeros_are_silence() {
        let sine: Vec<i16> =
            (0..160).map(|n| ((n as f32 * std::f32::consts::TAU / 16.0).sin() * 32767.0) as i16).collect();
        assert!((dbfs(&sine) + 3.01).abs() < 0.05, "{}", dbfs(&sine));
        assert_eq!(dbfs(&[0; 160]), SILENCE_DBFS);
        assert_eq!(dbfs(&[]), SILENCE_DBFS);
        assert!(dbfs(&[i16::MIN; 160]).abs() < 0.01);
    }

    #[test]
    fn speech_over_noise_opens_the_gate_and_the_noise_alone_does_not() {
        let mut gate = Gate::new(GateSettings::default());
        // Ten seconds of steady noise at -45 dBFS: louder than the least voice, but it is the floor.
        let noise: Vec<bool> = (0..500).map(|_| gate.handle(-45.0, FRAME)).collect();
        assert!(noise[350..].iter().all(|voice| !voice));
        assert!(gate.handle(-25.0, FRAME));
        assert!(!gate.handle(-45.0, FRAME));
    }

    #[test]
    fn a_long_utterance_does_not_become_the_floor() {
        let mut gate = Gate::new(GateSettings::default());
        // Speech pauses between words: every fifth frame is quiet.
        for n in 0..1500 {
            let voice = gate.handle(if n % 5 == 4 { -58.0 } else { -22.0 }, FRAME);
            assert_eq!(voice, n % 5 != 4, "frame {n}");
        }
    }

    #[test]
    fn comfort_noise_after_digital_silence_is_not_voice() {
        let mut gate = Gate::new(GateSettings::default());
        for _ in 0..100 {
            gate.handle(SILENCE_DBFS, FRAME);
        }
        assert!(!gate.handle(-55.0, FRAME));
    }
}
