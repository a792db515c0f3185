//! What both formats are read as: rows of texts with their lines.

use crate::Refusal;

/// The longest row of a CSV file, in bytes. More than a lead may weigh, so nothing that could be used is lost.
pub const MAX_ROW_BYTES: usize = 256 << 10;

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Its line, from 1; of a row over several lines, the first.
    pub line: u64,
    /// Its cells without the spaces around them.
    pub cells: Vec<String>,
    /// Why it is no row, if it is none. Its text is its only cell then.
    pub fault: Option<Refusal>,
}

impl Row {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.fault.is_none() && self.cells.iter().all(String::is_empty)
    }
}

/// Somebody who gives one row after the other.
pub trait Rows {
    /// The next row; `None`: that was the last.
    ///
    /// # Errors
    /// When the file itself cannot be read on. A row that is at fault is no error.
    fn next_row(&mut self) -> Result<Option<Row>, ListError>;
}

/// Why a list cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The bytes do not come.
    #[error("the list cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is no workbook, or a damaged one.
    #[error("the list is no XLSX workbook that can be read ({0}); save it anew, or save it as CSV")]
    NoWorkbook(String),
    /// It would fill the memory.
    #[error(
        "the workbook would inflate to {} MiB, and {} are read at most; save the sheet as CSV, which may be of any length",
        .bytes >> 20,
        .most >> 20
    )]
    TooLarge {
        /// What its parts come to.
        bytes: u64,
        /// What they may come to.
        most: u64,
    },
    /// The workbook has no such sheet.
    #[error("the workbook has no sheet `{wanted}`; it has: {}", .there.join(", "))]
    NoSheet {
        /// As it was asked for.
        wanted: String,
        /// What it has.
        there: Vec<String>,
    },
    /// There is not one row.
    #[error("the list is empty")]
    Empty,
    /// No column holds numbers.
    #[error(
        "no column of the list is called `phone` («телефон», «номер»); it has: {}. Say which it is with --map phone=NAME{}",
        .there.join(", "),
        if *.looks_like_data { ", or, as its first line looks like a contact already, with --no-header --map phone=NUMBER" } else { "" }
    )]
    NoPhone {
        /// The names that were found.
        there: Vec<String>,
        /// Whether the first line holds something like a number.
        looks_like_data: bool,
    },
    /// The mapping names a column that is not there.
    #[error("the list has no column `{wanted}`, which --map names; it has: {}", .there.join(", "))]
    NoColumn {
        /// As the mapping names it.
        wanted: String,
        /// The names that were found.
        there: Vec<String>,
    },
    /// Two columns for what there is one of.
    #[error("both `{one}` and `{other}` would be the {role} of a contact; take one out with --map -={other}")]
    Twice {
        /// What they would be.
        role: &'static str,
        /// The first of them.
        one: String,
        /// The second.
        other: String,
    },
    /// The mapping cannot be read.
    #[error("--map: {0}")]
    Mapping(String),
}

impl<R: Rows + ?Sized> Rows for &mut R {
    fn next_row(&mut self) -> Result<Option<Row>, ListError> {
        (**self).next_row()
    }
}
