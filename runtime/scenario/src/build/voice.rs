//! Prompts that have a text and no sound are spoken by a machine, so that a scenario can be called the minute it is
//! written. A recorded prompt is never touched.
//!
//! A spoken file says so itself: behind the sound stands an `INFO` chunk with the voice and the text, as players show
//! it. When the text changes, the file is spoken anew; a file without such a chunk is a recording.
//!
//! Two speakers are known, the better one first: Festival with Debian's Russian voice, and eSpeak NG.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{cache_folder, program};

/// Samples a second on a telephone line.
const TELEPHONE_HZ: u32 = 8_000;
/// Quieter than this at the ends is silence, of 32,767.
const SILENCE: i16 = 160;
/// What is left of the silence at either end, in samples: 50 ms before, 100 ms after.
const LEAD_IN: usize = 400;
/// See [`LEAD_IN`].
const LEAD_OUT: usize = 800;
/// The loudest sample of a prompt: 6 dB below the end of the scale.
const PEAK: f64 = 16_384.0;
/// Where Debian's `festvox-ru` puts its voice.
const FESTIVAL_VOICE: &str = "/usr/share/festival/voices/russian/msu_ru_nsh_clunits";
/// By which a spoken file is known; the voice and the text follow.
const MARK: &str = "spoken by zvonar build: ";

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voice {
    /// Festival's `text2wave`, with the voice `msu_ru_nsh_clunits`.
    Festival(PathBuf),
    /// eSpeak NG, with its Russian voice.
    Espeak(PathBuf),
}

/// What to install when there is no voice.
pub const MISSING: &str = "no voice is installed: record them, or install Debian's `festival festvox-ru` (better) or \
                           `espeak-ng` (smaller) and build again";

impl Voice {
    /// The best voice that is here.
    pub fn find() -> Option<Self> {
        let festival = || program("text2wave").filter(|_| Path::new(FESTIVAL_VOICE).is_dir());
        festival().map(Self::Festival).or_else(|| program("espeak-ng").map(Self::Espeak))
    }

    /// What people call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Festival(_) => "Festival, msu_ru_nsh_clunits",
            Self::Espeak(_) => "eSpeak NG, ru",
        }
    }

    /// Speaks `text` into `file`, a WAV of 8 kHz, 16 bits, mono. What was spoken once on this machine is not spoken again:
    /// it is kept in the [`cache_folder`].
    pub fn speak(&self, text: &str, file: &Path) -> Result<(), VoiceError> {
        let failed = |why: String| VoiceError { voice: self.name(), file: file.to_owned(), why };
        let comment = format!("{MARK}{}: {text}", self.name());
        let kept =
            cache_folder().map(|cache| cache.join("prompts").join(format!("{:016x}.wav", hash(&comment))));
        let before = kept.as_ref().and_then(|kept| fs::read(kept).ok());
        if let Some(wave) = before.filter(|wave| self::comment(wave).as_ref() == Some(&comment)) {
            return put(file, &wave).map_err(|error| failed(error.to_string()));
        }
        let said = self.raw(text).map_err(|error| failed(error.to_string()))?;
        let sound = Sound::of_wav(&said).ok_or_else(|| failed("it gave no sound".into()))?;
        let wave = wave(&for_the_telephone(&sound), &comment);
        if let Some(kept) = kept {
            // A cache that cannot be written only costs time.
            let _ = put(&kept, &wave);
        }
        put(file, &wave).map_err(|error| failed(error.to_string()))
    }

    /// What the program says, as the WAV that it prints.
    fn raw(&self, text: &str) -> io::Result<Vec<u8>> {
        let mut command = match self {
            Self::Festival(text2wave) => {
                let mut command = Command::new(text2wave);
                command.args(["-F", "16000", "-eval", "(voice_msu_ru_nsh_clunits)"]);
                command
            }
            Self::Espeak(espeak) => {
                let mut command = Command::new(espeak);
                command.args(["-v", "ru", "-s", "150", "--stdin", "--stdout"]);
                command
            }
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut input = child.stdin.take().expect("the input was asked for");
        // Neither program answers before it has read everything.
        input.write_all(plain(text).as_bytes())?;
        drop(input);
        let output = child.wait_with_output()?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(io::Error::other(output.status.to_string()))
        }
    }
}

/// A voice that did not speak.
#[derive(Debug, thiserror::Error)]
#[error("{voice} could not speak {file}: {why}")]
pub struct VoiceError {
    voice: &'static str,
    file: PathBuf,
    why: String,
}

/// What there is to do about a prompt's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A recording, or spoken with these very words.
    Nothing,
    /// There is no sound.
    Missing,
    /// It was spoken, and its words have changed since.
    Stale,
}

/// What there is to do about the prompt in `file`, which is to say `text`.
pub fn need(file: &Path, text: &str) -> Need {
    let Ok(bytes) = fs::read(file) else { return Need::Missing };
    match spoken(&bytes) {
        Some(words) if words != text => Need::Stale,
        _ => Need::Nothing,
    }
}

