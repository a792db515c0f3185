//! A recording: frames of both sides, each with its place in time, become a WAV file of 8 kHz and 16 bits.
//!
//! Frames of the two sides come interleaved and not quite in step, so the last half second stays in a window where
//! both still can be written. What is missing is silence. The window is bounded, and so is what a gap may cost.

use std::io::{self, Seek, Write};
use std::time::Duration;

use crate::{Codec, FRAME, clip, g711};

/// Whose sound it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The far end: the left channel.
    FarEnd,
    /// We: the right channel.
    Us,
}

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// The far end on the left, we on the right.
    Both,
    /// The far end alone, mono.
    FarEnd,
}

/// Sound on its way from the tick to the file: still encoded, so that the tick only copies.
#[derive(Debug, Clone, Copy)]
pub struct RecordingFrame {
    /// Whose.
    pub side: Side,
    /// In which codec.
    pub codec: Codec,
    /// Samples since the recording's begin.
    pub at: u64,
    /// How many samples of it count.
    pub len: usize,
    /// At most 20 ms.
    pub sound: [u8; FRAME],
}

impl RecordingFrame {
    /// One of 20 ms.
    pub fn whole(side: Side, codec: Codec, at: u64, sound: &[u8; FRAME]) -> Self {
        Self { side, codec, at, len: FRAME, sound: *sound }
    }
}

/// Samples that stay open for the other side: half a second.
const WINDOW: usize = 4000;

/// A WAV file being written.
pub struct Recording<W: Write + Seek> {
    writer: hound::WavWriter<W>,
    channels: Channels,
    /// Samples of both sides from `base` on.
    window: Vec<[i16; 2]>,
    base: u64,
}

impl<W: Write + Seek> std::fmt::Debug for Recording<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("channels", &self.channels)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl<W: Write + Seek> Recording<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// The header could not be written.
    pub fn new(into: W, channels: Channels) -> io::Result<Self> {
        let spec = hound::WavSpec {
            channels: if channels == Channels::Both { 2 } else { 1 },
            sample_rate: clip::SAMPLE_RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let writer = hound::WavWriter::new(into, spec).map_err(plain)?;
        Ok(Self { writer, channels, window: Vec::with_capacity(WINDOW + FRAME), base: 0 })
    }

    /// Adds a frame. One that comes more than half a second after its time is dropped.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub fn add(&mut self, frame: &RecordingFrame) -> io::Result<()> {
        let sound = &frame.sound[..frame.len.min(FRAME)];
        let end = frame.at + sound.len() as u64;
        self.reach(end)?;
        let Some(at) = frame.at.checked_sub(self.base).and_then(|at| usize::try_from(at).ok()) else {
            return Ok(());
        };
        let table = g711::table(frame.codec);
        let side = usize::from(frame.side == Side::Us);
        for (sample, byte) in self.window[at..].iter_mut().zip(sound) {
            sample[side] = table[usize::from(*byte)];
        }
        Ok(())
    }

    /// Brings the file's header up to date, so that what is there can be heard even if we crash.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush().map_err(plain)
    }

    /// Ends the file at `end` samples, padded with silence up to there; gives its length.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub fn finish(mut self, end: u64) -> io::Result<Duration> {
        self.reach(end)?;
        self.write(self.window.len())?;
        let samples = self.base;
        self.writer.finalize().map_err(plain)?;
        Ok(Duration::from_micros(samples.saturating_mul(1_000_000) / u64::from(clip::SAMPLE_RATE_HZ)))
    }

    /// Opens the window up to `end`, writing out what falls out of it at the other side.
    fn reach(&mut self, end: u64) -> io::Result<()> {
        while self.base + (self.window.len() as u64) < end {
            let missing = end - self.base - self.window.len() as u64;
            let room = WINDOW.saturating_sub(self.window.len());
            if room == 0 {
                self.write(usize::try_from(missing).unwrap_or(WINDOW).min(WINDOW))?;
                continue;
            }
            let more = usize::try_from(missing).unwrap_or(room).min(room);
            self.window.resize(self.window.len() + more, [0; 2]);
        }
        Ok(())
    }

    fn write(&mut self, samples: usize) -> io::Result<()> {
        for [far, us] in self.window.drain(..samples.min(self.window.len())) {
            self.writer.write_sample(far).map_err(plain)?;
            if self.channels == Channels::Both {
                self.writer.write_sample(us).map_err(plain)?;
            }
            self.base += 1;
        }
        Ok(())
    }
}

