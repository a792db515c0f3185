//! Contact lists in, tables out: CSV and XLSX.
//!
//! ```text
//! bytes ─▶ Rows (CsvRows, SheetRows) ─▶ Contacts: header, numbers, zone, tags ─▶ Contact, or Refusal
//! Cell ─▶ TableWriter ─▶ CSV or XLSX
//! ```
//!
//! Lists come from spreadsheets and from people who put them together by hand, so nearly everything is found out: the
//! separator, the encoding (of every line by itself), the names of the columns. What cannot be understood is refused with
//! a reason, a row at a time, and goes back in a table of the same format.
//!
//! # What always holds
//!
//! * A CSV file is read in bounded memory, whatever is in it: a row that is longer than [`MAX_ROW_BYTES`] is refused, and
//!   reading goes on with the line after its first. Of a workbook the texts are in memory (that is where the format keeps
//!   them), the cells are not.
//! * Nothing is executed: of a formula in a workbook the value is read that was worked out when it was saved, and what is
//!   written never begins as a formula does. See [`TableWriter`].
//! * No number is cut, completed or guessed: it is taken as it is written, or refused.
//!
//! Deliberately absent: files and their paths, the numbering plan, and what is in the project already but for the numbers
//! that [`Known`] is told.

mod contacts;
mod csv_rows;
mod decoded;
mod header;
mod id;
mod known;
mod numbers;
mod refusal;
mod rows;
mod sheet_rows;
mod table;
mod zone;

pub use contacts::{Contact, Contacts, Counts, Entry, Limits};
pub use csv_rows::CsvRows;
pub use decoded::Decoded;
pub use header::{Column, Mapping, Role};
pub use id::lead_id;
pub use known::{Known, Verdict};
pub use numbers::{Found, numbers};
pub use refusal::Refusal;
pub use rows::{ListError, MAX_ROW_BYTES, Row, Rows};
pub use sheet_rows::Book;
pub use table::{Cell, Format, TableWriter};
pub use zone::zone;