/// The words of a file that was spoken here; `None`: it is a recording.
fn spoken(wave: &[u8]) -> Option<String> {
    let comment = comment(wave)?;
    Some(comment.strip_prefix(MARK)?.split_once(": ")?.1.to_owned())
}

/// What stands behind the sound.
fn comment(wave: &[u8]) -> Option<String> {
    let list = chunks(wave)?.find(|(id, body)| *id == b"LIST" && body.starts_with(b"INFOICMT"))?.1;
    Some(String::from_utf8_lossy(list.get(12..)?).trim_end_matches('\0').to_owned())
}

/// A name for what is kept. Two comments of one name do no harm: a kept file is only taken if its own is the right one.
fn hash(comment: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(comment.as_bytes());
    hasher.finish()
}

/// In one step: who reads the file meanwhile sees the old sound or the new.
fn put(file: &Path, wave: &[u8]) -> io::Result<()> {
    let beside = file.with_extension(format!("wav.{}.part", std::process::id()));
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    fs::write(&beside, wave)?;
    fs::rename(&beside, file)
}

/// Without what speakers stumble over.
fn plain(text: &str) -> String {
    let mut plain: String = text
        .chars()
        .map(|c| match c {
            '«' | '»' | '"' | '(' | ')' | '…' => ' ',
            '—' | '–' => ',',
            c => c,
        })
        .collect();
    plain.push('\n');
    plain
}

struct Sound {
    rate_hz: u32,
    samples: Vec<i16>,
}

impl Sound {
    /// Sixteen bits, mono, as both speakers print it.
    fn of_wav(wave: &[u8]) -> Option<Self> {
        let format = chunks(wave)?.find(|(id, _)| *id == b"fmt ")?.1;
        let word = |at: usize| Some(u16::from_le_bytes(format.get(at..at + 2)?.try_into().ok()?));
        let (kind, channels, bits) = (word(0)?, word(2)?, word(14)?);
        if (kind, channels, bits) != (1, 1, 16) {
            return None;
        }
        let rate_hz = u32::from_le_bytes(format.get(4..8)?.try_into().ok()?);
        let data = chunks(wave)?.find(|(id, _)| *id == b"data")?.1;
        let samples: Vec<i16> =
            data.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        (rate_hz > 0 && !samples.is_empty()).then_some(Self { rate_hz, samples })
    }
}

/// The chunks of a WAV: name and body. Who writes into a pipe does not know a length when it is written: a body that is
/// said to be longer than the file, or a sound that is said to be empty, ends with the file.
fn chunks(wave: &[u8]) -> Option<impl Iterator<Item = (&[u8; 4], &[u8])>> {
    let mut rest = wave.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    Some(std::iter::from_fn(move || {
        let (id, after) = rest.split_first_chunk::<4>()?;
        let (size, after) = after.split_first_chunk::<4>()?;
        let size = match u32::from_le_bytes(*size) {
            0 if id == b"data" => after.len(),
            size => usize::try_from(size).unwrap_or(usize::MAX).min(after.len()),
        };
        let (body, after) = after.split_at(size);
        // Bodies are padded to an even length.
        rest = after.get(size % 2..).unwrap_or_default();
        Some((id, body))
    }))
}

/// At 8 kHz, without the silence at its ends, at the usual loudness.
fn for_the_telephone(sound: &Sound) -> Vec<i16> {
    let loud = |sample: &i16| sample.unsigned_abs() > SILENCE.unsigned_abs();
    let slow = resample(sound);
    let first = slow.iter().position(loud).unwrap_or(0).saturating_sub(LEAD_IN);
    let last = slow.iter().rposition(loud).map_or(slow.len(), |last| last + 1);
    let end = (last + LEAD_OUT).min(slow.len());
    let kept = &slow[first..end];
    let peak = kept.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let gain = if peak == 0 { 1.0 } else { PEAK / f64::from(peak) };
    kept.iter().map(|sample| (f64::from(*sample) * gain).round() as i16).collect()
}

/// To 8 kHz, by a windowed sinc: what is above the telephone's band would otherwise come back as noise.
fn resample(sound: &Sound) -> Vec<i16> {
    if sound.rate_hz == TELEPHONE_HZ {
        return sound.samples.clone();
    }
    /// Zero crossings of the sinc at either side.
    const REACH: f64 = 16.0;
    let step = f64::from(sound.rate_hz) / f64::from(TELEPHONE_HZ);
    // The filter's edge: the lower of the two bands, less a little for its slope.
    let edge = (1.0 / step).min(1.0) * 0.92;
    let half = REACH / edge;
    let count = (sound.samples.len() as f64 / step) as usize;
    (0..count)
        .map(|n| {
            let centre = n as f64 * step;
            let from = (centre - half).ceil().max(0.0) as usize;
            let to = ((centre + half).floor() as usize).min(sound.samples.len() - 1);
            let (mut sum, mut weights) = (0.0, 0.0);
            for (i, sample) in sound.samples[from..=to].iter().enumerate() {
                let x = (from + i) as f64 - centre;
                let angle = std::f64::consts::PI * x * edge;
                let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
                let window = 0.5 + 0.5 * (std::f64::consts::PI * x / half).cos();
                let weight = sinc * window;
                sum += f64::from(*sample) * weight;
                weights += weight;
            }
            (sum / weights).round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
        })
        .collect()
}

