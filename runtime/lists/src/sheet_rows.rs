//! Rows of a sheet of an XLSX workbook, a cell at a time.

use std::io::{Read, Seek};

use calamine::{DataRef, ExcelDateTime, Reader, Xlsx, XlsxCellReader, XlsxError};

use crate::{ListError, Row, Rows};

/// The most columns that a sheet has, by its format.
const MAX_COLUMNS: u32 = 16_384;

/// What a workbook keeps in memory may inflate to so many bytes: its texts, each once. A sheet of a million different
/// names has some 40 MB of them.
const MOST_TEXT: u64 = 512 << 20;

/// A workbook that was opened, and the sheet that is read.
pub struct Book<R> {
    book: Xlsx<R>,
    sheet: String,
}

/// The rows of a sheet; those without any cell are passed over.
struct SheetRows<'a, R: Read + Seek> {
    cells: XlsxCellReader<'a, R>,
    /// The first cell of the next row.
    ahead: Option<(u32, u32, String)>,
    /// The reader takes what follows the last cell for damage.
    over: bool,
}

impl<R: Read + Seek> Book<R> {
    /// Opens a workbook and chooses a sheet: by its name, or the first.
    ///
    /// # Errors
    /// [`ListError::NoWorkbook`], [`ListError::TooLarge`], [`ListError::NoSheet`].
    pub fn open(mut inner: R, sheet: Option<&str>) -> Result<Self, ListError> {
        check_size(&mut inner)?;
        let book = Xlsx::new(inner).map_err(no_workbook)?;
        let there = book.sheet_names();
        let chosen = match sheet {
            Some(wanted) => there.iter().find(|name| name.trim() == wanted.trim()),
            None => there.first(),
        };
        let sheet = chosen.cloned().ok_or_else(|| ListError::NoSheet {
            wanted: sheet.unwrap_or_default().to_owned(),
            there: there.clone(),
        })?;
        Ok(Self { book, sheet })
    }

    /// Begins to read the sheet.
    ///
    /// # Errors
    /// [`ListError::NoWorkbook`].
    pub fn rows(&mut self) -> Result<impl Rows, ListError> {
        let cells = self.book.worksheet_cells_reader(&self.sheet).map_err(no_workbook)?;
        Ok(SheetRows { cells, ahead: None, over: false })
    }
}

fn no_workbook(why: XlsxError) -> ListError {
    ListError::NoWorkbook(why.to_string())
}

/// What must be in memory is told by the workbook's own table of contents before any of it is inflated.
fn check_size<R: Read + Seek>(inner: &mut R) -> Result<(), ListError> {
    let broken = |why: zip::result::ZipError| ListError::NoWorkbook(why.to_string());
    let mut archive = zip::ZipArchive::new(&mut *inner).map_err(broken)?;
    let mut bytes = 0;
    for at in 0..archive.len() {
        let part = archive.by_index_raw(at).map_err(broken)?;
        if !part.name().is_ok_and(|name| name.starts_with("xl/worksheets/")) {
            bytes += part.size();
        }
    }
    if bytes > MOST_TEXT { Err(ListError::TooLarge { bytes, most: MOST_TEXT }) } else { Ok(inner.rewind()?) }
}

impl<R: Read + Seek> SheetRows<'_, R> {
    fn next_cell(&mut self) -> Result<Option<(u32, u32, String)>, ListError> {
        if let Some(cell) = self.ahead.take() {
            return Ok(Some(cell));
        }
        if self.over {
            return Ok(None);
        }
        let Some(cell) = self.cells.next_cell().map_err(no_workbook)? else {
            self.over = true;
            return Ok(None);
        };
        let (row, column) = cell.get_position();
        if column >= MAX_COLUMNS {
            return Err(ListError::NoWorkbook(format!(
                "row {} has more than {MAX_COLUMNS} columns",
                row + 1
            )));
        }
        Ok(Some((row, column, text(cell.get_value()))))
    }
}

impl<R: Read + Seek> Rows for SheetRows<'_, R> {
    fn next_row(&mut self) -> Result<Option<Row>, ListError> {
        let mut read: Option<Row> = None;
        while let Some((row, column, text)) = self.next_cell()? {
            let line = u64::from(row) + 1;
            if read.as_ref().is_some_and(|read| read.line != line) {
                self.ahead = Some((row, column, text));
                break;
            }
            let cells = &mut read.get_or_insert_with(|| Row { line, ..Row::default() }).cells;
            let column = column as usize;
            if cells.len() <= column {
                cells.resize(column + 1, String::new());
            }
            cells[column] = text;
        }
        Ok(read)
    }
}

