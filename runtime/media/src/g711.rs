//! G.711: one byte a sample, A-law and µ-law, both ways.
//!
//! Decoding is a table look-up, since it runs on the tick. Encoding runs once per prompt, at load.

use crate::Codec;

/// The byte of silence: the smallest positive step.
pub fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcma => 0xd5,
        Codec::Pcmu => 0xff,
    }
}

/// The 256 samples of a law, 16-bit linear.
pub fn table(codec: Codec) -> &'static [i16; 256] {
    match codec {
        Codec::Pcma => &A_LAW,
        Codec::Pcmu => &MU_LAW,
    }
}

/// One sample as a byte.
pub fn encode(codec: Codec, sample: i16) -> u8 {
    match codec {
        Codec::Pcma => encode_a_law(sample),
        Codec::Pcmu => encode_mu_law(sample),
    }
}

/// Bytes as samples; as many as fit into `out`.
pub fn decode(codec: Codec, bytes: &[u8], out: &mut [i16]) {
    let table = table(codec);
    for (sample, byte) in out.iter_mut().zip(bytes) {
        *sample = table[usize::from(*byte)];
    }
}

/// What each byte of one law is in the other; `None` when they are the same.
pub fn recoding(from: Codec, to: Codec) -> Option<&'static [u8; 256]> {
    match (from, to) {
        (Codec::Pcma, Codec::Pcmu) => Some(&A_TO_MU),
        (Codec::Pcmu, Codec::Pcma) => Some(&MU_TO_A),
        (Codec::Pcma, Codec::Pcma) | (Codec::Pcmu, Codec::Pcmu) => None,
    }
}

static A_TO_MU: [u8; 256] = recode(true);
static MU_TO_A: [u8; 256] = recode(false);

const fn recode(from_a: bool) -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = if from_a {
            encode_mu_law(decode_a_law(byte as u8))
        } else {
            encode_a_law(decode_mu_law(byte as u8))
        };
        byte += 1;
    }
    table
}

static A_LAW: [i16; 256] = build(true);
static MU_LAW: [i16; 256] = build(false);

const fn build(a_law: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = if a_law { decode_a_law(byte as u8) } else { decode_mu_law(byte as u8) };
        byte += 1;
    }
    table
}

const fn decode_a_law(byte: u8) -> i16 {
    let bits = byte ^ 0x55; // every other bit travels inverted
    let segment = (bits & 0x70) >> 4;
    let step = ((bits & 0x0f) as i16) << 4;
    let magnitude = match segment {
        0 => step + 8,
        _ => (step + 0x108) << (segment - 1),
    };
    if bits & 0x80 != 0 { magnitude } else { -magnitude }
}

const fn decode_mu_law(byte: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let bits = !byte;
    let magnitude = ((((bits & 0x0f) as i16) << 3) + BIAS) << ((bits & 0x70) >> 4);
    if bits & 0x80 != 0 { BIAS - magnitude } else { magnitude - BIAS }
}

const fn encode_a_law(sample: i16) -> u8 {
    let (mask, magnitude) = if sample >= 0 { (0xd5, sample >> 3) } else { (0x55, !sample >> 3) };
    // 12 bits of magnitude: the segment is where the highest set bit lies, the step the four bits below it.
    let segment = 16 - (magnitude | 0x1f).leading_zeros() as u8 - 5;
    let segment = if segment > 7 { 7 } else { segment };
    let step = if segment < 2 { magnitude >> 1 } else { magnitude >> segment };
    ((segment << 4) | (step as u8 & 0x0f)) ^ mask
}

const fn encode_mu_law(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32635;
    let (sign, magnitude) = if sample < 0 { (0x80, -(sample as i32)) } else { (0, sample as i32) };
    let magnitude = if magnitude > CLIP { CLIP } else { magnitude } + BIAS;
    let segment = 31 - 7 - magnitude.leading_zeros();
    let step = (magnitude >> (segment + 3)) & 0x0f;
    !(sign | ((segment as u8) << 4) | step as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corners of ITU-T G.711 tables 1a and 2a, as 16-bit samples.
    #[test]
    fn known_bytes_have_their_known_samples() {
        for (codec, byte, sample) in [
            (Codec::Pcma, 0xd5, 8),
            (Codec::Pcma, 0x55, -8),
            (Codec::Pcma, 0xaa, 32256),
            (Codec::Pcma, 0x2a, -32256),
            (Codec::Pcma, 0x80, 5504),
            (Codec::Pcmu, 0xff, 0),
            (Codec::Pcmu, 0x7f, 0),
            (Codec::Pcmu, 0x80, 32124),
            (Codec::Pcmu, 0x00, -32124),
            (Codec::Pcmu, 0xbf, 1980),
        ] {
            assert_eq!(table(codec)[byte], sample, "{codec:?} {byte:#x}");
        }
    }

    #[test]
    fn every_byte_survives_a_round_trip() {
        for codec in Codec::ALL {
            for byte in 0..=255u8 {
                let back = encode(codec, table(codec)[usize::from(byte)]);
                // µ-law has two zeros; the negative one comes back as the positive.
                let same = back == byte || (codec == Codec::Pcmu && byte == 0x7f && back == 0xff);
                assert!(same, "{codec:?} {byte:#x} came back as {back:#x}");
            }
        }
    }

    #[test]
    fn every_sample_is_encoded_to_the_nearest_step_within_half_a_segment() {
        for codec in Codec::ALL {
            let mut last = i32::MIN;
            for sample in i16::MIN..=i16::MAX {
                let heard = i32::from(table(codec)[usize::from(encode(codec, sample))]);
                let error = (heard - i32::from(sample)).abs();
                // The coarsest step is a 32nd of the magnitude; near zero it is one step; at the ends it clips.
                let allowed = (i32::from(sample).abs() / 32 + 8).max(8);
                let clipped = i32::from(sample).abs() > 32124;
                assert!(error <= allowed || clipped, "{codec:?}: {sample} became {heard}");
                assert!(heard >= last, "{codec:?}: louder input became quieter at {sample}");
                last = heard;
            }
        }
    }

    #[test]
    fn a_byte_in_the_other_law_is_the_nearest_step_to_it() {
        for (from, to) in [(Codec::Pcma, Codec::Pcmu), (Codec::Pcmu, Codec::Pcma)] {
            let recoded = recoding(from, to).expect("two laws");
            for byte in 0..=255u8 {
                let sample = table(from)[usize::from(byte)];
                assert_eq!(recoded[usize::from(byte)], encode(to, sample), "{from:?} {byte:#x}");
            }
        }
        assert!(Codec::ALL.into_iter().all(|codec| recoding(codec, codec).is_none()));
    }

    #[test]
    fn silence_is_silent() {
        for codec in Codec::ALL {
            assert!(table(codec)[usize::from(silence(codec))].abs() <= 8);
        }
    }
}