/// A WAV of 8 kHz, 16 bits, mono, with a comment behind the sound.
fn wave(samples: &[i16], comment: &str) -> Vec<u8> {
    let mut comment = comment.as_bytes().to_vec();
    comment.push(0);
    if comment.len() % 2 == 1 {
        comment.push(0);
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let data = samples.len() * 2;
    let list = 12 + comment.len();
    let mut wave = Vec::with_capacity(44 + data + 8 + list);
    wave.extend(b"RIFF");
    wave.extend(length(36 + data + 8 + list));
    wave.extend(b"WAVEfmt ");
    wave.extend(16u32.to_le_bytes());
    for word in [1u16, 1] {
        wave.extend(word.to_le_bytes());
    }
    wave.extend(TELEPHONE_HZ.to_le_bytes());
    wave.extend((TELEPHONE_HZ * 2).to_le_bytes());
    for word in [2u16, 16] {
        wave.extend(word.to_le_bytes());
    }
    wave.extend(b"data");
    wave.extend(length(data));
    for sample in samples {
        wave.extend(sample.to_le_bytes());
    }
    wave.extend(b"LIST");
    wave.extend(length(list));
    wave.extend(b"INFOICMT");
    wave.extend(length(comment.len()));
    wave.extend(comment);
    wave
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate_hz: u32, hz: f64, seconds: f64, amplitude: f64) -> Vec<i16> {
        let angle = |n: u32| 2.0 * std::f64::consts::PI * hz * f64::from(n) / f64::from(rate_hz);
        (0..(f64::from(rate_hz) * seconds) as u32).map(|n| (amplitude * angle(n).sin()) as i16).collect()
    }

    /// The root of the mean square, without the ends.
    fn loudness(samples: &[i16]) -> f64 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        let sum: f64 = middle.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        (sum / middle.len() as f64).sqrt()
    }

    #[test]
    fn what_a_telephone_carries_is_kept_and_what_it_does_not_is_gone() {
        for (rate_hz, hz, kept) in [
            (22_050, 400.0, true),
            (22_050, 3_000.0, true),
            (22_050, 6_000.0, false),
            (16_000, 5_000.0, false),
        ] {
            let sound = Sound { rate_hz, samples: tone(rate_hz, hz, 0.5, 10_000.0) };
            let slow = resample(&sound);
            assert!(slow.len().abs_diff(4_000) < 2, "{}", slow.len());
            let (before, after) = (loudness(&sound.samples), loudness(&slow));
            let right = if kept { (after / before - 1.0).abs() < 0.05 } else { after / before < 0.02 };
            assert!(right, "{rate_hz} {hz}: {before} became {after}");
        }
    }

    #[test]
    fn silence_at_the_ends_is_cut_and_the_loudness_is_the_usual_one() {
        let mut samples = vec![0; 8_000];
        samples.extend(tone(8_000, 500.0, 1.0, 3_000.0));
        samples.extend(vec![0; 8_000]);
        let made = for_the_telephone(&Sound { rate_hz: 8_000, samples });
        assert!(made.len().abs_diff(LEAD_IN + 8_000 + LEAD_OUT) < 20, "{}", made.len());
        assert_eq!(made.iter().map(|sample| sample.unsigned_abs()).max(), Some(PEAK as u16));
        assert!(for_the_telephone(&Sound { rate_hz: 8_000, samples: vec![0; 100] }).iter().all(|s| *s == 0));
    }

    #[test]
    fn a_spoken_prompt_is_spoken_again_when_its_words_change_and_a_recording_never() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("menu.wav");
        assert_eq!(need(&file, "Нажмите один."), Need::Missing);
        let mark = |text: &str| format!("{MARK}eSpeak NG, ru: {text}");
        for text in ["Нажмите один.", "Да", "Время: десять."] {
            fs::write(&file, wave(&[1, 2, 3], &mark(text))).unwrap();
            assert_eq!(need(&file, text), Need::Nothing, "{text}");
            assert_eq!(need(&file, "Нажмите два."), Need::Stale, "{text}");
        }
        for recording in [wave(&[1, 2, 3], "recorded in a studio"), b"RIFF".to_vec(), Vec::new()] {
            fs::write(&file, recording).unwrap();
            assert_eq!(need(&file, "Нажмите два."), Need::Nothing);
        }
    }

    #[test]
    fn a_header_that_was_written_before_the_length_was_known_is_read_all_the_same() {
        for length in [0, u32::MAX] {
            let mut bytes = wave(&tone(8_000, 500.0, 0.1, 3_000.0), "");
            bytes[40..44].copy_from_slice(&length.to_le_bytes());
            let sound = Sound::of_wav(&bytes).unwrap();
            assert!(sound.rate_hz == 8_000 && sound.samples.len() >= 800);
        }
        assert!(Sound::of_wav(b"RIFF....WAVE").is_none());
    }
}
