//! A sound that can be played: decoded, resampled and encoded once, at load, so that playing it is a copy.
//!
//! Both laws are kept side by side: 16 KB a second of sound, shared by all calls, against a choice on the tick.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rubato::{Fft, FixedSync, Resampler, audioadapter_buffers::direct::InterleavedSlice};

use crate::{Codec, g711};

/// Samples a second of everything that is carried here.
pub const SAMPLE_RATE_HZ: u32 = 8000;

/// The longest clip that loads: a mistaken two-hour file should be said to be one, not eat 115 MB.
pub const LONGEST_CLIP: Duration = Duration::from_secs(20 * 60);

/// The lowest and the highest sample rate that is taken.
const RATES_HZ: std::ops::RangeInclusive<u32> = 4000..=192_000;

/// One sound, immutable, shared by the calls that play it.
#[derive(Clone, PartialEq, Eq)]
pub struct Clip {
    a_law: Box<[u8]>,
    mu_law: Box<[u8]>,
}

impl Clip {
    /// Loads a WAV file: 8 to 32 bits integer, 32 bits float, or G.711 inside WAV; any rate from 4 to 192 kHz; any
    /// number of channels, mixed into one.
    ///
    /// # Errors
    ///
    /// [`ClipError`], which names the file and its fault.
    pub fn load(path: &Path) -> Result<Self, ClipError> {
        let bytes =
            std::fs::read(path).map_err(|source| ClipError::Unreadable { file: path.to_owned(), source })?;
        Self::from_wav(&bytes, path)
    }

    /// The same from bytes in memory; `name` is what an error calls them.
    ///
    /// # Errors
    ///
    /// [`ClipError`], which names the file and its fault.
    pub fn from_wav(bytes: &[u8], name: &Path) -> Result<Self, ClipError> {
        let broken = |fault: String| ClipError::Broken { file: name.to_owned(), fault };
        let sound = wav::read(bytes).map_err(broken)?;
        let rate = sound.rate_hz;
        if !RATES_HZ.contains(&rate) {
            return Err(broken(format!("its sample rate of {rate} Hz is not between 4 and 192 kHz")));
        }
        if sound.samples.is_empty() {
            return Err(broken("it holds no sound".to_owned()));
        }
        let seconds = sound.samples.len() as u64 / u64::from(rate);
        if seconds > LONGEST_CLIP.as_secs() {
            let limit = LONGEST_CLIP.as_secs() / 60;
            return Err(broken(format!("it lasts {} minutes, more than the {limit} allowed", seconds / 60)));
        }
        let samples = resample(&sound.samples, rate).map_err(broken)?;
        Ok(Self::from_samples(&samples))
    }

    /// From 16-bit samples at [`SAMPLE_RATE_HZ`].
    pub fn from_samples(samples: &[i16]) -> Self {
        let encoded = |codec| samples.iter().map(|sample| g711::encode(codec, *sample)).collect();
        Self { a_law: encoded(Codec::Pcma), mu_law: encoded(Codec::Pcmu) }
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        duration(self.a_law.len())
    }

    /// Its bytes in a codec, a byte a sample.
    pub fn bytes(&self, codec: Codec) -> &[u8] {
        match codec {
            Codec::Pcma => &self.a_law,
            Codec::Pcmu => &self.mu_law,
        }
    }
}

impl fmt::Debug for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clip").field("duration", &self.duration()).finish_non_exhaustive()
    }
}

/// One piece of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A sound.
    Clip(Arc<Clip>),
    /// Silence.
    Pause(Duration),
}

impl Part {
    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        match self {
            Self::Clip(clip) => clip.duration(),
            Self::Pause(time) => *time,
        }
    }
}

/// What is said in one go: sounds and pauses without a gap between them. Clones share the sounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    parts: Arc<[Part]>,
    repeat: bool,
}

impl Prompt {
    /// A prompt of these parts, said once.
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        Self { parts: parts.into_iter().collect(), repeat: false }
    }

    /// The same prompt, said again and again until it is stopped. An empty one still ends at once.
    #[must_use]
    pub fn repeated(self) -> Self {
        Self { repeat: true, ..self }
    }

    /// How long it lasts, said once.
    pub fn duration(&self) -> Duration {
        self.parts.iter().map(Part::duration).sum()
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn repeats(&self) -> bool {
        self.repeat
    }
}

impl From<Arc<Clip>> for Prompt {
    fn from(clip: Arc<Clip>) -> Self {
        Self::new([Part::Clip(clip)])
    }
}

/// Why a sound could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// The file could not be read at all.
    #[error("could not read the sound {}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is there, but is not a sound we can play.
    #[error("the sound {} cannot be played: {fault}", file.display())]
    Broken {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it: a clause that follows a colon.
        fault: String,
    },
}

/// How long so many samples last.
pub(crate) fn duration(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 1_000_000 / u64::from(SAMPLE_RATE_HZ))
}

/// One channel at any rate to 16 bits at 8 kHz. The filter of the resampler also keeps what lies above 4 kHz from
/// folding back into the sound.
fn resample(samples: &[f32], rate_hz: u32) -> Result<Vec<i16>, String> {
    let to_i16 = |sample: f32| (sample * 32768.0).round().clamp(-32768.0, 32767.0) as i16;
    if rate_hz == SAMPLE_RATE_HZ {
        return Ok(samples.iter().copied().map(to_i16).collect());
    }
    let failed = |error: &dyn fmt::Display| format!("it could not be resampled from {rate_hz} Hz ({error})");
    let mut resampler = Fft::<f32>::new(rate_hz as usize, SAMPLE_RATE_HZ as usize, 1024, 1, FixedSync::Both)
        .map_err(|error| failed(&error))?;
    let input = InterleavedSlice::new(samples, 1, samples.len()).map_err(|error| failed(&error))?;
    let output =
        resampler.process_all(&input, samples.len(), None).map_err(|error| failed(&error))?.take_data();
    let wanted = (samples.len() as u64 * u64::from(SAMPLE_RATE_HZ)).div_ceil(u64::from(rate_hz));
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    Ok(output.into_iter().take(wanted).map(to_i16).collect())
}

mod wav;

#[cfg(test)]
mod tests;
