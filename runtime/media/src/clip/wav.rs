//! Reading WAV: `hound` for linear samples, and the two laws, which it does not know, by hand.

use std::io::Cursor;

use crate::{Codec, g711};

/// Tags of the `fmt ` chunk for G.711 (RFC 2361).
const TAG_A_LAW: u16 = 6;
const TAG_MU_LAW: u16 = 7;

/// The most channels that are mixed: more is a damaged header.
const MOST_CHANNELS: u16 = 32;

/// One channel, -1.0 to 1.0.
pub(super) struct Sound {
    pub(super) rate_hz: u32,
    pub(super) samples: Vec<f32>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Sound, String> {
    if bytes.len() < 12 || &bytes[..4] != b"RIFF" || &bytes[8..12] != b"WAVE" {
        return Err("it is not a WAV file".to_owned());
    }
    if let Some(sound) = read_g711(bytes)? {
        return Ok(sound);
    }
    let mut reader = hound::WavReader::new(Cursor::new(bytes)).map_err(|error| describe(&error))?;
    let spec = reader.spec();
    check_channels(spec.channels)?;
    let interleaved: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => {
            reader.samples::<f32>().collect::<Result<_, _>>().map_err(|error| describe(&error))?
        }
        hound::SampleFormat::Int => {
            if !(1..=32).contains(&spec.bits_per_sample) {
                return Err(format!("{} bits a sample are not known", spec.bits_per_sample));
            }
            let scale = 2f32.powi(1 - i32::from(spec.bits_per_sample));
            reader
                .samples::<i32>()
                .map(|sample| sample.map(|sample| sample as f32 * scale))
                .collect::<Result<_, _>>()
                .map_err(|error| describe(&error))?
        }
    };
    // A float file may hold anything, NaN included; a NaN would spread through the resampler's filter.
    let clean = interleaved.into_iter().map(|sample| if sample.is_finite() { sample } else { 0.0 });
    Ok(Sound { rate_hz: spec.sample_rate, samples: mix(&clean.collect::<Vec<_>>(), spec.channels) })
}

/// The chunks of the file until `data`; `None` when its `fmt ` names no law.
fn read_g711(bytes: &[u8]) -> Result<Option<Sound>, String> {
    let mut at = 12;
    let mut format = None;
    while let Some(head) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let body = &bytes[at + 8..];
        match &head[..4] {
            b"fmt " => {
                let Some(fmt) = body.first_chunk::<16>() else { return Ok(None) };
                let codec = match u16::from_le_bytes([fmt[0], fmt[1]]) {
                    TAG_A_LAW => Codec::Pcma,
                    TAG_MU_LAW => Codec::Pcmu,
                    _ => return Ok(None),
                };
                let channels = u16::from_le_bytes([fmt[2], fmt[3]]);
                check_channels(channels)?;
                format = Some((codec, channels, u32::from_le_bytes([fmt[4], fmt[5], fmt[6], fmt[7]])));
            }
            b"data" => {
                let Some((codec, channels, rate_hz)) = format else { return Ok(None) };
                let Some(data) = body.get(..size) else {
                    return Err(format!(
                        "it is cut off: {} of its {size} bytes of sound are there",
                        body.len()
                    ));
                };
                let table = g711::table(codec);
                let linear: Vec<f32> =
                    data.iter().map(|byte| f32::from(table[usize::from(*byte)]) / 32768.0).collect();
                return Ok(Some(Sound { rate_hz, samples: mix(&linear, channels) }));
            }
            _ => {}
        }
        // Chunks are padded to even lengths.
        let Some(next) = size.checked_add(8 + size % 2).and_then(|step| at.checked_add(step)) else { break };
        at = next;
    }
    Ok(None)
}

fn check_channels(channels: u16) -> Result<(), String> {
    if (1..=MOST_CHANNELS).contains(&channels) {
        Ok(())
    } else {
        Err(format!("it says that it has {channels} channels"))
    }
}

fn mix(interleaved: &[f32], channels: u16) -> Vec<f32> {
    let channels = usize::from(channels);
    interleaved.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect()
}

fn describe(error: &hound::Error) -> String {
    match error {
        hound::Error::IoError(_) => "it is cut off".to_owned(),
        hound::Error::FormatError(what) => format!("its header is damaged ({what})"),
        hound::Error::UnfinishedSample => "it is cut off in the middle of a sample".to_owned(),
        hound::Error::TooWide | hound::Error::InvalidSampleFormat | hound::Error::Unsupported => {
            "its sample format is not known: save it as 16-bit PCM".to_owned()
        }
    }
}
