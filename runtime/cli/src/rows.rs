//! Small tables that commands take: CSV files with a header, as spreadsheets save them.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use zvonar_model::UnixMillis;

use crate::commands::Failure;

/// A file in memory.
pub(crate) struct Rows {
    path: PathBuf,
    header: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One of its rows.
pub(crate) struct Row {
    /// Its line, from 1.
    pub(crate) line: u64,
    cells: csv::StringRecord,
}

impl Rows {
    /// Reads a file: UTF-8 or windows-1251, `,` `;` or tabs between the columns.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))?;
        let text = text(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let first = text.lines().next().unwrap_or_default();
        let count = |separator: &char| first.matches(*separator).count();
        let separator = [',', ';', '\t'].into_iter().max_by_key(count).unwrap_or(',');
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .flexible(true)
            .delimiter(separator as u8)
            .from_reader(text.as_bytes());
        let failed = |why: csv::Error| format!("{}: {why}", path.display());
        let header = reader.headers().map_err(failed)?.iter().map(str::to_lowercase).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let cells = record.map_err(failed)?;
            if cells.iter().any(|cell| !cell.is_empty()) {
                rows.push(Row { line: cells.position().map_or(0, csv::Position::line), cells });
            }
        }
        Ok(Self { path: path.into(), header, rows })
    }

    /// The place of a column by any of its names.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        self.header.iter().position(|name| names.contains(&name.as_str()))
    }

    /// The same of a column that must be there.
    pub(crate) fn needed(&self, names: &[&str]) -> Result<usize, Failure> {
        self.column(names).ok_or_else(|| {
            format!("{} has no column `{}` in its first line", self.path.display(), names[0]).into()
        })
    }
}

impl Row {
    /// What stands in a column; empty, where the row ends before it.
    pub(crate) fn get(&self, column: usize) -> &str {
        self.cells.get(column).unwrap_or_default()
    }
}

/// The text of a file in UTF-8 or windows-1251.
pub(crate) fn text(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(other) => encoding_rs::WINDOWS_1251.decode(other.as_bytes()).0.into_owned(),
    }
}

/// A moment that the interface told, as tables show it: Moscow time, like the reports.
pub(crate) fn told(rfc3339: &str) -> String {
    let zone = TimeZone::get("Europe/Moscow").unwrap_or(TimeZone::UTC);
    match rfc3339.parse::<Timestamp>() {
        Ok(moment) => moment.to_zoned(zone).strftime("%d.%m.%Y %H:%M:%S").to_string(),
        Err(_) => rfc3339.to_owned(),
    }
}

/// «1 part», «2 parts».
pub(crate) fn count(many: impl Into<u64>, what: &str) -> String {
    let many = many.into();
    format!("{many} {what}{}", if many == 1 { "" } else { "s" })
}

/// A moment as it is exported, in Greenwich.
pub(crate) fn moment(moment: UnixMillis) -> String {
    let moment = Timestamp::from_millisecond(moment.0).unwrap_or(Timestamp::UNIX_EPOCH);
    moment.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