/// Writing fails for reasons of the disk, or because a WAV file cannot be longer than 4 GB.
fn plain(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other),
    }
}

/// Writes a sound of 8 kHz as a WAV file of 16 bits, mono.
///
/// # Errors
///
/// What the writer said.
pub fn write_wav<W: Write + Seek>(writer: W, sound: &[i16]) -> io::Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(writer, spec).map_err(io::Error::other)?;
    for sample in sound {
        writer.write_sample(*sample).map_err(io::Error::other)?;
    }
    writer.finalize().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn frame(side: Side, at: u64, loudness: i16) -> RecordingFrame {
        RecordingFrame::whole(side, Codec::Pcmu, at, &[g711::encode(Codec::Pcmu, loudness); FRAME])
    }

    fn record(channels: Channels, frames: &[RecordingFrame], end: u64) -> (Vec<i16>, Duration) {
        let mut bytes = Vec::new();
        let mut recording = Recording::new(Cursor::new(&mut bytes), channels).expect("in memory");
        for frame in frames {
            recording.add(frame).expect("in memory");
        }
        let length = recording.finish(end).expect("in memory");
        let mut reader = hound::WavReader::new(Cursor::new(bytes)).expect("a WAV file");
        assert_eq!((reader.spec().sample_rate, reader.spec().bits_per_sample), (8000, 16));
        (reader.samples().map(|sample| sample.expect("whole")).collect(), length)
    }

    #[test]
    fn the_far_end_is_left_and_we_are_right_each_in_its_place() {
        let frames = [
            frame(Side::Us, 0, 924),
            frame(Side::FarEnd, 160, 1980),
            frame(Side::Us, 160, 924),
            frame(Side::FarEnd, 0, 1980), // a little later than the other
            frame(Side::Us, 700, 924),
        ];
        let (samples, length) = record(Channels::Both, &frames, 1000);
        assert_eq!(length, Duration::from_millis(125));
        let pairs: Vec<(i16, i16)> = samples.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        assert_eq!(pairs.len(), 1000);
        for (n, pair) in pairs.into_iter().enumerate() {
            let far = if n < 320 { 1980 } else { 0 };
            let us = if n < 320 || (700..860).contains(&n) { 924 } else { 0 };
            assert_eq!(pair, (far, us), "sample {n}");
        }
    }

    #[test]
    fn a_gap_of_minutes_is_silence_and_what_comes_far_too_late_is_dropped() {
        let minute = 8000 * 60;
        let frames =
            [frame(Side::FarEnd, 0, 924), frame(Side::FarEnd, minute, 1980), frame(Side::FarEnd, 320, 924)];
        let (samples, length) = record(Channels::FarEnd, &frames, 0);
        assert_eq!(samples.len() as u64, minute + 160);
        assert_eq!(length, Duration::from_millis(60_020));
        assert!(samples[..160].iter().all(|sample| *sample == 924));
        assert!(samples[160..minute as usize].iter().all(|sample| *sample == 0));
        assert!(samples[minute as usize..].iter().all(|sample| *sample == 1980));
    }

    #[test]
    fn a_flushed_file_can_be_read_before_its_end() {
        let mut bytes = Vec::new();
        let mut recording = Recording::new(Cursor::new(&mut bytes), Channels::Both).expect("in memory");
        for n in 0..100 {
            recording.add(&frame(Side::FarEnd, n * 160, 924)).expect("in memory");
        }
        recording.flush().expect("in memory");
        std::mem::forget(recording); // a crash: nothing is finished
        let reader = hound::WavReader::new(Cursor::new(bytes)).expect("a WAV file");
        assert!(reader.duration() >= 11_000, "{}", reader.duration());
    }
}
