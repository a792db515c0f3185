//! Tables out: CSV or XLSX, a row in memory.
//!
//! # No cell is a program
//!
//! Spreadsheets take a text for a formula that begins with `=`, `+`, `-`, `@`, a tab or a carriage return, and a formula
//! may fetch and send things. What is written here came from lists of customers and from calls, so:
//!
//! * In CSV such a text gets an apostrophe in front, which spreadsheets show and programs can take off; reading a list
//!   takes it off again. A plain number stays as it is (`+79161234567`, `-5`, `+3.14`): a sign before digits computes
//!   nothing, and phone numbers stay of use to other programs.
//! * In XLSX every text is stored as a text, never as a formula, and such a one is marked as quoted, so that editing the
//!   cell does not make a formula of it either.

use std::io::{self, Write};

use rust_xlsxwriter::{Format as Look, Workbook, Worksheet, XlsxError};

/// The most rows of a sheet, the header among them. More go on the next one.
const SHEET_ROWS: u32 = 1_048_576;
/// The longest text of a cell in a workbook, in UTF-16 units.
const CELL_UNITS: usize = 32_767;

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// UTF-8 with a mark, by which spreadsheets know it.
    Csv {
        /// What parts the cells: `;` is what spreadsheets in Russia expect.
        separator: u8,
    },
    /// A workbook.
    Xlsx,
}

impl Format {
    /// By the end of a file's name: `.xlsx`, or anything else for CSV.
    pub fn of_name(name: &str) -> Self {
        let xlsx = name.len() >= 5 && name.as_bytes()[name.len() - 5..].eq_ignore_ascii_case(b".xlsx");
        if xlsx { Self::Xlsx } else { Self::Csv { separator: b';' } }
    }
}

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A text.
    Text(String),
    /// A whole number, which can be summed up.
    Whole(i64),
    /// Another number.
    Decimal(f64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text.to_owned()) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Decimal(number as f64), Self::Whole)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

/// Writes a table, a row after the other.
pub struct TableWriter<W: Write + Send> {
    kind: Kind<W>,
}

enum Kind<W: Write + Send> {
    Csv(Box<csv::Writer<W>>),
    Xlsx(Box<Sheets<W>>),
}

struct Sheets<W> {
    book: Workbook,
    /// How many sheets there are.
    sheets: usize,
    /// The next row of the last sheet.
    row: u32,
    header: Vec<String>,
    bold: Look,
    quoted: Look,
    out: W,
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins a table with its header.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut out: W, format: Format, header: &[String]) -> io::Result<Self> {
        let kind = match format {
            Format::Csv { separator } => {
                out.write_all("\u{feff}".as_bytes())?;
                let mut writer =
                    csv::WriterBuilder::new().delimiter(separator).flexible(true).from_writer(out);
                writer.write_record(header.iter().map(|name| safe(name).into_owned()))?;
                Kind::Csv(Box::new(writer))
            }
            Format::Xlsx => {
                let mut sheets = Sheets {
                    book: Workbook::new(),
                    sheets: 0,
                    row: 0,
                    header: header.to_vec(),
                    bold: Look::new().set_bold(),
                    quoted: Look::new().set_quote_prefix(),
                    out,
                };
                sheets.begin().map_err(io::Error::other)?;
                Kind::Xlsx(Box::new(sheets))
            }
        };
        Ok(Self { kind })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        match &mut self.kind {
            Kind::Csv(writer) => {
                for cell in cells {
                    match cell {
                        Cell::Empty => writer.write_field("")?,
                        Cell::Text(text) => writer.write_field(&*safe(text))?,
                        Cell::Whole(number) => writer.write_field(number.to_string())?,
                        Cell::Decimal(number) => writer.write_field(number.to_string())?,
                    }
                }
                Ok(writer.write_record(None::<&[u8]>)?)
            }
            Kind::Xlsx(sheets) => sheets.row(cells).map_err(io::Error::other),
        }
    }

    /// Writes the rest, and gives back what was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<W> {
        match self.kind {
            Kind::Csv(writer) => writer.into_inner().map_err(|why| io::Error::other(why.to_string())),
            Kind::Xlsx(mut sheets) => {
                sheets.book.save_to_writer(&mut sheets.out).map_err(io::Error::other)?;
                sheets.out.flush()?;
                Ok(sheets.out)
            }
        }
    }
}

