//! `zvonar rehearse`: a project of the configuration against pretend callees, on a clock that jumps.

use std::path::PathBuf;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use zvonar_dialer::{Callees, Forecast, forecast};
use zvonar_model::{ProjectId, UnixMillis};
use zvonar_switch::clock;

use super::{Failure, explain, say};
use crate::config::{Config, Project};
use crate::{host, leads};

/// What `zvonar rehearse` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The project of the configuration.
    project: ProjectId,
    /// The configuration of the host.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
    config: PathBuf,
    /// When the dialling begins, in the project's zone: 2026-03-02T10:00. Absent: now.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Give up after so many days.
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    /// Lines, instead of the project's: to see what more of them would bring.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    lines: Option<u32>,
    /// Percent of the calls that find the line engaged.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = percent())]
    busy: u8,
    /// Percent that nobody picks up.
    #[arg(long, value_name = "PERCENT", default_value_t = 30, value_parser = percent())]
    no_answer: u8,
    /// Percent that are declined.
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = percent())]
    rejected: u8,
    /// Percent that a machine answers.
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = percent())]
    machine: u8,
    /// Percent of the numbers that do not exist.
    #[arg(long, value_name = "PERCENT", default_value_t = 2, value_parser = percent())]
    unknown: u8,
    /// How long a talk with a person lasts, in seconds: the least and the most.
    #[arg(long, value_name = "FROM-TO", default_value = "5-60", value_parser = range)]
    talk: (Duration, Duration),
    /// What chance is made of: the same seed gives the same forecast.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

fn percent() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(0..=100)
}

fn range(text: &str) -> Result<(Duration, Duration), String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let seconds = |text: &str| text.trim().parse::<u64>().ok().filter(|seconds| *seconds <= 14_400);
    match (seconds(least), seconds(most)) {
        (Some(least), Some(most)) if least <= most => {
            Ok((Duration::from_secs(least), Duration::from_secs(most)))
        }
        _ => Err("write seconds as 5-60, 14400 at most".into()),
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let sum: u32 = [arguments.busy, arguments.no_answer, arguments.rejected, arguments.machine]
        .into_iter()
        .map(u32::from)
        .sum();
    if sum > 100 {
        return Err(format!(
            "--busy, --no-answer, --rejected and --machine come to {sum} percent; the rest are people who answer"
        )
        .into());
    }
    let config = Config::load(&arguments.config)?;
    let found = config.projects.iter().find(|project| project.id == arguments.project);
    let project = found.ok_or_else(|| {
        let all: Vec<String> = config.projects.iter().map(|project| project.id.to_string()).collect();
        format!("the configuration has no project {}; it has: {}", arguments.project, all.join(", "))
    })?;
    let prices = host::price_lists(&config)?[&project.tenant].clone();
    let policy = host::policies(&config)?[&project.tenant].clone();
    let zone = TimeZone::get(&project.rules.zone)?;
    let start = match &arguments.start {
        None => clock::wall(),
        Some(text) => explain::moment(text, &zone)?,
    };
    let callees = Callees {
        busy: arguments.busy,
        no_answer: arguments.no_answer,
        rejected: arguments.rejected,
        machine: arguments.machine,
        unknown: arguments.unknown,
        talk: arguments.talk,
        seed: arguments.seed,
        ..Callees::default()
    };
    let list = host::new_leads(leads::read(&project.leads)?);
    let mut new = host::new_project(project);
    new.lines = arguments.lines.unwrap_or(new.lines);
    let lines = new.lines;
    let longest = Duration::from_secs(u64::from(arguments.days) * 24 * 3600);
    let paused = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let told = paused.block_on(forecast(new, list, prices, policy, callees, start, longest))?;
    if arguments.json {
        say(as_json(&told, lines))
    } else {
        tell(project, &told, lines, &zone, arguments.days)
    }
}

fn as_json(told: &Forecast, lines: u32) -> Value {
    json!({
        "leads": told.counts.leads, "reached": told.counts.reached, "open": told.open,
        "attempts": told.counts.attempts, "robot_s": told.robot_seconds, "kopecks": told.counts.spent.0,
        "from": told.from.0, "to": told.to.0, "lines": lines, "results": told.results,
        "hours": told.hours.iter().map(|(hour, row)| json!({
            "from": hour * 3_600_000, "calls": row.calls, "answered": row.answered, "most_lines": row.most_lines,
        })).collect::<Vec<_>>(),
    })
}

fn tell(project: &Project, told: &Forecast, lines: u32, zone: &TimeZone, days: u32) -> Result<(), Failure> {
    let time = |moment: UnixMillis| {
        let moment = Timestamp::from_millisecond(moment.0).unwrap_or(Timestamp::UNIX_EPOCH);
        moment.to_zoned(zone.clone())
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["Час", "Звонков", "Отвечено", "Линий"]);
    for (hour, row) in &told.hours {
        let from = time(UnixMillis(i64::try_from(hour * 3_600_000).unwrap_or(0)));
        let from = from.strftime("%d.%m %H:00").to_string();
        table.add_row([from, row.calls.to_string(), row.answered.to_string(), row.most_lines.to_string()]);
    }
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    say(table)?;
    for (result, count) in &told.results {
        say(format!("{count:>8}  {result}"))?;
    }
    let counts = told.counts;
    let hours = told.length().as_secs_f64() / 3600.0;
    say(format!(
        "{}: контактов {}, дозвонились {}, звонков {}, с {} по {} ({hours:.1} ч), линий {lines}",
        project.id,
        counts.leads,
        counts.reached,
        counts.attempts,
        time(told.from).strftime("%d.%m %H:%M"),
        time(told.to).strftime("%d.%m %H:%M"),
    ))?;
    let each = told.per_reached().map_or(String::new(), |price| format!(", за дозвон {price}"));
    say(format!("робот {} с, {}{each}", told.robot_seconds, counts.spent))?;
    if told.open > 0 {
        say(format!("не закончено: {} контактов за {days} дней", told.open))?;
    }
    Ok(())
}
