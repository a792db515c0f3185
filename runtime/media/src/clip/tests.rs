use proptest::prelude::*;

use super::*;
use crate::testing::{pitch_hz, sine};

fn wav(rate_hz: u32, channels: u16, bits: u16, float: bool, seconds: f32, hz: f32) -> Vec<u8> {
    let sample_format = if float { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
    let spec = hound::WavSpec { channels, sample_rate: rate_hz, bits_per_sample: bits, sample_format };
    let mut bytes = Vec::new();
    let mut writer = hound::WavWriter::new(io::Cursor::new(&mut bytes), spec).expect("in memory");
    for n in 0..(seconds * rate_hz as f32) as u32 {
        let value = 0.5 * (n as f32 / rate_hz as f32 * hz * std::f32::consts::TAU).sin();
        for _ in 0..channels {
            if float {
                writer.write_sample(value).expect("in memory");
            } else {
                writer.write_sample((value * 2f32.powi(i32::from(bits) - 1)) as i32).expect("in memory");
            }
        }
    }
    writer.finalize().expect("in memory");
    bytes
}

fn load(bytes: &[u8]) -> Result<Clip, ClipError> {
    Clip::from_wav(bytes, Path::new("greeting.wav"))
}

fn samples(clip: &Clip, codec: Codec) -> Vec<i16> {
    clip.bytes(codec).iter().map(|byte| g711::table(codec)[usize::from(*byte)]).collect()
}

#[test]
fn any_rate_depth_and_number_of_channels_gives_the_same_tone_of_the_same_length() {
    for rate in [4000, 8000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000] {
        for (channels, bits, float) in
            [(1, 16, false), (2, 16, false), (1, 8, false), (2, 24, false), (1, 32, false), (6, 32, true)]
        {
            let name = format!("{rate} Hz, {channels} channels, {bits} bits, float {float}");
            let clip = load(&wav(rate, channels, bits, float, 0.5, 1000.0)).expect(&name);
            assert_eq!(clip.duration(), Duration::from_millis(500), "{name}");
            for codec in Codec::ALL {
                let samples = samples(&clip, codec);
                assert!((pitch_hz(&samples[800..3200]) - 1000.0).abs() < 10.0, "{name}");
                let level = crate::level::dbfs(&samples[800..3200]);
                // Half of full scale is -6 dB, and a sine lies 3 dB below its peak.
                assert!((level + 9.03).abs() < 0.5, "{name}: {level}");
            }
        }
    }
}

#[test]
fn a_tone_above_half_the_rate_does_not_fold_back() {
    let clip = load(&wav(16_000, 1, 16, false, 0.5, 6000.0)).expect("sound");
    let level = crate::level::dbfs(&samples(&clip, Codec::Pcma)[800..3200]);
    assert!(level < -50.0, "6 kHz came through at {level} dBFS");
}

#[test]
fn the_laws_inside_wav_are_read() {
    for (codec, tag) in [(Codec::Pcma, 6u16), (Codec::Pcmu, 7)] {
        let tone = Clip::from_samples(&sine(400.0, 4000, 0.5));
        let data = tone.bytes(codec);
        let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x12\0\0\0".to_vec();
        bytes.extend(tag.to_le_bytes());
        bytes.extend(1u16.to_le_bytes());
        bytes.extend(8000u32.to_le_bytes());
        bytes.extend(8000u32.to_le_bytes());
        bytes.extend([1, 0, 8, 0, 0, 0]);
        bytes.extend(b"fact\x04\0\0\0\0\0\0\0data");
        bytes.extend(u32::try_from(data.len()).expect("short").to_le_bytes());
        bytes.extend(data);
        let clip = load(&bytes).expect("sound");
        // µ-law has two zeros; the negative one comes back as the positive.
        let expected: Vec<u8> = data
            .iter()
            .map(|byte| if (codec, *byte) == (Codec::Pcmu, 0x7f) { 0xff } else { *byte })
            .collect();
        assert_eq!(clip.bytes(codec), expected);
        bytes.truncate(bytes.len() - 1);
        assert_eq!(fault(&bytes), "it is cut off: 3999 of its 4000 bytes of sound are there");
    }
}

fn fault(bytes: &[u8]) -> String {
    match load(bytes) {
        Err(ClipError::Broken { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_broken_file_is_named_with_its_fault() {
    let error = load(b"ID3 this is an mp3").expect_err("no WAV");
    assert_eq!(error.to_string(), "the sound greeting.wav cannot be played: it is not a WAV file");
    let error = Clip::load(Path::new("no/such.wav")).expect_err("no file");
    assert_eq!(error.to_string(), "could not read the sound no/such.wav");
    let good = wav(8000, 1, 16, false, 0.1, 400.0);
    assert_eq!(fault(&good[..200]), "it is cut off");
    assert_eq!(fault(&wav(8000, 1, 16, false, 0.0, 400.0)), "it holds no sound");
    assert_eq!(
        fault(&wav(2000, 1, 16, false, 0.5, 400.0)),
        "its sample rate of 2000 Hz is not between 4 and 192 kHz"
    );
}

#[test]
fn not_a_number_is_silence() {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut bytes = Vec::new();
    let mut writer = hound::WavWriter::new(io::Cursor::new(&mut bytes), spec).expect("in memory");
    for n in 0..1600 {
        writer.write_sample(if n == 100 { f32::NAN } else { 0.0 }).expect("in memory");
    }
    writer.finalize().expect("in memory");
    let clip = load(&bytes).expect("sound");
    assert!(samples(&clip, Codec::Pcmu).iter().all(|sample| *sample == 0));
}

proptest! {
    #[test]
    fn a_damaged_file_never_panics(at in 0usize..2000, value: u8, cut in 0usize..2000) {
        let mut bytes = wav(11_025, 2, 16, false, 0.05, 400.0);
        let len = bytes.len();
        bytes[at % len.min(80)] = value;
        let _ = load(&bytes);
        bytes.truncate(cut);
        let _ = load(&bytes);
    }
}
