//! Audio as numbers: loudness, pitch, WAV in and out, A-law.

use std::{f64::consts::TAU, path::Path, time::Duration};

/// What is shorter than this is no tone that somebody speaks by.
pub const LEAST_TONE: Duration = Duration::from_millis(250);

/// A mono or multi-channel recording, samples from -1 to 1.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// One list of samples per channel, all of one length.
    pub channels: Vec<Vec<f32>>,
}

impl Recording {
    /// Reads a WAV file. One whose header was never completed (its writer was killed) reads up to what is there.
    pub fn read(path: &Path) -> Result<Self, String> {
        let say = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let reader = hound::WavReader::open(path).map_err(|error| say(&error))?;
        let spec = reader.spec();
        let samples: Vec<f32> = match spec.sample_format {
            hound::SampleFormat::Float => reader.into_samples::<f32>().map_while(Result::ok).collect(),
            hound::SampleFormat::Int => {
                let full = (1_i64 << (spec.bits_per_sample - 1)) as f32;
                reader.into_samples::<i32>().map_while(Result::ok).map(|s| s as f32 / full).collect()
            }
        };
        let count = usize::from(spec.channels).max(1);
        let channels = (0..count)
            .map(|channel| samples.iter().skip(channel).step_by(count).copied().collect())
            .collect();
        Ok(Self { sample_rate_hz: spec.sample_rate, channels })
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.channels.first().map_or(0.0, |samples| samples.len() as f64 / f64::from(self.sample_rate_hz))
    }

    /// The loudest of the channels at one pitch, see [`tone_level`]; over the whole length.
    pub fn tone_level(&self, hz: f64) -> f64 {
        self.channels.iter().map(|samples| tone_level(samples, self.sample_rate_hz, hz)).fold(0.0, f64::max)
    }

    /// Which of these tones are heard in it one after the other, each for [`LEAST_TONE`] or longer; of two voices at once the
    /// louder. What is no tone of them, silence too, is passed over.
    pub fn tones_in_turn(&self, of: &[f64]) -> Vec<f64> {
        let window = (self.sample_rate_hz / 20).max(1) as usize;
        let samples: &[f32] = self.channels.first().map_or(&[], Vec::as_slice);
        let mut turns: Vec<f64> = Vec::new();
        let (mut stands, mut length) = (None, 0);
        for part in samples.chunks_exact(window) {
            let level = |hz: &f64| tone_level(part, self.sample_rate_hz, *hz);
            let loudest = of.iter().copied().max_by(|a, b| level(a).total_cmp(&level(b)));
            let tone = loudest.filter(|hz| level(hz) > 0.02 && level(hz) > 0.7 * rms(part));
            length = if tone == stands { length + 1 } else { 1 };
            stands = tone;
            if length * 50 >= LEAST_TONE.as_millis() && tone != turns.last().copied() {
                turns.extend(tone);
            }
        }
        turns
    }

    /// The loudest 100 ms of any channel, see [`rms`].
    pub fn loudest(&self) -> f64 {
        let window = (self.sample_rate_hz / 10).max(1) as usize;
        self.channels.iter().flat_map(|samples| samples.chunks(window)).map(rms).fold(0.0, f64::max)
    }
}

/// Root mean square, 0 to 1. Speech on a telephone is around 0.05…0.2, comfort noise below 0.003.
pub fn rms(samples: &[f32]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

/// How much of a pure tone of `hz` is in there, as that tone's RMS. Measured by windows of 50 ms and averaged over
/// those, so that a tone which stops and starts again is not cancelled by itself.
pub fn tone_level(samples: &[f32], sample_rate_hz: u32, hz: f64) -> f64 {
    let window = (sample_rate_hz / 20).max(1) as usize;
    let levels: Vec<f64> = samples
        .chunks_exact(window)
        .map(|chunk| {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, sample) in chunk.iter().enumerate() {
                let angle = TAU * hz * n as f64 / f64::from(sample_rate_hz);
                re += f64::from(*sample) * angle.cos();
                im += f64::from(*sample) * angle.sin();
            }
            (re * re + im * im).sqrt() * 2.0 / chunk.len() as f64 / std::f64::consts::SQRT_2
        })
        .collect();
    if levels.is_empty() { 0.0 } else { levels.iter().sum::<f64>() / levels.len() as f64 }
}

