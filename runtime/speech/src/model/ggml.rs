//! What a file of whisper.cpp says about itself, and whether it is whole.

use std::io::{self, Read, Seek, SeekFrom};

use super::convert::MULTILINGUAL;

/// The first four bytes.
pub(crate) const MAGIC: i32 = 0x6767_6d6c;
/// The longest name of a tensor, the most dimensions: more is no such file.
const LONGEST_NAME: i32 = 256;
const MOST_SIDES: i32 = 4;

/// The numbers at the head of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Tokens that it can write.
    pub vocabulary: i32,
    /// Numbers per moment of sound.
    pub width: i32,
    /// Layers that listen.
    pub layers: i32,
    /// Bands of pitch that it listens to.
    pub mels: i32,
    /// How its numbers are written.
    pub file_type: i32,
}

impl Head {
    /// Whether it knows other languages than English.
    pub fn multilingual(&self) -> bool {
        self.vocabulary >= MULTILINGUAL as i32
    }

    /// Its size as OpenAI calls it.
    pub fn size(&self) -> &'static str {
        match (self.layers, self.width) {
            (4, _) => "tiny",
            (6, _) => "base",
            (12, _) => "small",
            (24, _) => "medium",
            (32, _) => "large",
            _ => "of no known size",
        }
    }
}

/// Reads a file from end to end without its numbers. The error is a clause about the file.
pub(crate) fn inspect(mut file: impl Read + Seek) -> Result<Head, String> {
    let length = file.seek(SeekFrom::End(0)).map_err(|why| format!("cannot be read: {why}"))?;
    file.rewind().map_err(|why| format!("cannot be read: {why}"))?;
    let mut reader = Reader { file: io::BufReader::with_capacity(1 << 16, file), at: 0, length };
    if length < 48 || reader.int()? != MAGIC {
        return Err("is no model of whisper.cpp".into());
    }
    let numbers = (0..11).map(|_| reader.int()).collect::<Result<Vec<_>, _>>()?;
    let head = Head {
        vocabulary: numbers[0],
        width: numbers[2],
        layers: numbers[4],
        mels: numbers[9],
        file_type: numbers[10],
    };
    let sane = [head.vocabulary, head.width, head.layers, head.mels]
        .iter()
        .all(|number| (1..=1_000_000).contains(number));
    if !sane {
        return Err("is no model of whisper.cpp: its head makes no sense".into());
    }
    let (filters, bins) = (reader.int()?, reader.int()?);
    reader.skip(i64::from(filters) * i64::from(bins) * 4)?;
    for _ in 0..reader.int()? {
        let token = reader.int()?;
        reader.skip(i64::from(token))?;
    }
    let mut tensors = 0;
    while reader.at < reader.length {
        let (sides, name, kind) = (reader.int()?, reader.int()?, reader.int()?);
        if !(1..=MOST_SIDES).contains(&sides) || !(1..=LONGEST_NAME).contains(&name) {
            return Err(format!("is damaged behind its tensor {tensors}"));
        }
        let mut numbers = 1i64;
        for _ in 0..sides {
            numbers = numbers.saturating_mul(i64::from(reader.int()?));
        }
        // Bytes of a block, and how many numbers are in one (ggml.c).
        let (bytes, block) = match kind {
            0 => (4, 1),
            1 => (2, 1),
            2 => (18, 32),
            3 => (20, 32),
            6 => (22, 32),
            7 => (24, 32),
            8 => (34, 32),
            other => return Err(format!("has numbers of an unknown kind ({other})")),
        };
        reader.skip(i64::from(name))?;
        reader.skip(numbers / block * bytes)?;
        tensors += 1;
    }
    if tensors == 0 { Err("is cut short: it has no weights".into()) } else { Ok(head) }
}

struct Reader<R> {
    file: io::BufReader<R>,
    at: u64,
    length: u64,
}

impl<R: Read + Seek> Reader<R> {
    fn int(&mut self) -> Result<i32, String> {
        let mut bytes = [0; 4];
        self.file.read_exact(&mut bytes).map_err(|why| match why.kind() {
            io::ErrorKind::UnexpectedEof => "is cut short".to_owned(),
            _ => format!("cannot be read: {why}"),
        })?;
        self.at += 4;
        Ok(i32::from_le_bytes(bytes))
    }

    fn skip(&mut self, bytes: i64) -> Result<(), String> {
        let next = u64::try_from(bytes).ok().and_then(|bytes| self.at.checked_add(bytes));
        match next {
            Some(next) if next <= self.length => {
                self.at = next;
                self.file.seek_relative(bytes).map_err(|why| format!("cannot be read: {why}"))
            }
            Some(next) => Err(format!("is cut short: {} of its bytes are missing", next - self.length)),
            None => Err("is damaged: it has something of a negative length".into()),
        }
    }
}
