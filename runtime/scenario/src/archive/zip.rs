//! The ZIP format, as much of it as an archive of a package has: one disk, stored or deflated files, nothing encrypted.
//!
//! Archives come from uploads, so the reader is strict where the format is ambiguous, and where other readers disagree
//! about what an archive holds: the list at the end must lie where it says, each file's own header must repeat its name
//! and method, and no two files may share bytes (a bomb is made of such). Nothing is inflated before all of that is
//! known, and inflating stops at the size that was promised: memory spent is never more than what was allowed.
//!
//! The writer makes the same bytes of the same files: sorted, with the oldest time that the format knows.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::ops::Range;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::{ArchiveFault, MAX_FILES, MAX_UNPACKED_BYTES, largest};

/// What the record at the end of an archive begins with; the same for an entry of the list, and for a file.
const END: [u8; 4] = *b"PK\x05\x06";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const FILE: [u8; 4] = *b"PK\x03\x04";
/// Their lengths without the names and comments.
const END_BYTES: usize = 22;
const ENTRY_BYTES: usize = 46;
const FILE_BYTES: usize = 30;
/// The longest comment at the end.
const COMMENT_BYTES: usize = 0xffff;
/// Flags: encrypted by the old way or the strong one; the list itself encrypted; the name is UTF-8.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const UTF8: u16 = 1 << 11;
/// Methods.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// 1 January 1980, 0:00, in the words of the format.
const NO_TIME: [u8; 4] = [0, 0, 0x21, 0];
/// Version 2.0 of the format, and "made on Unix".
const VERSION: u16 = 20;
const MADE_ON_UNIX: u16 = 3 << 8;
/// Unix file kinds, in the upper half of the external attributes.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
/// The longest path, and the longest name in it, that file systems take.
const PATH_BYTES: usize = 512;
const NAME_BYTES: usize = 255;

/// A file of an archive that was looked at and found sound from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path: relative, inside, with `/`.
    pub(super) name: String,
    deflated: bool,
    crc: u32,
    /// Where its own header begins.
    begins: usize,
    /// Its bytes in the archive.
    data: Range<usize>,
    /// How many bytes it says that it has.
    size: usize,
}

/// The files of an archive, in its order; every fault that can be found without inflating anything.
pub(super) fn list(bytes: &[u8]) -> Result<Vec<Entry>, Vec<ArchiveFault>> {
    let (count, list) = find_list(bytes).map_err(|fault| vec![fault])?;
    if count > MAX_FILES {
        return Err(vec![ArchiveFault::TooManyFiles(count)]);
    }
    let mut reader =
        List { bytes, end: list.end, faults: Vec::new(), names: BTreeSet::new(), entries: Vec::new() };
    let mut at = list.start;
    for _ in 0..count {
        match reader.entry(at) {
            Some(next) => at = next,
            None => break,
        }
    }
    if reader.faults.is_empty() && at != list.end {
        reader.faults.push(damaged("its list of files is longer than the files it lists"));
    }
    reader.finish(list.start)
}

/// The bytes of a file.
pub(super) fn inflate(archive: &[u8], entry: &Entry) -> Result<Vec<u8>, ArchiveFault> {
    let fault = |why: &str| ArchiveFault::File { name: entry.name.clone(), why: why.to_owned() };
    let packed = &archive[entry.data.clone()];
    let mut bytes = Vec::with_capacity(entry.size.min(1 << 20));
    // One byte more than was promised is enough to know.
    let limit = entry.size as u64 + 1;
    let read = match entry.deflated {
        true => DeflateDecoder::new(packed).take(limit).read_to_end(&mut bytes),
        false => packed.take(limit).read_to_end(&mut bytes),
    };
    read.map_err(|_| fault("its bytes are damaged"))?;
    if bytes.len() > entry.size {
        return Err(fault(
            "it holds more bytes than the archive says: this is how a bomb is made, so it was not read",
        ));
    }
    let mut crc = flate2::Crc::new();
    crc.update(&bytes);
    if bytes.len() < entry.size || crc.sum() != entry.crc {
        return Err(fault("its bytes are damaged"));
    }
    Ok(bytes)
}