/// Whether a WAV file of 16 bits and 8 kHz that is being written (its header does not tell its length yet) ends with half a
/// second of this tone.
pub fn ends_with_tone(file: &[u8], hz: f64) -> bool {
    const HEADER: usize = 44;
    const HALF: usize = 8_000 / 2;
    let samples: Vec<f32> = file
        .get(HEADER..)
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|bytes| f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0)
        .collect();
    let Some(last) = samples.len().checked_sub(HALF).map(|begin| &samples[begin..]) else { return false };
    let level = tone_level(last, 8_000, hz);
    level > 0.02 && level > 0.9 * rms(last)
}

/// A sine of `hz`, `seconds` long, at `level` (peak, 0 to 1).
pub fn tone(hz: f64, seconds: f64, level: f64, sample_rate_hz: u32) -> Vec<f32> {
    (0..(seconds * f64::from(sample_rate_hz)) as usize)
        .map(|n| (level * (TAU * hz * (n as f64 + 0.5) / f64::from(sample_rate_hz)).sin()) as f32)
        .collect()
}

/// Writes mono 16-bit PCM.
pub fn write_wav(path: &Path, samples: &[f32], sample_rate_hz: u32) -> Result<(), String> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: sample_rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || -> Result<(), hound::Error> {
        let mut writer = hound::WavWriter::create(path, spec)?;
        for sample in samples {
            writer.write_sample((sample.clamp(-1.0, 1.0) * 32767.0) as i16)?;
        }
        writer.finalize()
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

/// One A-law byte as a sample from -1 to 1 (ITU-T G.711).
///
/// Written apart from the runtime's own codec, so that a mistake in that one cannot hide here.
pub fn from_alaw(byte: u8) -> f32 {
    let bits = byte ^ 0x55;
    let mantissa = i32::from(bits & 0x0f);
    let exponent = u32::from((bits >> 4) & 7);
    let magnitude = match exponent {
        0 => (mantissa << 4) + 8,
        e => ((mantissa << 4) + 0x108) << (e - 1),
    };
    (if bits & 0x80 != 0 { magnitude } else { -magnitude }) as f32 / 32768.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_at_its_own_pitch_and_at_no_other() {
        let samples = tone(400.0, 1.0, 0.5, 8000);
        assert!((tone_level(&samples, 8000, 400.0) - 0.3535).abs() < 0.01);
        assert!(tone_level(&samples, 8000, 1000.0) < 0.01);
        assert!((rms(&samples) - 0.3535).abs() < 0.01);
    }

    #[test]
    fn tones_are_told_in_turn_whatever_lies_between_them() {
        let parts =
            [(400.0, 0.5, 0.2), (900.0, 0.1, 0.2), (700.0, 0.5, 0.0), (900.0, 1.0, 0.1), (400.0, 0.4, 0.2)];
        let samples =
            parts.iter().flat_map(|(hz, seconds, level)| tone(*hz, *seconds, *level, 8000)).collect();
        let recording = Recording { sample_rate_hz: 8000, channels: vec![samples] };
        assert_eq!(recording.tones_in_turn(&[400.0, 700.0, 900.0]), [400.0, 900.0, 400.0]);
        assert_eq!(recording.tones_in_turn(&[700.0]), [] as [f64; 0]);
    }

    #[test]
    fn a_law_has_the_values_of_the_standard() {
        // ITU-T G.711 table 1a: the least positive and negative value, and the largest, on a scale of 4096.
        assert_eq!((from_alaw(0xd5) * 4096.0).round(), 1.0);
        assert_eq!((from_alaw(0x55) * 4096.0).round(), -1.0);
        assert_eq!((from_alaw(0xaa) * 4096.0).round(), 4032.0);
        assert_eq!((from_alaw(0x2a) * 4096.0).round(), -4032.0);
    }

    #[test]
    fn what_was_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tone.wav");
        write_wav(&path, &tone(1000.0, 0.5, 0.25, 8000), 8000).unwrap();
        let read = Recording::read(&path).unwrap();
        assert_eq!((read.sample_rate_hz, read.channels.len()), (8000, 1));
        assert!((read.seconds() - 0.5).abs() < 0.001);
        assert!((read.tone_level(1000.0) - 0.1767).abs() < 0.005);
    }
}
