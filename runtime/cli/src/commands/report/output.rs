//! Where the rows of a report go: the terminal, JSON, or a file.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;
use zvonar_dialer::report::sheet::{Cell, Numbers};
use zvonar_lists::{Format, TableWriter};

use crate::commands::{Failure, say};

/// Where rows go.
pub(super) enum Output {
    /// A table, shown when it is complete.
    Screen(Table),
    /// A line each.
    Json,
    /// CSV or a workbook.
    File { writer: Box<TableWriter<BufWriter<File>>>, path: PathBuf, rows: u64 },
}

/// Where somebody wants a report.
#[derive(Debug, clap::Args)]
pub(super) struct To {
    /// Write CSV for spreadsheets: UTF-8, semicolons. Numbers are not masked in files.
    #[arg(long, value_name = "FILE", conflicts_with = "xlsx")]
    csv: Option<PathBuf>,
    /// Write a workbook.
    #[arg(long, value_name = "FILE")]
    xlsx: Option<PathBuf>,
}

impl To {
    fn file(&self) -> Option<(&Path, Format)> {
        let csv = self.csv.as_deref().map(|path| (path, Format::Csv { separator: b';' }));
        csv.or(self.xlsx.as_deref().map(|path| (path, Format::Xlsx)))
    }

    /// Whether all rows are wanted, not only as many as fit on a screen.
    pub(super) fn is_file(&self) -> bool {
        self.file().is_some()
    }
}

impl Output {
    pub(super) fn begin(to: &To, json: bool, header: &[String]) -> Result<Self, Failure> {
        if let Some((path, format)) = to.file() {
            let made =
                File::create(path).and_then(|file| TableWriter::new(BufWriter::new(file), format, header));
            let writer = made.map_err(|why| cannot(path, &why))?;
            return Ok(Self::File { writer: Box::new(writer), path: path.into(), rows: 0 });
        }
        if json {
            return Ok(Self::Json);
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(header);
        Ok(Self::Screen(table))
    }

    /// How numbers are shown there.
    pub(super) fn numbers(&self) -> Numbers {
        match self {
            Self::File { .. } => Numbers::Whole,
            Self::Screen(_) | Self::Json => Numbers::Masked,
        }
    }

    /// A row, and the same for programs.
    pub(super) fn row(&mut self, cells: Vec<Cell>, json: impl FnOnce() -> Value) -> Result<(), Failure> {
        match self {
            Self::Json => say(json()),
            Self::File { writer, path, rows } => {
                *rows += 1;
                let cells: Vec<_> = cells.into_iter().map(written).collect();
                writer.row(&cells).map_err(|why| cannot(path, &why))
            }
            Self::Screen(table) => {
                table.add_row(cells.into_iter().map(|cell| {
                    let number = matches!(cell, Cell::Whole(_) | Cell::Decimal(_));
                    let shown = comfy_table::Cell::new(match cell {
                        Cell::Empty => String::new(),
                        Cell::Text(text) => text,
                        Cell::Whole(number) => number.to_string(),
                        Cell::Decimal(number) => number.to_string(),
                    });
                    if number { shown.set_alignment(CellAlignment::Right) } else { shown }
                }));
                Ok(())
            }
        }
    }

    /// The end. `more`: there are rows that were not asked for.
    pub(super) fn finish(self, more: bool) -> Result<(), Failure> {
        match self {
            Self::Json => Ok(()),
            Self::Screen(table) => {
                say(table)?;
                if more {
                    say("… and more: --limit 0 shows all, --csv and --xlsx write them")
                } else {
                    Ok(())
                }
            }
            Self::File { writer, path, rows } => {
                let inner = writer.finish().map_err(|why| cannot(&path, &why))?;
                inner.into_inner().map_err(|why| cannot(&path, why.error()))?;
                say(format!("{}: {rows} rows", path.display()))
            }
        }
    }
}

fn cannot(path: &Path, why: &std::io::Error) -> Failure {
    format!("{} cannot be written: {why}", path.display()).into()
}

fn written(cell: Cell) -> zvonar_lists::Cell {
    match cell {
        Cell::Empty => zvonar_lists::Cell::Empty,
        Cell::Text(text) => zvonar_lists::Cell::Text(text),
        Cell::Whole(number) => zvonar_lists::Cell::Whole(number),
        Cell::Decimal(number) => zvonar_lists::Cell::Decimal(number),
    }
}
