//! `zvonar consent`: who agreed to be called, and what for.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::tz::TimeZone;
use serde_json::json;
use zvonar_campaign::{ConsentEvent, Purpose};
use zvonar_model::{PhoneNumber, UnixMillis};
use zvonar_store::Sha256;
use zvonar_switch::clock;

use super::{Failure, explain, say};
use crate::host::{Office, with_tables};
use crate::rows;

/// What can be done with consents.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write down that somebody agreed.
    Add(Said),
    /// Write down that somebody took it back: for these purposes, or for all. Nothing of before is lost.
    Revoke(Said),
    /// Tell what was said, oldest first, numbers whole: it is an export.
    List {
        /// Of this number alone.
        number: Option<PhoneNumber>,
        #[command(flatten)]
        office: Office,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Write down what a CSV file says: columns `number`, `purpose`, and if you have them `said` (`given` or `revoked`),
    /// `at`, `text`, `channel`, `ip`, `proof`. The same rows again enter nothing.
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        office: Office,
    },
}

/// What somebody said.
#[derive(Debug, clap::Args)]
pub(crate) struct Said {
    /// The numbers, in any usual spelling.
    #[arg(required = true, value_name = "NUMBER")]
    numbers: Vec<PhoneNumber>,
    /// What for: inform, survey, collection, advertising.
    #[arg(long, value_name = "PURPOSE", value_delimiter = ',')]
    purpose: Vec<Purpose>,
    /// The text that was agreed to, with its version, as `form-7/2`.
    #[arg(long, value_name = "ID/VERSION")]
    text: Option<String>,
    /// How it was said: a form, a paper, a call.
    #[arg(long, value_name = "TEXT", default_value = "")]
    channel: String,
    /// When: 2026-03-02T10:00+03:00, or without an offset for Moscow. Absent: now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// From which address.
    #[arg(long, value_name = "IP")]
    ip: Option<std::net::IpAddr>,
    /// The proof: of a file that is there the SHA-256 is kept beside its name.
    #[arg(long, value_name = "FILE")]
    proof: Option<String>,
    #[command(flatten)]
    office: Office,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add(said) => add(said, true),
        Command::Revoke(said) => add(said, false),
        Command::List { number, office, json } => list(number.as_ref(), &office, json),
        Command::Import { file, office } => import(&file, &office),
    }
}

fn add(said: Said, given: bool) -> Result<(), Failure> {
    let event = ConsentEvent {
        given,
        numbers: said.numbers,
        purposes: said.purpose,
        at: said.at.as_deref().map_or_else(|| Ok(clock::wall()), moment)?,
        text: said.text,
        channel: said.channel,
        ip: said.ip.map(|ip| ip.to_string()),
        proof: said.proof.map(|proof| proven(&proof)).transpose()?,
        attempt: None,
    };
    if with_tables(&said.office, async |tables| Ok(tables.add_consent(&event).await?))? {
        say("written down")
    } else {
        say("it was written down before")
    }
}

/// The proof's name, with its content's hash if it is a file here.
fn proven(proof: &str) -> Result<String, Failure> {
    let path = Path::new(proof);
    if !path.is_file() {
        return Ok(proof.to_owned());
    }
    let bytes = std::fs::read(path).map_err(|why| format!("{proof} cannot be read: {why}"))?;
    let name = path.file_name().map_or(proof.into(), |name| name.to_string_lossy().into_owned());
    Ok(format!("{name} sha256:{}", Sha256::of(&bytes)))
}

fn moment(text: &str) -> Result<UnixMillis, Failure> {
    let moscow =
        TimeZone::get("Europe/Moscow").map_err(|why| format!("the tz database is missing: {why}"))?;
    // A date alone is its midnight.
    let text = if text.len() == 10 { format!("{text}T00:00") } else { text.to_owned() };
    explain::moment(&text, &moscow)
}

fn list(number: Option<&PhoneNumber>, office: &Office, json: bool) -> Result<(), Failure> {
    for event in with_tables(office, async |tables| Ok(tables.consent_events(number).await?))? {
        let numbers: Vec<&str> = event.numbers.iter().map(PhoneNumber::reveal).collect();
        let at = rows::moment(event.at);
        if json {
            let purposes: Vec<&str> = event.purposes.iter().map(|purpose| purpose.word()).collect();
            say(json!({
                "said": if event.given { "given" } else { "revoked" }, "numbers": numbers, "purposes": purposes, "at": at,
                "text": event.text, "channel": event.channel, "ip": event.ip, "proof": event.proof,
                "attempt": event.attempt,
            }))?;
            continue;
        }
        let purposes: Vec<&str> = event.purposes.iter().map(|purpose| purpose.title()).collect();
        let purposes = if purposes.is_empty() { "всё".to_owned() } else { purposes.join(", ") };
        let said = if event.given { "согласие" } else { "отказ" };
        let more =
            [event.text, Some(event.channel), event.ip, event.proof, event.attempt.map(|id| id.to_string())];
        let more: Vec<String> = more.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        say(format!("{at}  {said}  {}  {purposes}  {}", numbers.join(" "), more.join("; ")))?;
    }
    Ok(())
}

fn import(file: &Path, office: &Office) -> Result<(), Failure> {
    let table = rows::Rows::read(file)?;
    let number = table.needed(&["number", "phone", "номер", "телефон"])?;
    let purpose = table.needed(&["purpose", "цель"])?;
    let said = table.column(&["said", "что"]);
    let at = table.column(&["at", "когда", "дата"]);
    let [text, channel, ip, proof] =
        [&["text", "текст"], &["channel", "канал"], &["ip", "ip-адрес"], &["proof", "подтверждение"]]
            .map(|names| table.column(names));
    let (mut events, mut faults) = (Vec::new(), 0u64);
    for row in &table.rows {
        let cell =
            |column: Option<usize>| column.map(|column| row.get(column)).filter(|cell| !cell.is_empty());
        let read = || -> Result<ConsentEvent, Failure> {
            let given = match cell(said).map(str::to_lowercase).as_deref() {
                None | Some("given" | "согласие") => true,
                Some("revoked" | "отказ") => false,
                Some(other) => return Err(format!("`{other}` is neither `given` nor `revoked`").into()),
            };
            let purposes = row.get(purpose).split(['+', '|', ' ']).filter(|word| !word.is_empty());
            Ok(ConsentEvent {
                given,
                numbers: vec![row.get(number).parse()?],
                purposes: purposes.map(str::parse).collect::<Result<_, _>>()?,
                // Rows without a time would be new ones each time that the file is imported.
                at: moment(cell(at).ok_or("the row does not say when (column `at`)")?)?,
                text: cell(text).map(str::to_owned),
                channel: cell(channel).unwrap_or_default().to_owned(),
                ip: cell(ip).map(str::to_owned),
                proof: cell(proof).map(str::to_owned),
                attempt: None,
            })
        };
        match read() {
            Ok(event) if event.given && event.purposes.is_empty() => {
                faults += 1;
                eprintln!(
                    "{}:{}: the row does not say what for (column `purpose`)",
                    file.display(),
                    row.line
                );
            }
            Ok(event) => events.push(event),
            Err(why) => {
                faults += 1;
                eprintln!("{}:{}: {why}", file.display(), row.line);
            }
        }
    }
    let fresh = with_tables(office, async |tables| Ok(tables.add_consents(&events).await?))?;
    say(format!("{fresh} written down, {} were before, {faults} rows left out", events.len() as u64 - fresh))
}
