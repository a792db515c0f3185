//! `zvonar blacklist`: numbers that no project of a tenant calls.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use zvonar_model::PhoneNumber;
use zvonar_switch::clock;

use super::{Failure, say};
use crate::host::{Office, with_tables};
use crate::rows;

/// What can be done with the blacklist.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put numbers on it.
    Add {
        /// The numbers, in any usual spelling.
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<PhoneNumber>,
        /// Why.
        #[arg(long, value_name = "TEXT", default_value = "внесён вручную")]
        why: String,
        #[command(flatten)]
        office: Office,
    },
    /// Take a number off it. What its owner had consented to before does not come back.
    Remove {
        /// The number, in any usual spelling.
        number: PhoneNumber,
        #[command(flatten)]
        office: Office,
    },
    /// Tell all numbers on it, whole: it is an export.
    List {
        #[command(flatten)]
        office: Office,
        /// {"number": …, "why": …, "since": …, "attempt": … or null} a line.
        #[arg(long)]
        json: bool,
    },
    /// Put the numbers of a CSV file on it: columns `number` (or `phone`) and `why`.
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        office: Office,
    },
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { numbers, why, office } => {
            let all: Vec<_> = numbers.into_iter().map(|number| (number, why.clone())).collect();
            let fresh =
                with_tables(&office, async |tables| Ok(tables.block_all(&all, clock::wall()).await?))?;
            say(format!("{fresh} put on the blacklist, {} were on it", all.len() as u64 - fresh))
        }
        Command::Remove { number, office } => {
            if with_tables(&office, async |tables| Ok(tables.unblock(&number).await?))? {
                say(format!("{number} is off the blacklist"))
            } else {
                Err(format!("{number} is not on the blacklist").into())
            }
        }
        Command::List { office, json } => {
            let all = with_tables(&office, async |tables| Ok(tables.blacklist().await?))?;
            for (number, blocked) in all {
                let (number, since) = (number.reveal(), rows::moment(blocked.since));
                if json {
                    say(json!({
                        "number": number, "why": blocked.why, "since": since, "attempt": blocked.attempt,
                    }))?;
                } else {
                    let call = blocked.attempt.map_or(String::new(), |attempt| format!(" (call {attempt})"));
                    say(format!("{number}  {since}  {}{call}", blocked.why))?;
                }
            }
            Ok(())
        }
        Command::Import { file, office } => {
            let table = rows::Rows::read(&file)?;
            let (number, why) =
                (table.needed(&["number", "phone", "номер", "телефон"])?, table.column(&["why", "причина"]));
            let (mut all, mut faults) = (Vec::new(), 0u64);
            for row in &table.rows {
                match row.get(number).parse::<PhoneNumber>() {
                    Ok(number) => {
                        let why = why.map(|why| row.get(why)).filter(|why| !why.is_empty());
                        all.push((number, why.unwrap_or("внесён из файла").to_owned()));
                    }
                    Err(why) => {
                        faults += 1;
                        eprintln!("{}:{}: {why}", file.display(), row.line);
                    }
                }
            }
            let fresh =
                with_tables(&office, async |tables| Ok(tables.block_all(&all, clock::wall()).await?))?;
            say(format!(
                "{fresh} put on the blacklist, {} were on it, {faults} rows left out",
                all.len() as u64 - fresh
            ))
        }
    }
}