/// An archive of these files, which come sorted and named once.
pub(super) fn write<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> io::Result<Vec<u8>> {
    let (mut out, mut list, mut count) = (Vec::new(), Vec::new(), 0u16);
    let too_much = || io::Error::other("an archive of this kind ends at 4 GiB and 65 535 files");
    for (name, bytes) in files {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes)?;
        let packed = encoder.finish()?;
        let (method, packed) =
            if packed.len() < bytes.len() { (DEFLATED, &*packed) } else { (STORED, bytes) };
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let offset = u32::try_from(out.len()).map_err(|_| too_much())?;
        // What both records have in common: from the version to the lengths of name and extras.
        let mut common = Vec::with_capacity(26);
        for word in [VERSION, UTF8, method] {
            common.extend(word.to_le_bytes());
        }
        common.extend(NO_TIME);
        common.extend(crc.sum().to_le_bytes());
        for length in [packed.len(), bytes.len()] {
            common.extend(u32::try_from(length).map_err(|_| too_much())?.to_le_bytes());
        }
        common.extend(u16::try_from(name.len()).map_err(|_| too_much())?.to_le_bytes());
        common.extend(0u16.to_le_bytes());
        out.extend(FILE);
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(packed);
        list.extend(ENTRY);
        list.extend((MADE_ON_UNIX | VERSION).to_le_bytes());
        list.extend(&common);
        // No comment, the first disk, no internal attributes.
        list.extend([0; 6]);
        list.extend(((REGULAR | 0o644) << 16).to_le_bytes());
        list.extend(offset.to_le_bytes());
        list.extend(name.as_bytes());
        count = count.checked_add(1).ok_or_else(too_much)?;
    }
    let (start, length) = (u32::try_from(out.len()), u32::try_from(list.len()));
    out.extend(list);
    out.extend(END);
    out.extend([0; 4]);
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(length.map_err(|_| too_much())?.to_le_bytes());
    out.extend(start.map_err(|_| too_much())?.to_le_bytes());
    out.extend(0u16.to_le_bytes());
    Ok(out)
}

/// How many files the archive says that it has, and where their list is.
fn find_list(bytes: &[u8]) -> Result<(usize, Range<usize>), ArchiveFault> {
    let not_a_zip = || {
        let head = &bytes[..bytes.len().min(4)];
        ArchiveFault::NotAZip(if head.is_empty() { "nothing at all".into() } else { format!("{head:02x?}") })
    };
    let last = bytes.len().checked_sub(END_BYTES).ok_or_else(not_a_zip)?;
    // The record is followed by a comment of up to 64 KiB; it ends where the archive ends.
    let ends = |at: &usize| {
        bytes[*at..].starts_with(&END) && at + END_BYTES + usize::from(word(bytes, at + 20)) == bytes.len()
    };
    let end = (last.saturating_sub(COMMENT_BYTES)..=last).rev().find(ends).ok_or_else(|| {
        match bytes.starts_with(&FILE) {
            true => damaged("its end is missing"),
            false => not_a_zip(),
        }
    })?;
    let (disks, here, count) =
        ([word(bytes, end + 4), word(bytes, end + 6)], word(bytes, end + 8), word(bytes, end + 10));
    let (length, start) = (long(bytes, end + 12), long(bytes, end + 16));
    if count == u16::MAX || length == u32::MAX || start == u32::MAX {
        return Err(damaged("it is of the large kind (ZIP64), which no package needs"));
    }
    if disks != [0, 0] || here != count {
        return Err(damaged("it is one of several parts"));
    }
    let (start, length) = (start as usize, length as usize);
    if start.checked_add(length) != Some(end) {
        return Err(damaged("its list of files is not where it says"));
    }
    Ok((count.into(), start..end))
}

/// Walks the list at the end of the archive.
struct List<'a> {
    bytes: &'a [u8],
    end: usize,
    faults: Vec<ArchiveFault>,
    names: BTreeSet<String>,
    entries: Vec<Entry>,
}

