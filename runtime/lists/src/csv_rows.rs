//! Rows of a CSV file.
//!
//! The reader is ours, because of what it does when a quotation mark lacks its partner: the usual readers take the rest of
//! the file for one cell and say nothing. Here such a row is refused, and reading goes on with the next line.

use std::io::{self, Read};

use crate::{ListError, MAX_ROW_BYTES, Refusal, Row, Rows};

/// How much is read at once.
const PIECE: usize = 64 << 10;

/// Rows of UTF-8 text, of which the separator is found out. [`Decoded`](crate::Decoded) makes UTF-8 of what is not.
pub struct CsvRows<R> {
    inner: R,
    text: Vec<u8>,
    /// How much of `text` was read.
    at: usize,
    over: bool,
    separator: u8,
    line: u64,
}

/// What a beginning of the text is.
enum Parsed {
    /// A row of so many bytes and line ends.
    Row { cells: Vec<String>, bytes: usize, lines: u64 },
    /// It goes on behind what was read so far.
    Unfinished,
    /// The text ends within quotation marks.
    OpenQuote,
}

impl<R: Read> CsvRows<R> {
    /// Begins to read. A first line `sep=;`, as Excel writes it, is obeyed.
    ///
    /// # Errors
    /// When nothing can be read.
    pub fn new(inner: R) -> Result<Self, ListError> {
        let mut rows = Self { inner, text: Vec::new(), at: 0, over: false, separator: b',', line: 1 };
        while !rows.text.contains(&b'\n') && !rows.over && rows.text.len() < MAX_ROW_BYTES {
            rows.fill()?;
        }
        let first = rows.text.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        if let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] = *first {
            rows.separator = separator;
            let ends = rows.text[first.len()..].starts_with(b"\r\n");
            rows.at = (first.len() + if ends { 2 } else { 1 }).min(rows.text.len());
            rows.line = 2;
        } else {
            rows.separator = separator(first);
        }
        Ok(rows)
    }

    /// What parts the cells.
    pub fn separator(&self) -> u8 {
        self.separator
    }

    fn fill(&mut self) -> io::Result<()> {
        self.text.drain(..self.at);
        self.at = 0;
        let before = self.text.len();
        self.text.resize(before + PIECE, 0);
        let read = loop {
            match self.inner.read(&mut self.text[before..]) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                done => break done,
            }
        };
        self.text.truncate(before + *read.as_ref().unwrap_or(&0));
        self.over = read? == 0;
        Ok(())
    }

    /// Refuses the row that begins here, and goes on with the next line.
    fn give_up(&mut self, fault: Refusal) -> Row {
        let rest = &self.text[self.at..];
        let bytes = line_end(rest).unwrap_or(rest.len());
        let told = String::from_utf8_lossy(&rest[..bytes.min(1024)]).trim().to_owned();
        let row = Row { line: self.line, cells: vec![told], fault: Some(fault) };
        // Of a line that is too long, what is not read yet belongs to it as well.
        if bytes == rest.len() && !self.over {
            self.at = self.text.len();
            self.skip_line();
        } else {
            self.at += bytes;
        }
        self.line += 1;
        row
    }

    /// Reads up to the next end of a line. What cannot be read is told by whoever reads next.
    fn skip_line(&mut self) {
        while self.fill().is_ok() && !self.text.is_empty() {
            if let Some(end) = line_end(&self.text) {
                self.at = end;
                return;
            }
            self.at = self.text.len();
        }
    }
}

impl<R: Read> Rows for CsvRows<R> {
    fn next_row(&mut self) -> Result<Option<Row>, ListError> {
        loop {
            if self.at == self.text.len() {
                if self.over {
                    return Ok(None);
                }
                self.fill()?;
                continue;
            }
            match parse(&self.text[self.at..], self.separator, self.over) {
                Parsed::Row { cells, bytes, lines } => {
                    let row = Row { line: self.line, cells, fault: None };
                    self.at += bytes;
                    self.line += lines;
                    return Ok(Some(row));
                }
                Parsed::OpenQuote => return Ok(Some(self.give_up(Refusal::OpenQuote))),
                Parsed::Unfinished if self.text.len() - self.at >= MAX_ROW_BYTES => {
                    let quoted = line_end(&self.text[self.at..]).is_some();
                    let fault = if quoted { Refusal::OpenQuote } else { Refusal::RowTooLong };
                    return Ok(Some(self.give_up(fault)));
                }
                Parsed::Unfinished => self.fill()?,
            }
        }
    }
}

/// Where the line after the first begins.
fn line_end(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    Some(end + if text[end..].starts_with(b"\r\n") { 2 } else { 1 })
}

/// What parts the columns: whichever of the usual ones stands most often in the first line outside quotation marks.
fn separator(first: &[u8]) -> u8 {
    let mut best = (b',', 0);
    for candidate in [b',', b';', b'\t', b'|'] {
        let mut quoted = false;
        let outside = first.iter().filter(|byte| {
            quoted ^= **byte == b'"';
            !quoted && **byte == candidate
        });
        let count = outside.count();
        if count > best.1 {
            best = (candidate, count);
        }
    }
    best.0
}

