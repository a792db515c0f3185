//! `zvonar import`: a contact list into a project.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use zvonar_api::{AddLeads, AddedLeads, LeadList, LeadToAdd, ProjectInfo};
use zvonar_lists::{
    Cell, Contact, Contacts, Entry, Format, Known, ListError, Mapping, Row, Rows, TableWriter, Verdict,
};

use super::{Failure, say};
use crate::client::encoded;
use crate::desk::{self, Desk, Where};
use crate::leads::{HowToRead, LIMITS, with_rows};

/// What `zvonar import` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The list: CSV in any encoding and with any separator, or an XLSX workbook.
    file: PathBuf,
    /// The project.
    #[arg(long, value_name = "ID")]
    project: String,
    /// What a column is: phone=COLUMN, lead=COLUMN, tags=, tz=, region=, FIELD=COLUMN, or -=COLUMN for one to leave out.
    /// A column is its name, or #2 for the second. May be given several times.
    #[arg(long, value_name = "ROLE=COLUMN")]
    map: Vec<String>,
    /// The first row is a contact already; columns are 1, 2, 3 …
    #[arg(long)]
    no_header: bool,
    #[command(flatten)]
    how: HowToRead,
    /// A tag for all contacts of the list. May be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What becomes of contacts whose id or number is in the project, or in the list, already: `skip` leaves them as they
    /// are, `merge` adds what is new to them.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Duplicates::Skip)]
    duplicates: Duplicates,
    /// Where the refused rows go, each with its reason; absent: beside the list, as LIST.refused.csv or .xlsx.
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// Only tell what would become of them.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Duplicates {
    Skip,
    Merge,
}

/// How many contacts are sent at once.
const BATCH: usize = 2_000;
/// How many known leads are asked for at once.
const PAGE: usize = 5_000;

/// Contacts on their way, with their rows: they may come back.
type Batch = Vec<(Contact, Row)>;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut mapping = Mapping::new(arguments.no_header);
    arguments.map.iter().try_for_each(|entry| mapping.add(entry))?;
    if !arguments.file.is_file() {
        return Err(format!("{}: there is no such list", arguments.file.display()).into());
    }
    let same = |path: &Path| path.canonicalize().ok() == arguments.file.canonicalize().ok();
    if arguments.refused.as_deref().is_some_and(same) {
        return Err("--refused: the list itself would be overwritten; name another file".into());
    }
    let desk = Desk::open(&arguments.at)?;
    let path = desk::project(&arguments.project);
    let _: ProjectInfo = desk.get(&path)?;
    let bytes = Arc::new(AtomicU64::new(0));
    let bar = bar(&arguments.file);
    let mut known = known(&desk, &path, arguments.duplicates == Duplicates::Merge, &bar)?;
    let told = with_rows(&arguments.file, &arguments.how, &bytes, |rows, format| {
        let refused = RefusedRows::new(refused_path(arguments, format), format);
        import(arguments, &desk, rows, &mapping, &mut known, refused, (&bar, &bytes))
    });
    bar.finish_and_clear();
    let told = told.map_err(|why| match why.downcast::<ListError>() {
        Ok(why) => format!("{}: {why}", arguments.file.display()).into(),
        Err(other) => other,
    })?;
    told.say(arguments)
}

/// The numbers that are in the project.
fn known(desk: &Desk, path: &str, merge: bool, bar: &ProgressBar) -> Result<Known, Failure> {
    let mut known = Known::new(merge);
    let mut after = String::new();
    loop {
        let page: LeadList = desk.get(&format!("{path}/leads?brief=true&limit={PAGE}{after}"))?;
        for lead in &page.leads {
            lead.numbers.iter().for_each(|number| known.tell(number, &lead.id));
        }
        bar.set_message(format!("{} numbers are in the project", known.len()));
        let Some(next) = page.next else { return Ok(known) };
        after = format!("&after={}", encoded(&next));
    }
}

/// What came of an import.
#[derive(Default)]
struct Told {
    rows: u64,
    empty: u64,
    headers: u64,
    added: AddedLeads,
    refused: u64,
    left_out: u64,
    by_reason: BTreeMap<String, u64>,
    refused_file: Option<PathBuf>,
    warnings: Vec<String>,
}