impl<W> Sheets<W> {
    /// Begins the next sheet.
    fn begin(&mut self) -> Result<(), XlsxError> {
        self.sheets += 1;
        let sheet = self.book.add_worksheet_with_constant_memory()?;
        sheet.set_name(format!("Лист{}", self.sheets))?;
        sheet.set_freeze_panes(1, 0)?;
        for (column, name) in (0..).zip(&self.header) {
            let width = name.chars().count().clamp(12, 40) as f64 + 2.0;
            sheet.set_column_width(column, width)?;
            sheet.write_string_with_format(0, column, cut(name), &self.bold)?;
        }
        self.row = 1;
        Ok(())
    }

    fn row(&mut self, cells: &[Cell]) -> Result<(), XlsxError> {
        if self.row == SHEET_ROWS {
            self.begin()?;
        }
        let sheet: &mut Worksheet = self.book.worksheet_from_index(self.sheets - 1)?;
        for (column, cell) in (0..).zip(cells) {
            match cell {
                Cell::Empty => {}
                Cell::Text(text) if is_formula(text) => {
                    sheet.write_string_with_format(self.row, column, cut(text), &self.quoted)?;
                }
                Cell::Text(text) => drop(sheet.write_string(self.row, column, cut(text))?),
                Cell::Whole(number) if number.unsigned_abs() >= 1 << 53 => {
                    sheet.write_string(self.row, column, number.to_string())?;
                }
                Cell::Whole(number) => drop(sheet.write_number(self.row, column, *number as f64)?),
                Cell::Decimal(number) => drop(sheet.write_number(self.row, column, *number)?),
            }
        }
        self.row += 1;
        Ok(())
    }
}

/// As much of a text as a workbook takes into one cell.
fn cut(text: &str) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > CELL_UNITS
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// Whether a spreadsheet would take the text for a formula. Spaces in front keep some of them from it and others not.
fn is_formula(text: &str) -> bool {
    let begins = text.starts_with(['\t', '\r', '\n']) || begins_as_formula(text.trim_start());
    begins && !is_number(text)
}

fn begins_as_formula(text: &str) -> bool {
    // The wide forms are the same to some versions.
    text.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}

/// A sign and digits, with at most one point or comma in between: nothing that computes.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once(['.', ',']).unwrap_or((unsigned, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction)
}

/// A text that no spreadsheet executes.
fn safe(text: &str) -> std::borrow::Cow<'_, str> {
    if is_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// A text without the apostrophe that [`safe`] and spreadsheets put in front.
