//! The text of a file in one of the encodings that spreadsheets write.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1251};

/// How much is read at once.
const PIECE: usize = 64 << 10;
/// A line that is longer is decoded in parts: memory stays bounded whatever the file is.
const LONG_LINE: usize = 64 << 10;

/// UTF-8 made of UTF-8, UTF-16 or windows-1251, without a byte order mark.
///
/// A line that is no UTF-8 is read as windows-1251 by itself: files that were put together from both are common. UTF-16 is
/// told by its mark, or by the zero bytes that separators and digits have in it.
pub struct Decoded<R> {
    inner: R,
    mode: Mode,
    raw: Vec<u8>,
    text: Vec<u8>,
    /// How much of `text` was given away.
    given: usize,
    over: bool,
}

enum Mode {
    /// Nothing was read yet.
    Unknown,
    /// Line by line UTF-8 or windows-1251.
    Lines,
    /// All of it in one encoding.
    Whole(Box<Decoder>),
}

impl<R: Read> Decoded<R> {
    /// Finds the encoding out.
    pub fn new(inner: R) -> Self {
        Self { inner, mode: Mode::Unknown, raw: Vec::new(), text: Vec::new(), given: 0, over: false }
    }

    /// Reads all of it in this encoding.
    pub fn as_encoded(inner: R, encoding: &'static Encoding) -> Self {
        Self { mode: Mode::Whole(Box::new(encoding.new_decoder_with_bom_removal())), ..Self::new(inner) }
    }

    /// Reads a piece and decodes what can be.
    fn fill(&mut self) -> io::Result<()> {
        let before = self.raw.len();
        self.raw.resize(before + PIECE, 0);
        let read = loop {
            match self.inner.read(&mut self.raw[before..]) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                done => break done,
            }
        };
        self.raw.truncate(before + *read.as_ref().unwrap_or(&0));
        self.over = read? == 0;
        if matches!(self.mode, Mode::Unknown) {
            // A mark and a few characters are wanted to choose by.
            if self.raw.len() < 64 && !self.over {
                return Ok(());
            }
            self.choose();
        }
        match &mut self.mode {
            Mode::Unknown => {}
            Mode::Lines => self.lines(),
            Mode::Whole(decoder) => {
                decode(decoder, &self.raw, self.over, &mut self.text);
                self.raw.clear();
            }
        }
        Ok(())
    }

    fn choose(&mut self) {
        let zeros = |odd: usize| {
            let pairs = self.raw.chunks_exact(2).take(512);
            pairs.filter(|pair| pair[odd] == 0 && pair[1 - odd] != 0).count() * 4
                > self.raw.len().min(1024) / 2
        };
        let whole = match Encoding::for_bom(&self.raw) {
            Some((encoding, length)) if encoding == encoding_rs::UTF_8 => {
                self.raw.drain(..length);
                None
            }
            Some((encoding, _)) => Some(encoding),
            None if zeros(1) => Some(UTF_16LE),
            None if zeros(0) => Some(UTF_16BE),
            None => None,
        };
        self.mode =
            whole.map_or(Mode::Lines, |one| Mode::Whole(Box::new(one.new_decoder_with_bom_removal())));
    }

    /// Decodes the whole lines; at the end of the file, and of a line that is too long, what there is.
    fn lines(&mut self) {
        let mut done = 0;
        while done < self.raw.len() {
            let rest = &self.raw[done..];
            let end = match rest.iter().position(|byte| *byte == b'\n') {
                Some(newline) => newline + 1,
                None if self.over => rest.len(),
                // Behind an ASCII character no character of either encoding is cut.
                None if rest.len() > LONG_LINE => {
                    rest.iter().rposition(u8::is_ascii).map_or(rest.len(), |at| at + 1)
                }
                None => break,
            };
            let line = &rest[..end];
            match std::str::from_utf8(line) {
                Ok(_) => self.text.extend_from_slice(line),
                Err(_) => {
                    let (text, _) = WINDOWS_1251.decode_without_bom_handling(line);
                    self.text.extend_from_slice(text.as_bytes());
                }
            }
            done += end;
        }
        self.raw.drain(..done);
    }
}

fn decode(decoder: &mut Decoder, mut raw: &[u8], last: bool, text: &mut Vec<u8>) {
    loop {
        let before = text.len();
        let room = decoder.max_utf8_buffer_length(raw.len()).unwrap_or(PIECE).max(64);
        text.resize(before + room, 0);
        let (result, read, written, _) = decoder.decode_to_utf8(raw, &mut text[before..], last);
        text.truncate(before + written);
        raw = &raw[read..];
        if result == CoderResult::InputEmpty {
            return;
        }
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() && !self.over {
            self.text.clear();
            self.given = 0;
            self.fill()?;
        }
        let length = into.len().min(self.text.len() - self.given);
        into[..length].copy_from_slice(&self.text[self.given..self.given + length]);
        self.given += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at once, as sockets and pipes do.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(into.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn text(bytes: &[u8]) -> String {
        let mut whole = String::new();
        Decoded::new(bytes).read_to_string(&mut whole).unwrap();
        for drop in [1, 3, 70] {
            let mut dripped = String::new();
            Decoded::new(Dripping(bytes, drop)).read_to_string(&mut dripped).unwrap();
            assert_eq!(dripped, whole, "{drop} bytes at once");
        }
        whole
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn the_encodings_of_spreadsheets_are_found_out() {
        let list = "Контакт;Телефон;Имя\nanna;8 900 000-00-01;Анна\nboris;8 900 000-00-02;Борис\n";
        assert_eq!(text(list.as_bytes()), list);
        assert_eq!(text(format!("\u{feff}{list}").as_bytes()), list);
        assert_eq!(text(&WINDOWS_1251.encode(list).0), list);
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(text(&utf16(&format!("\u{feff}{list}"), bytes)), list);
            assert_eq!(text(&utf16(list, bytes)), list, "without a mark");
        }
        let mut cp866 = String::new();
        let bytes = encoding_rs::IBM866.encode(list).0.into_owned();
        Decoded::as_encoded(&bytes[..], encoding_rs::IBM866).read_to_string(&mut cp866).unwrap();
        assert_eq!(cp866, list);
    }

    #[test]
    fn a_file_of_two_encodings_is_read_line_by_line() {
        let mut mixed = "Имя\nАнна\n".as_bytes().to_vec();
        mixed.extend_from_slice(&WINDOWS_1251.encode("Борис\r\n").0);
        mixed.extend_from_slice("Вера".as_bytes());
        assert_eq!(text(&mixed), "Имя\nАнна\nБорис\r\nВера");
        assert_eq!(text(b""), "");
        assert_eq!(text("Ж".as_bytes()), "Ж");
    }

    #[test]
    fn a_line_without_an_end_is_read_in_bounded_memory() {
        let endless = std::io::repeat(b'x').take(3 << 20);
        let mut decoded = Decoded::new(endless);
        let (mut piece, mut length) = (vec![0; 4096], 0);
        loop {
            let read = decoded.read(&mut piece).unwrap();
            if read == 0 {
                break;
            }
            length += read;
            assert!(
                decoded.raw.len() <= 2 * LONG_LINE + PIECE && decoded.text.len() <= 2 * LONG_LINE + PIECE
            );
        }
        assert_eq!(length, 3 << 20);
    }
}