/// Reads on this thread, and sends on another: neither waits for the other but when it is far ahead.
fn import(
    arguments: &Arguments,
    desk: &Desk,
    rows: &mut dyn Rows,
    mapping: &Mapping,
    known: &mut Known,
    refused: RefusedRows,
    (bar, bytes): (&ProgressBar, &AtomicU64),
) -> Result<Told, Failure> {
    let mut contacts = Contacts::new(rows, mapping, LIMITS)?;
    let refused = Mutex::new(refused.with_header(contacts.header()));
    let (batches, inbox) = sync_channel::<Batch>(1);
    let (read, sent) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(arguments, desk, inbox, &refused, bar));
        let read = read(&mut contacts, known, &batches, &refused, (bar, bytes));
        drop(batches);
        (read, sender.join().unwrap_or_else(|bug| std::panic::resume_unwind(bug)))
    });
    // What stopped the sender is the cause of what stopped the reader.
    let added = sent?;
    read?;
    let counts = contacts.counts();
    let refused = refused.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (left_out, by_reason) = (refused.left_out, refused.by_reason.clone());
    let (rejected, refused_file) = (refused.refused, refused.finish()?);
    Ok(Told {
        rows: counts.rows,
        empty: counts.empty,
        headers: counts.headers,
        added,
        refused: rejected,
        left_out,
        by_reason,
        refused_file,
        warnings: contacts.warnings().to_vec(),
    })
}

fn read<R: Rows>(
    contacts: &mut Contacts<R>,
    known: &mut Known,
    batches: &SyncSender<Batch>,
    refused: &Mutex<RefusedRows>,
    (bar, bytes): (&ProgressBar, &AtomicU64),
) -> Result<(), Failure> {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(entry) = contacts.next_entry()? {
        match entry {
            Entry::Refused(why, row) => locked(refused).refuse(&row, why.title(), &why.to_string())?,
            Entry::Contact(mut contact, row) => match known.judge(&mut contact, row.line) {
                Verdict::Refused(why) => locked(refused).refuse(&row, why.title(), &why.to_string())?,
                Verdict::Add => {
                    for why in &contact.left_out {
                        locked(refused).leave_out(&row, why.title(), &why.to_string())?;
                    }
                    batch.push((contact, row));
                }
            },
        }
        if batch.len() == BATCH {
            bar.set_position(bytes.load(Ordering::Relaxed));
            if batches.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err() {
                return Ok(());
            }
        }
    }
    // A sender that has gone says why itself.
    let _ = batches.send(batch);
    Ok(())
}

fn send(
    arguments: &Arguments,
    desk: &Desk,
    inbox: Receiver<Batch>,
    refused: &Mutex<RefusedRows>,
    bar: &ProgressBar,
) -> Result<AddedLeads, Failure> {
    let path = format!("{}/leads", desk::project(&arguments.project));
    let if_known = Some(if arguments.duplicates == Duplicates::Merge { "merge" } else { "skip" }.to_owned());
    let mut all = AddedLeads::default();
    for batch in inbox {
        let to_add = |contact: &Contact| LeadToAdd {
            id: Some(contact.lead.to_string()),
            numbers: contact.numbers.iter().map(|number| number.reveal().to_owned()).collect(),
            fields: contact.fields.clone(),
            tags: contact.tags.iter().chain(&arguments.tags).cloned().collect(),
        };
        let leads = batch.iter().map(|(contact, _)| to_add(contact)).collect();
        let body = AddLeads { if_known: if_known.clone(), dry_run: arguments.dry_run, leads };
        let done: AddedLeads = desk.post(&path, &body)?;
        all.added += done.added;
        all.merged += done.merged;
        all.known += done.known;
        for one in &done.refused {
            locked(refused).refuse(&batch[one.place].1, &one.reason, &one.reason)?;
        }
        for one in &done.left_out {
            locked(refused).leave_out(&batch[one.place].1, &one.reason, &one.reason)?;
        }
        bar.set_message(format!("{} contacts", all.added + all.merged + all.known));
    }
    Ok(all)
}

fn locked(refused: &Mutex<RefusedRows>) -> std::sync::MutexGuard<'_, RefusedRows> {
    refused.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rows that were not taken, or not whole. The file is made with the first of them.
struct RefusedRows {
    path: PathBuf,
    format: Format,
    header: Vec<String>,
    writer: Option<TableWriter<BufWriter<File>>>,
    refused: u64,
    left_out: u64,
    by_reason: BTreeMap<String, u64>,
}