/// Reads the row at the beginning of a text. A mark quotes where a cell begins; two within are one.
fn parse(text: &[u8], separator: u8, over: bool) -> Parsed {
    let mut cells = Vec::new();
    let mut cell: Vec<u8> = Vec::new();
    let (mut at, mut lines) = (0, 0);
    let mut finish = |cell: &mut Vec<u8>| {
        cells.push(String::from_utf8_lossy(cell).trim().to_owned());
        cell.clear();
    };
    loop {
        if text.get(at) == Some(&b'"') {
            at += 1;
            loop {
                match text.get(at) {
                    None if over => return Parsed::OpenQuote,
                    None => return Parsed::Unfinished,
                    Some(b'"') => match text.get(at + 1) {
                        Some(b'"') => {
                            cell.push(b'"');
                            at += 2;
                        }
                        None if !over => return Parsed::Unfinished,
                        _ => {
                            at += 1;
                            break;
                        }
                    },
                    Some(byte) => {
                        lines += u64::from(*byte == b'\n');
                        cell.push(*byte);
                        at += 1;
                    }
                }
            }
        }
        loop {
            match text.get(at) {
                None if over => {
                    finish(&mut cell);
                    return Parsed::Row { cells, bytes: at, lines: lines + 1 };
                }
                None => return Parsed::Unfinished,
                Some(b'\r') if at + 1 == text.len() && !over => return Parsed::Unfinished,
                Some(b'\r' | b'\n') => {
                    let both = text[at..].starts_with(b"\r\n");
                    finish(&mut cell);
                    return Parsed::Row { cells, bytes: at + if both { 2 } else { 1 }, lines: lines + 1 };
                }
                Some(byte) if *byte == separator => {
                    finish(&mut cell);
                    at += 1;
                    break;
                }
                Some(byte) => {
                    cell.push(*byte);
                    at += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: impl AsRef<[u8]>) -> Vec<Row> {
        let mut rows = CsvRows::new(text.as_ref()).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next_row().unwrap() {
            all.push(row);
        }
        all
    }

    fn cells(text: &str) -> Vec<(u64, Vec<String>)> {
        rows(text).into_iter().map(|row| (row.line, row.cells)).collect()
    }

    #[test]
    fn cells_are_parted_by_whatever_parts_the_first_line() {
        for separator in [',', ';', '\t', '|'] {
            let s = separator;
            let text = format!("lead{s}phone{s}\"a{s}b,;\"\r\nanna{s} +7900 {s}\"Анна \"\"А\"\"\n2\"\r\n\nx");
            let expected = [
                (1, vec!["lead".into(), "phone".into(), format!("a{s}b,;")]),
                (2, vec!["anna".into(), "+7900".into(), "Анна \"А\"\n2".into()]),
                (4, vec![String::new()]),
                (5, vec!["x".into()]),
            ];
            assert_eq!(cells(&text), expected, "{s:?}");
        }
        assert_eq!(cells("sep=;\na,b;c\n"), [(2, vec!["a,b".into(), "c".into()])]);
        assert_eq!(cells("a,b\rc,d"), [(1, vec!["a".into(), "b".into()]), (2, vec!["c".into(), "d".into()])]);
        assert_eq!(cells(""), []);
        // Marks in the middle of a cell are marks.
        assert_eq!(cells("ООО \"Ромашка\";1")[0].1, ["ООО \"Ромашка\"", "1"]);
        assert_eq!(cells("\"Ромашка\" ООО;1")[0].1, ["Ромашка ООО", "1"]);
    }

    /// Of a list of thousands, one cell with a lost quotation mark used to swallow everything behind it in silence.
    #[test]
    fn a_lost_quotation_mark_costs_its_own_line_and_no_other() {
        let told = rows("lead,name\nanna,\"Анна\nboris,Борис\nvera,Вера\n");
        let lines: Vec<_> = told.iter().map(|row| (row.line, row.fault.is_some())).collect();
        assert_eq!(lines, [(1, false), (2, true), (3, false), (4, false)]);
        assert_eq!(told[1].cells, ["anna,\"Анна"]);

        let mut long = String::from("lead,name\nanna,\"Анна\n");
        for n in 0..40_000 {
            long += &format!("c{n},Борис\n");
        }
        let told = rows(&long);
        assert_eq!(told.len(), 40_002);
        assert_eq!(told.iter().filter(|row| row.fault.is_some()).count(), 1);
        assert_eq!(told.last().map(|row| row.line), Some(40_002));
    }

    #[test]
    fn a_row_that_is_too_long_is_refused_without_being_kept() {
        let long = format!("lead,name\nanna,{}\nboris,Борис\n", "x".repeat(3 << 20));
        let told = rows(&long);
        assert_eq!(told[1].fault, Some(Refusal::RowTooLong));
        assert!(told[1].cells[0].len() <= 1024);
        assert_eq!((told[2].line, &told[2].cells[0]), (3, &"boris".to_owned()));
        let mut endless = CsvRows::new(std::io::repeat(b'x').take(20 << 20)).unwrap();
        let mut count = 0;
        while endless.next_row().unwrap().is_some() {
            count += 1;
            assert!(endless.text.capacity() < 4 * MAX_ROW_BYTES);
        }
        assert_eq!(count, 1);
    }

    proptest! {
        /// What the usual writer writes is read as it was.
        #[test]
        fn what_is_written_is_read(table in proptest::collection::vec(
            proptest::collection::vec("[a-zА-Я \",;\n\r\t|]{0,12}", 3), 1..8)
        ) {
            let mut writer = csv::WriterBuilder::new().delimiter(b';').quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            writer.write_record(["a", "b", "c"]).unwrap();
            for row in &table {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let read: Vec<Vec<String>> = rows(&text).into_iter().skip(1).map(|row| row.cells).collect();
            let expected: Vec<Vec<String>> =
                table.iter().map(|row| row.iter().map(|cell| cell.trim().to_owned()).collect()).collect();
            prop_assert_eq!(read, expected);
        }

        /// Any bytes are rows, and every one of their lines belongs to one.
        #[test]
        fn nothing_stops_the_reader(text in "[a\",;\n\r]{0,200}") {
            let told = rows(&text);
            for pair in told.windows(2) {
                prop_assert!(pair[0].line < pair[1].line);
            }
        }
    }
}
