//! A look at a sound's header: whether it is a WAV of a kind that is played at all.
//!
//! Whoever plays a sound decodes it and finds the rest (a cut-off file, say). This look is cheap, and lets a package be
//! refused where it is uploaded.

/// Kinds of sound by their tag in the `fmt ` chunk (RFC 2361).
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
/// The kind is in the chunk's extension.
const EXTENSIBLE: u16 = 0xfffe;
/// Where in the chunk the extension has the kind.
const SUBFORMAT: usize = 24;

/// Why a file cannot be a prompt; `None`: it looks like one.
pub(crate) fn fault(bytes: &[u8]) -> Option<String> {
    const CONVERT: &str = "convert it (`sox in.wav -r 8000 -c 1 -b 16 -e signed out.wav`)";
    if bytes.len() < 12 || &bytes[..4] != b"RIFF" || &bytes[8..12] != b"WAVE" {
        let what = match bytes {
            [b'I', b'D', b'3', ..] | [0xff, 0xe0..=0xff, ..] => "an MP3 file under the name of a WAV",
            [b'O', b'g', b'g', b'S', ..] => "an Ogg file under the name of a WAV",
            [b'f', b'L', b'a', b'C', ..] => "a FLAC file under the name of a WAV",
            [] => "empty",
            _ => "no WAV file",
        };
        return Some(format!("this prompt is {what}: {CONVERT}"));
    }
    let Some(format) = chunk(bytes, b"fmt ").filter(|format| format.len() >= 16) else {
        return Some(format!("this prompt does not say how its sound is coded: {CONVERT}"));
    };
    let word = |at: usize| u16::from_le_bytes([format[at], format[at + 1]]);
    let tag = match word(0) {
        EXTENSIBLE if format.len() >= SUBFORMAT + 2 => word(SUBFORMAT),
        tag => tag,
    };
    let name = match tag {
        PCM | FLOAT | A_LAW | MU_LAW => return None,
        0x02 => "Microsoft ADPCM".into(),
        0x11 => "IMA ADPCM".into(),
        0x31 => "GSM 6.10".into(),
        0x50 | 0x55 => "MPEG".into(),
        0x64 | 0x65 => "G.726".into(),
        0x83 => "G.729".into(),
        0x161..=0x163 => "Windows Media".into(),
        other => format!("codec {other:#06x}"),
    };
    Some(format!("this prompt is coded as {name}, which is not played: {CONVERT}"))
}

/// The body of the first chunk of this name, as much of it as is there.
fn chunk<'b>(bytes: &'b [u8], name: &[u8; 4]) -> Option<&'b [u8]> {
    let mut at = 12usize;
    loop {
        let head = bytes.get(at..)?.first_chunk::<8>()?;
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let body = &bytes[at + 8..];
        if head[..4] == *name {
            return Some(&body[..size.min(body.len())]);
        }
        // Chunks are padded to even lengths.
        at = at.checked_add(8)?.checked_add(size)?.checked_add(size % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(tag: u16, subformat: Option<u16>) -> Vec<u8> {
        let mut format = vec![0; if subformat.is_some() { 40 } else { 16 }];
        format[..2].copy_from_slice(&tag.to_le_bytes());
        if let Some(subformat) = subformat {
            format[24..26].copy_from_slice(&subformat.to_le_bytes());
        }
        let mut wav = b"RIFF\0\0\0\0WAVE".to_vec();
        // An odd chunk before it, with its padding.
        wav.extend(b"note\x03\0\0\0abc\0fmt ");
        wav.extend((format.len() as u32).to_le_bytes());
        wav.extend(format);
        wav
    }

    #[test]
    fn what_is_played_is_taken_and_the_rest_is_named() {
        for (tag, subformat) in [(1, None), (3, None), (6, None), (7, None), (0xfffe, Some(1))] {
            assert_eq!(fault(&wav(tag, subformat)), None, "{tag:#x}");
        }
        for (bytes, words) in [
            (wav(0x31, None), "is coded as GSM 6.10, which is not played: convert it"),
            (wav(0x11, None), "is coded as IMA ADPCM"),
            (wav(0xfffe, Some(0x55)), "is coded as MPEG"),
            (wav(0x1234, None), "is coded as codec 0x1234"),
            (b"ID3\x04".to_vec(), "is an MP3 file under the name of a WAV"),
            (b"OggS".to_vec(), "is an Ogg file"),
            (Vec::new(), "is empty"),
            (b"RIFF\0\0\0\0WAVE".to_vec(), "does not say how its sound is coded"),
            (b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff\x01".to_vec(), "does not say how"),
            (b"#!/bin/sh".to_vec(), "is no WAV file"),
        ] {
            let found = fault(&bytes).unwrap_or_default();
            assert!(found.contains(words), "{words}: {found}");
        }
    }
}