impl List<'_> {
    /// Reads one entry and gives where the next one begins; `None`: the list cannot be followed any further.
    fn entry(&mut self, at: usize) -> Option<usize> {
        let record =
            self.bytes.get(at..at.checked_add(ENTRY_BYTES)?).filter(|record| record.starts_with(&ENTRY));
        let Some(record) = record.filter(|_| at + ENTRY_BYTES <= self.end) else {
            self.faults.push(damaged("its list of files is cut off"));
            return None;
        };
        let lengths = [28, 30, 32].map(|place| usize::from(word(record, place)));
        let next = at + ENTRY_BYTES + lengths.iter().sum::<usize>();
        if next > self.end {
            self.faults.push(damaged("its list of files is cut off"));
            return None;
        }
        let name = &self.bytes[at + ENTRY_BYTES..][..lengths[0]];
        match self.look_at(record, name) {
            Ok(entry) => self.entries.extend(entry),
            Err(why) => {
                let name = String::from_utf8_lossy(&name[..name.len().min(PATH_BYTES)]);
                self.faults.push(ArchiveFault::File { name: name.escape_debug().to_string(), why });
            }
        }
        Some(next)
    }

    /// `None` for a folder; the error says why nobody reads this file.
    fn look_at(&mut self, record: &[u8], name: &[u8]) -> Result<Option<Entry>, String> {
        let text = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8".to_owned())?;
        let (path, folder) = match text.strip_suffix('/') {
            Some(path) => (path, true),
            None => (text, false),
        };
        inside(path)?;
        if !self.names.insert(path.to_owned()) {
            return Err("it is in the archive twice".into());
        }
        let (flags, method) = (word(record, 8), word(record, 10));
        let mode = if word(record, 4) & 0xff00 == MADE_ON_UNIX { long(record, 38) >> 16 & KIND } else { 0 };
        match mode {
            LINK => return Err("it is a link; a package holds files".into()),
            0 => {}
            REGULAR if !folder => {}
            FOLDER if folder => {}
            _ => return Err("it is no ordinary file".into()),
        }
        if folder {
            return Ok(None);
        }
        if flags & ENCRYPTED != 0 {
            return Err("it is encrypted".into());
        }
        if method != STORED && method != DEFLATED {
            return Err(format!("it is compressed by method {method}; only deflate is read"));
        }
        let (crc, packed, size) = (long(record, 16), long(record, 20), long(record, 24));
        if [packed, size, long(record, 42)].contains(&u32::MAX) {
            return Err("it is of the large kind (ZIP64), which no package needs".into());
        }
        let (packed, size) = (packed as usize, size as usize);
        let most = largest(text);
        if size > most {
            return Err(format!("it has {size} bytes; at most {most} are taken of such a file"));
        }
        if method == STORED && packed != size {
            return Err("its sizes contradict each other".into());
        }
        let begins = long(record, 42) as usize;
        let data = self.data(begins, name, method, packed)?;
        Ok(Some(Entry { name: text.to_owned(), deflated: method == DEFLATED, crc, begins, data, size }))
    }

    /// Where a file's bytes are, if its own header agrees with the list.
    fn data(&self, at: usize, name: &[u8], method: u16, packed: usize) -> Result<Range<usize>, String> {
        let differs = || "its own header says otherwise than the archive's list".to_owned();
        let header =
            at.checked_add(FILE_BYTES).and_then(|end| self.bytes.get(at..end)).ok_or_else(differs)?;
        let (names, extras) = (usize::from(word(header, 26)), usize::from(word(header, 28)));
        let start = at + FILE_BYTES + names + extras;
        let repeated = self.bytes.get(at + FILE_BYTES..at + FILE_BYTES + names);
        if !header.starts_with(&FILE) || word(header, 8) != method || repeated != Some(name) {
            return Err(differs());
        }
        let end = start.checked_add(packed).filter(|end| *end <= self.bytes.len()).ok_or_else(differs)?;
        Ok(start..end)
    }

    fn finish(mut self, list: usize) -> Result<Vec<Entry>, Vec<ArchiveFault>> {
        let total: u64 = self.entries.iter().map(|entry| entry.size as u64).sum();
        if total > MAX_UNPACKED_BYTES {
            self.faults.push(ArchiveFault::TooMuch(total));
        }
        let mut ranges: Vec<(Range<usize>, &str)> =
            self.entries.iter().map(|entry| (entry.begins..entry.data.end, &*entry.name)).collect();
        ranges.sort_by_key(|(range, _)| (range.start, range.end));
        let mut free = 0;
        for (range, name) in ranges {
            if range.start < free || range.end > list {
                let why = "its bytes lie over those of another: this is how a bomb is made".to_owned();
                self.faults.push(ArchiveFault::File { name: name.to_owned(), why });
            }
            free = free.max(range.end);
        }
        let files: BTreeSet<&str> = self.entries.iter().map(|entry| &*entry.name).collect();
        for entry in &self.entries {
            let mut parents = entry.name.match_indices('/').map(|(at, _)| &entry.name[..at]);
            if let Some(file) = parents.find(|parent| files.contains(parent)) {
                let why = format!("`{file}` is a file and a folder at once");
                self.faults.push(ArchiveFault::File { name: entry.name.clone(), why });
            }
        }
        if self.faults.is_empty() { Ok(self.entries) } else { Err(self.faults) }
    }
}

/// Whether a path stays inside and means the same everywhere.
pub(super) fn inside(path: &str) -> Result<(), String> {
    if path.len() > PATH_BYTES || path.split('/').any(|name| name.len() > NAME_BYTES) {
        return Err("its name is too long".into());
    }
    if path.contains(char::is_control) {
        return Err("its name has control characters".into());
    }
    if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
        return Err("its path is absolute; paths of an archive begin inside it".into());
    }
    if path.contains('\\') {
        return Err("its path has a backslash; folders are parted by `/`".into());
    }
    if path.split('/').any(|name| name == "..") {
        return Err("its path leads out of the archive".into());
    }
    if path.split('/').any(|name| name.is_empty() || name == ".") {
        return Err("its path has an empty part".into());
    }
    Ok(())
}

fn damaged(why: &str) -> ArchiveFault {
    ArchiveFault::Damaged(why.to_owned())
}

/// Two bytes, little end first. The caller knows that they are there.
fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes, little end first. The caller knows that they are there.
fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
