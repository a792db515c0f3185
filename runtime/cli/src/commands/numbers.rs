//! `zvonar numbers`: the register of number ranges.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use zvonar_campaign::{Register, RegisterFile};
use zvonar_model::UnixMillis;
use zvonar_switch::clock;

use super::{Failure, say};
use crate::config::Config;
use crate::host;
use crate::rows;

/// What can be done with the register.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load tables of the ministry (ABC-3xx.csv, ABC-4xx.csv, ABC-8xx.csv, DEF-9xx.csv of opendata.digital.gov.ru).
    ///
    /// Each replaces the table of its name that was loaded before. A number that begins with a digit of a loaded table
    /// and is in none of its ranges counts as «Несуществующий номер» from then on. A running host takes the register up
    /// at its next start.
    Import {
        /// The tables, as the ministry publishes them.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The configuration of the host.
        #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
        config: PathBuf,
    },
    /// Tell which tables are loaded, and since when.
    Status {
        /// The configuration of the host.
        #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
        config: PathBuf,
        /// {"sample": …, "files": [{"name": …, "loaded": …, "ranges": …, "numbers": …, "digits": […]}]}
        #[arg(long)]
        json: bool,
    },
}

/// A table with fewer ranges is hardly the ministry's: the smallest of its four has thousands.
const FEW: usize = 1_000;

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Import { files, config } => import(&files, &Config::load(&config)?),
        Command::Status { config, json } => status(&Config::load(&config)?, json),
    }
}

fn import(files: &[PathBuf], config: &Config) -> Result<(), Failure> {
    let mut register = Register::clone(&*host::register(config)?);
    for path in files {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let bytes = std::fs::read(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))?;
        let loaded = register.load(&name, &rows::text(bytes), clock::wall())?;
        for fault in &loaded.faults {
            eprintln!("{}: {fault}", path.display());
        }
        if loaded.fault_count > loaded.faults.len() {
            eprintln!("{}: {} rows more", path.display(), loaded.fault_count - loaded.faults.len());
        }
        say(format!("{}; {} rows left out", sentence(&loaded.file), loaded.fault_count))?;
        if loaded.file.ranges < FEW {
            eprintln!(
                "{name} holds only {} ranges: numbers that begin with {} and are in none of them are not dialled",
                loaded.file.ranges,
                beginnings(&loaded.file.digits)
            );
        }
    }
    keep(&register, &host::register_path(config))
}

/// Beside itself and then in its place: a host that starts meanwhile reads the old one or the new one.
fn keep(register: &Register, path: &Path) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let failed = |why: std::io::Error| format!("the register cannot be kept at {}: {why}", path.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, register.to_text().as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|why| failed(why.error))?;
    Ok(())
}

fn status(config: &Config, json: bool) -> Result<(), Failure> {
    let register = host::register(config)?;
    let files = register.files();
    if json {
        let files: Vec<_> = files
            .iter()
            .map(|file| {
                json!({
                    "name": file.name, "loaded": date(file.loaded), "ranges": file.ranges, "numbers": file.numbers,
                    "digits": file.digits,
                })
            })
            .collect();
        return say(json!({ "sample": register.is_made(), "files": files }));
    }
    if register.is_made() {
        return say(
            "no table is loaded: area codes are known from a made sample, and no number counts as non-existent; \
             `zvonar numbers import` loads the ministry's tables",
        );
    }
    files.iter().try_for_each(|file| say(sentence(file)))
}

fn sentence(file: &RegisterFile) -> String {
    format!(
        "{}: loaded {}, {} ranges with {} numbers that begin with {}",
        file.name,
        date(file.loaded),
        file.ranges,
        file.numbers,
        beginnings(&file.digits)
    )
}

fn beginnings(digits: &[u8]) -> String {
    let all: Vec<String> = digits.iter().map(|digit| format!("+7 {digit}")).collect();
    all.join(", ")
}

/// A day in Greenwich.
fn date(moment: UnixMillis) -> String {
    let moment = Timestamp::from_millisecond(moment.0).unwrap_or(Timestamp::UNIX_EPOCH);
    moment.to_zoned(TimeZone::UTC).date().to_string()
}
