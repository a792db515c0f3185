//! `zvonar export`: the leads of a project as a table.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use zvonar_api::{LeadInfo, LeadList};
use zvonar_lists::{Cell, Format, TableWriter};

use super::{Failure, say};
use crate::client::encoded;
use crate::desk::{self, Desk, Where};

/// What `zvonar export` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The project.
    #[arg(long, value_name = "ID")]
    project: String,
    /// Only leads in this status: new, again, reached, unreached, or as in reports («не дозвонились»).
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only leads with this tag.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only leads whose last call came to this.
    #[arg(long, value_name = "RESULT")]
    result: Option<String>,
    /// The table: .xlsx is a workbook, anything else CSV. What begins as a formula does is written so that no spreadsheet
    /// executes it: with an apostrophe in CSV, as a quoted text in a workbook. Numbers (+79161234567) stay as they are.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// How many leads are asked for at once.
const PAGE: usize = 2_000;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let desk = Desk::open(&arguments.at)?;
    // Which columns there are is known once all leads were seen; keeping them meanwhile would fill the memory.
    let (mut fields, mut numbers) = (BTreeSet::new(), 1);
    each(arguments, &desk, |lead| {
        numbers = numbers.max(lead.numbers.len());
        lead.fields.keys().for_each(|name| {
            if !fields.contains(name) {
                fields.insert(name.clone());
            }
        });
        Ok(())
    })?;
    let mut header: Vec<String> = vec!["ID".into(), "Телефон".into()];
    header.extend((2..=numbers).map(|place| format!("Телефон {place}")));
    header.extend(["Теги", "Статус", "Звонков"].map(String::from));
    header.extend(fields.iter().cloned());
    header.push("Заметки".into());
    let leads = write_table(&arguments.to, &header, |writer| {
        let mut leads = 0_u64;
        each(arguments, &desk, |lead| {
            leads += 1;
            Ok(writer.row(&row(&lead, numbers, &fields))?)
        })?;
        Ok(leads)
    })?;
    if arguments.json {
        return say(json!({ "project": arguments.project, "leads": leads, "file": arguments.to }));
    }
    say(format_args!("{}: {leads} leads are in {}", arguments.project, arguments.to.display()))
}

/// Writes a table as a whole, or not at all: a failure leaves what was there before.
pub(crate) fn write_table<T>(
    path: &Path,
    header: &[String],
    rows: impl FnOnce(&mut TableWriter<BufWriter<tempfile::NamedTempFile>>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let unwritable =
        |why: &dyn std::fmt::Display| Failure::from(format!("{} cannot be written: {why}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(|why| unwritable(&why))?;
    let format = Format::of_name(&path.to_string_lossy());
    let mut writer = TableWriter::new(BufWriter::new(file), format, header)?;
    let told = rows(&mut writer)?;
    let mut file = writer.finish()?.into_inner().map_err(|why| why.into_error())?;
    file.flush()?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|why| unwritable(&why.error))?;
    Ok(told)
}

/// Shows every lead that is wanted, a page in memory at a time.
fn each(
    arguments: &Arguments,
    desk: &Desk,
    mut show: impl FnMut(LeadInfo) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut wanted = format!("{}/leads?limit={PAGE}", desk::project(&arguments.project));
    for (name, value) in
        [("status", &arguments.status), ("tag", &arguments.tag), ("result", &arguments.result)]
    {
        if let Some(value) = value {
            wanted += &format!("&{name}={}", encoded(value));
        }
    }
    let mut after = String::new();
    loop {
        let page: LeadList = desk.get(&format!("{wanted}{after}"))?;
        page.leads.into_iter().try_for_each(&mut show)?;
        let Some(next) = page.next else { return Ok(()) };
        after = format!("&after={}", encoded(&next));
    }
}

fn row(lead: &LeadInfo, numbers: usize, fields: &BTreeSet<String>) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(numbers + fields.len() + 5);
    cells.push(Cell::from(lead.id.as_str()));
    cells.extend(
        (0..numbers).map(|place| lead.numbers.get(place).map_or(Cell::Empty, |one| one.as_str().into())),
    );
    cells.push(lead.tags.join(", ").into());
    cells.push(lead.status.as_str().into());
    cells.push(u64::from(lead.calls).into());
    cells.extend(
        fields.iter().map(|name| lead.fields.get(name).map_or(Cell::Empty, |one| one.as_str().into())),
    );
    cells.push(lead.notes.join("\n").into());
    cells
}