impl RefusedRows {
    fn new(path: PathBuf, format: Format) -> Self {
        Self {
            path,
            format,
            header: Vec::new(),
            writer: None,
            refused: 0,
            left_out: 0,
            by_reason: BTreeMap::new(),
        }
    }

    fn with_header(self, header: &[String]) -> Self {
        Self { header: header.to_vec(), ..self }
    }

    /// A row of which nothing is taken.
    fn refuse(&mut self, row: &Row, title: &str, reason: &str) -> Result<(), Failure> {
        self.refused += 1;
        *self.by_reason.entry(title.to_owned()).or_default() += 1;
        self.write(row, reason)
    }

    /// A row of which a number is not taken.
    fn leave_out(&mut self, row: &Row, title: &str, reason: &str) -> Result<(), Failure> {
        self.left_out += 1;
        *self.by_reason.entry(title.to_owned()).or_default() += 1;
        self.write(row, &format!("Взят без одного из номеров. {reason}"))
    }

    fn write(&mut self, row: &Row, reason: &str) -> Result<(), Failure> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let header: Vec<String> =
                    self.header.iter().cloned().chain(["Строка", "Причина"].map(String::from)).collect();
                let file = BufWriter::new(create(&self.path)?);
                none.insert(TableWriter::new(file, self.format, &header)?)
            }
        };
        let columns = self.header.len();
        let mut cells: Vec<Cell> = row.cells.iter().take(columns).map(|cell| cell.as_str().into()).collect();
        cells.resize(columns, Cell::Empty);
        cells.push(row.line.into());
        cells.push(reason.into());
        cells.extend(row.cells.iter().skip(columns).map(|cell| Cell::from(cell.as_str())));
        Ok(writer.row(&cells)?)
    }

    /// Where they are, if there are any.
    fn finish(self) -> Result<Option<PathBuf>, Failure> {
        let Some(writer) = self.writer else { return Ok(None) };
        let file = writer.finish()?.into_inner().map_err(|why| why.into_error())?;
        file.sync_all()?;
        Ok(Some(self.path))
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|why| format!("{} cannot be written: {why}", path.display()).into())
}

fn refused_path(arguments: &Arguments, format: Format) -> PathBuf {
    arguments.refused.clone().unwrap_or_else(|| {
        arguments.file.with_extension(if format == Format::Xlsx { "refused.xlsx" } else { "refused.csv" })
    })
}

fn bar(file: &Path) -> ProgressBar {
    let length = std::fs::metadata(file).map_or(0, |about| about.len());
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {percent} % {msg}");
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Told {
    fn say(&self, arguments: &Arguments) -> Result<(), Failure> {
        let AddedLeads { added, merged, known, .. } = self.added;
        if arguments.json {
            return say(json!({
                "project": arguments.project, "dry_run": arguments.dry_run, "rows": self.rows, "added": added,
                "merged": merged, "known": known, "refused": self.refused, "numbers_left_out": self.left_out,
                "by_reason": self.by_reason, "empty_rows": self.empty, "repeated_headers": self.headers,
                "refused_file": self.refused_file, "warnings": self.warnings,
            }));
        }
        for warning in &self.warnings {
            eprintln!("{warning}");
        }
        let would = if arguments.dry_run { "would be " } else { "" };
        say(format_args!(
            "{}: {added} contacts {would}added, {merged} {would}given what they lacked, {known} were there already",
            arguments.project
        ))?;
        if self.empty + self.headers > 0 {
            say(format_args!(
                "passed over: {} empty rows, {} that repeat the header",
                self.empty, self.headers
            ))?;
        }
        if let Some(path) = &self.refused_file {
            let reasons: Vec<String> =
                self.by_reason.iter().map(|(reason, count)| format!("«{reason}» {count}")).collect();
            say(format_args!(
                "refused: {} rows, and {} numbers of contacts that have others: {}. They are in {}, each with its reason",
                self.refused,
                self.left_out,
                reasons.join(", "),
                path.display()
            ))?;
        }
        if self.by_reason.contains_key("Негодный ID") {
            say(
                "a column of names is no column of ids: --map -=COLUMN leaves it out, and ids are made from the numbers",
            )?;
        }
        Ok(())
    }
}
