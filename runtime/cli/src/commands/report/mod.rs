//! `zvonar report`: what became of the calls.

mod asked;
mod output;

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use zvonar_dialer::{ReportRow, ReportText, Tables};
use zvonar_model::{Kopecks, ProjectId, RecognisedAnswer};

use super::Failure;
use crate::config::{self, Config};
use crate::host;

/// What `zvonar report` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration of the host.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml", global = true)]
    config: PathBuf,
    /// One JSON object a row; without a report's name, an attempt each and then the totals.
    #[arg(long, global = true)]
    json: bool,
    /// Which report; absent: every attempt, with the sums of its ledger lines.
    #[command(subcommand)]
    report: Option<asked::Report>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)?;
    if let Some(report) = arguments.report {
        return asked::run(&config, report, arguments.json);
    }
    let prices = host::price_lists(&config)?;
    let rows = super::runtime(1)?.block_on(async {
        let store = host::open_store(&config.node.data)?;
        let mut rows = Vec::new();
        for tenant in &config.tenants {
            let tables = Tables::new(store.clone(), prices[&tenant.id].clone(), tenant.id.clone());
            // Those of the configuration in its order, and then the others.
            let mut projects = tables.projects().await?;
            let place = |id: &ProjectId| {
                let named = |one: &config::Project| one.tenant == tenant.id && one.id == *id;
                config.projects.iter().position(named).unwrap_or(usize::MAX)
            };
            projects.sort_by_key(|project| place(&project.project));
            for project in projects {
                rows.extend(tables.report(&project.project).await?.rows);
            }
            rows.extend(tables.report_outside_projects().await?);
        }
        host::close_store(store).await?;
        Ok::<_, Failure>(rows)
    })?;
    if arguments.json { print_json(&rows) } else { print_table(&rows) }
}

fn print_json(rows: &[ReportRow]) -> Result<(), Failure> {
    for row in rows {
        super::say(json!({
            "lead": row.lead,
            "number": row.number,
            "result": row.result,
            "keys": row.keys,
            "answers": row.answers,
            "recognition_kopecks": row.recognition.0,
            "answered": row.answered,
            "texts": row.texts,
            "sms_kopecks": row.texts.iter().filter_map(|text| text.kopecks).map(|sum| sum.0).sum::<i64>(),
            "robot_s": row.robot_seconds,
            "wait_s": row.wait_seconds,
            "talk_s": row.talk_seconds,
            "transfers": row.transfers.iter().map(asked::transfer_json).collect::<Vec<_>>(),
            "kopecks": row.kopecks.0,
            "sum_of_ledger_lines": row.lines_sum.0,
        }))?;
    }
    let totals = Totals::of(rows);
    super::say(json!({
        "attempts": rows.len(),
        "answered": rows.iter().filter(|row| row.answered).count(),
        "robot_s": totals.robot_seconds,
        "kopecks": totals.kopecks.0,
        "sum_of_ledger_lines": totals.lines.0,
    }))
}

fn print_table(rows: &[ReportRow]) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "Контакт",
        "Номер",
        "Результат",
        "Сказано",
        "SMS",
        "Робот, с",
        "Ответы, коп.",
        "Копеек",
        "По книге",
    ]);
    for row in rows {
        table.add_row([
            row.lead.as_ref().map_or("–".into(), ToString::to_string),
            row.number.clone(),
            row.result.clone(),
            said(&row.answers),
            sent(&row.texts),
            row.robot_seconds.to_string(),
            row.recognition.0.to_string(),
            row.kopecks.0.to_string(),
            row.lines_sum.0.to_string(),
        ]);
    }
    let totals = Totals::of(rows);
    table.add_row([
        format!("Всего: {}", rows.len()),
        String::new(),
        String::new(),
        format!("ответов: {}", rows.iter().map(|row| row.answers.len()).sum::<usize>()),
        format!("SMS: {}", rows.iter().map(|row| row.texts.len()).sum::<usize>()),
        totals.robot_seconds.to_string(),
        rows.iter().map(|row| row.recognition.0).sum::<i64>().to_string(),
        totals.kopecks.0.to_string(),
        totals.lines.0.to_string(),
    ]);
    for column in 5..9 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    super::say(table)
}

/// What was said, a line each: `«Да, приду.» да`, and which phrase it was; `–` where it was none of the question.
fn said(answers: &[RecognisedAnswer]) -> String {
    let one =
        |answer: &RecognisedAnswer| format!("«{}» {}", answer.text, answer.phrase.as_deref().unwrap_or("–"));
    answers.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// The messages of a call, a line each: `Доставлено, 360 коп.`.
fn sent(texts: &[ReportText]) -> String {
    let one = |text: &ReportText| {
        let price = text.kopecks.map_or(String::new(), |sum| format!(", {} коп.", sum.0));
        format!("{}{price}", text.status.title())
    };
    texts.iter().map(one).collect::<Vec<_>>().join("\n")
}

struct Totals {
    robot_seconds: u64,
    kopecks: Kopecks,
    lines: Kopecks,
}

impl Totals {
    fn of(rows: &[ReportRow]) -> Self {
        Self {
            robot_seconds: rows.iter().map(|row| row.robot_seconds).sum(),
            kopecks: rows.iter().map(|row| row.kopecks).sum(),
            lines: rows.iter().map(|row| row.lines_sum).sum(),
        }
    }
}