/// A cell as people would type it. Of a formula it is the value that was worked out last.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => decimal(*number),
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Bool(yes) => yes.to_string(),
        DataRef::DateTime(moment) => date(moment),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

/// With the 15 digits that a spreadsheet shows, never as 7.9161234567E10.
fn decimal(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return (number as i64).to_string();
    }
    let shown: f64 = format!("{number:.14e}").parse().unwrap_or(number);
    shown.to_string()
}

/// A date, a time of day or both, as ISO 8601; a span of time as hours, minutes and seconds.
fn date(moment: &ExcelDateTime) -> String {
    let days = moment.as_f64();
    if moment.is_duration() {
        let seconds = (days * 86_400.0).round() as i64;
        let (sign, seconds) = (if seconds < 0 { "-" } else { "" }, seconds.abs());
        return format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    let time = match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    };
    if (0.0..1.0).contains(&days) {
        time
    } else if (hour, minute, second) == (0, 0, 0) {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{time}")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use rust_xlsxwriter::{Format, Formula, Workbook};

    use super::*;

    fn rows(book: Vec<u8>, sheet: Option<&str>) -> Result<Vec<(u64, Vec<String>)>, ListError> {
        let mut book = Book::open(Cursor::new(book), sheet)?;
        let mut rows = book.rows()?;
        let mut all = Vec::new();
        while let Some(row) = rows.next_row()? {
            all.push((row.line, row.cells));
        }
        Ok(all)
    }

    #[test]
    fn cells_are_read_as_people_typed_them() {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        let dated = |format: &str| Format::new().set_num_format(format);
        sheet.write_string(0, 0, " Телефон ").unwrap();
        sheet.write_string(0, 2, "Имя").unwrap();
        // The second row has nothing; the third has numbers of all kinds.
        sheet.write_number(2, 0, 79_161_234_567.0_f64).unwrap();
        sheet.write_number(2, 1, 0.1 + 0.2).unwrap();
        sheet.write_number_with_format(2, 2, 46_083.0, &dated("dd.mm.yyyy")).unwrap();
        sheet.write_number_with_format(2, 3, 46_083.416_666_666_664, &dated("dd.mm.yyyy hh:mm")).unwrap();
        sheet.write_number_with_format(2, 4, 0.75, &dated("hh:mm")).unwrap();
        sheet.write_number_with_format(2, 5, 1.5, &dated("[h]:mm:ss")).unwrap();
        sheet.write_boolean(2, 6, true).unwrap();
        sheet.write_formula(2, 7, Formula::new("=HYPERLINK(\"x\")").set_result("Анна")).unwrap();
        sheet.write_formula(2, 8, Formula::new("=1+1").set_result("2")).unwrap();
        let told = rows(book.save_to_buffer().unwrap(), None).unwrap();
        let cell = |text: &str| text.to_owned();
        assert_eq!(told[0], (1, ["Телефон", "", "Имя"].map(cell).into()));
        let expected = [
            "79161234567",
            "0.3",
            "2026-03-02",
            "2026-03-02T10:00",
            "18:00",
            "36:00:00",
            "true",
            "Анна",
            "2",
        ];
        assert_eq!(told[1], (3, expected.map(cell).into()));
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn the_sheet_is_chosen_by_its_name() {
        let mut book = Workbook::new();
        book.add_worksheet().set_name("Один").unwrap().write_string(0, 0, "a").unwrap();
        book.add_worksheet().set_name("Два").unwrap().write_string(0, 0, "b").unwrap();
        let book = book.save_to_buffer().unwrap();
        assert_eq!(rows(book.clone(), None).unwrap()[0].1, ["a"]);
        assert_eq!(rows(book.clone(), Some("Два")).unwrap()[0].1, ["b"]);
        let why = rows(book, Some("Три")).unwrap_err().to_string();
        assert_eq!(why, "the workbook has no sheet `Три`; it has: Один, Два");
    }

    #[test]
    fn what_is_no_workbook_is_told() {
        for bytes in [&b""[..], b"lead,phone\n", b"PK\x03\x04 nothing more"] {
            let why = rows(bytes.to_vec(), None).unwrap_err();
            assert!(matches!(why, ListError::NoWorkbook(_)), "{why}");
        }
        let mut cut = Workbook::new();
        cut.add_worksheet().write_string(0, 0, "a").unwrap();
        let whole = cut.save_to_buffer().unwrap();
        for length in (0..whole.len()).step_by(97) {
            assert!(rows(whole[..length].to_vec(), None).is_err(), "{length} bytes of {}", whole.len());
        }
    }
}