pub(crate) fn bare(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['\t', '\r', '\n']) || begins_as_formula(rest.trim_start()) => {
            rest.trim()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;
    use crate::{Book, CsvRows, Decoded, Rows};

    /// What spreadsheets were made to do by exported lists.
    const ATTACKS: [&str; 12] = [
        "=HYPERLINK(\"http://evil\",\"x\")",
        "=cmd|' /C calc'!A0",
        "+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(1+1)*cmd|' /C calc'!A0",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "  =1+1",
        "\u{ff1d}1+1",
        "+7 (916) 123-45-67",
        "-",
    ];
    const HARMLESS: [&str; 9] =
        ["+79161234567", "-5", "+3.14", "-0,5", "Анна", "a=b", "О'Генри", "'", "79161234567"];

    fn header() -> Vec<String> {
        ["Контакт", "=Имя"].map(String::from).into()
    }

    fn written(format: Format, rows: &[Vec<Cell>]) -> Vec<u8> {
        let mut writer = TableWriter::new(Vec::new(), format, &header()).unwrap();
        for row in rows {
            writer.row(row).unwrap();
        }
        writer.finish().unwrap()
    }

    fn all(mut rows: impl Rows) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        while let Some(row) = rows.next_row().unwrap() {
            all.push(row.cells);
        }
        all
    }

    #[test]
    fn no_cell_of_a_csv_file_is_executed_by_a_spreadsheet() {
        let rows: Vec<_> = ATTACKS.iter().chain(&HARMLESS).map(|text| vec![Cell::from(*text)]).collect();
        let bytes = written(Format::Csv { separator: b';' }, &rows);
        assert!(bytes.starts_with("\u{feff}Контакт;'=Имя\n".as_bytes()), "the mark and the header");
        let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).from_reader(&bytes[3..]);
        let cells: Vec<String> = reader.records().map(|row| row.unwrap()[0].to_owned()).collect();
        let (attacks, harmless) = cells.split_at(ATTACKS.len());
        for (cell, attack) in attacks.iter().zip(ATTACKS) {
            assert_eq!(*cell, format!("'{attack}"));
            assert_eq!(bare(cell), attack.trim(), "it is read as it was");
        }
        assert_eq!(harmless, HARMLESS);
        for text in HARMLESS {
            assert_eq!(bare(text), text);
        }
    }

    #[test]
    fn no_cell_of_a_workbook_is_a_formula() {
        let rows: Vec<_> = ATTACKS.iter().chain(&HARMLESS).map(|text| vec![Cell::from(*text)]).collect();
        let bytes = written(Format::Xlsx, &rows);
        let mut book = Book::open(Cursor::new(bytes.clone()), None).unwrap();
        let cells = all(book.rows().unwrap());
        assert_eq!(cells[0], ["Контакт", "=Имя"]);
        for (row, text) in cells[1..].iter().zip(ATTACKS.iter().chain(&HARMLESS)) {
            assert_eq!(row[0], text.trim());
        }
        let sheet = part(bytes, "xl/worksheets/sheet1.xml");
        assert!(sheet.contains("cmd|") && !sheet.contains("<f>") && !sheet.contains("<f "), "{sheet}");
    }

    fn part(book: Vec<u8>, name: &str) -> String {
        let mut archive = zip::ZipArchive::new(Cursor::new(book)).unwrap();
        let mut text = String::new();
        archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn numbers_stay_numbers_and_texts_that_look_like_them_stay_texts() {
        let row = vec![
            Cell::Whole(-1234),
            Cell::Decimal(0.5),
            Cell::Text("007".into()),
            Cell::Empty,
            Cell::Whole(i64::MAX),
            Cell::Text("x\u{1}\u{0}y".into()),
        ];
        let csv =
            String::from_utf8(written(Format::Csv { separator: b',' }, std::slice::from_ref(&row))).unwrap();
        assert!(csv.ends_with("\n-1234,0.5,007,,9223372036854775807,x\u{1}\u{0}y\n"), "{csv}");
        let mut book = Book::open(Cursor::new(written(Format::Xlsx, &[row])), None).unwrap();
        let cells = all(book.rows().unwrap());
        assert_eq!(cells[1][..5], ["-1234", "0.5", "007", "", "9223372036854775807"]);
        assert!(cells[1][5].starts_with('x') && cells[1][5].ends_with('y'), "{:?}", cells[1][5]);
    }

    #[test]
    fn a_text_that_no_cell_has_room_for_is_cut_at_a_character() {
        let long = "😀".repeat(20_000);
        assert_eq!(cut(&long).chars().count(), 16_383);
        assert_eq!(cut("Анна"), "Анна");
        written(Format::Xlsx, &[vec![Cell::Text(long)]]);
    }

    #[test]
    fn what_was_written_is_read_as_a_list() {
        let rows =
            vec![vec![Cell::from("anna"), Cell::from("a;\"b\"\nc")], vec![Cell::Empty, Cell::Whole(5)]];
        let csv = written(Format::Csv { separator: b';' }, &rows);
        let read = all(CsvRows::new(Decoded::new(&csv[..])).unwrap());
        assert_eq!(read, [vec!["Контакт", "'=Имя"], vec!["anna", "a;\"b\"\nc"], vec!["", "5"]]);
    }
}
