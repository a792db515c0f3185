//! `zvonar answers export`: what callers said, with the sound, as files.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use serde_json::json;
use zvonar_dialer::{Day, Tables};
use zvonar_ledger::Kind;
use zvonar_model::{AttemptRecord, ProjectId, TenantId};
use zvonar_speech::text::normalised;

use crate::commands::{Failure, say};
use crate::config::Config;
use crate::host;

/// The list of what was exported, in the folder.
const LIST: &str = "answers.jsonl";

/// What `zvonar answers export` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The folder to make: the sounds, and `answers.jsonl`, a line for each, which `zvonar phrases bench` reads.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The configuration of the host; the host must not be running.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
    config: PathBuf,
    /// Of this tenant; absent: of all.
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Of calls of this project; absent: of all.
    #[arg(long, value_name = "ID")]
    project: Option<ProjectId>,
    /// Of calls begun on this day or later, Moscow time.
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// Of calls begun on this day or earlier.
    #[arg(long, value_name = "DAY")]
    to: Option<Day>,
    /// Only those in which no phrase of the question was found.
    #[arg(long)]
    unmatched: bool,
}

impl Export {
    fn is_meant(&self, record: &AttemptRecord) -> bool {
        let day = Day::of(record.started_at);
        let project = |project: &ProjectId| record.project.as_ref() == Some(project);
        !record.answers.is_empty()
            && self.project.as_ref().is_none_or(project)
            && self.from.is_none_or(|from| from <= day)
            && self.to.is_none_or(|to| day <= to)
    }
}

pub(super) fn run(asked: &Export) -> Result<(), Failure> {
    let config = Config::load(&asked.config)?;
    let prices = host::price_lists(&config)?;
    if let Some(tenant) = asked.tenant.as_ref().filter(|tenant| !prices.contains_key(*tenant)) {
        let all: Vec<String> = prices.keys().map(ToString::to_string).collect();
        return Err(format!("the configuration has no tenant {tenant}; it has: {}", all.join(", ")).into());
    }
    fs::create_dir_all(&asked.folder)
        .map_err(|why| format!("the folder {} cannot be made: {why}", asked.folder.display()))?;
    let list = asked.folder.join(LIST);
    let file = File::create_new(&list)
        .map_err(|why| format!("{} cannot be written: {why}; export into an empty folder", list.display()))?;
    let mut list = BufWriter::new(file);
    let sounds = config.node.data.join("answers");
    let (answers, lost) = crate::commands::runtime(1)?.block_on(async {
        let store = host::open_store(&config.node.data)?;
        let (mut answers, mut lost) = (0, 0);
        for (tenant, prices) in prices {
            if asked.tenant.as_ref().is_some_and(|wanted| *wanted != tenant) {
                continue;
            }
            let tables = Tables::new(store.clone(), prices, tenant.clone());
            let mut meant = Vec::new();
            tables
                .each_record(|record| {
                    if asked.is_meant(&record) {
                        meant.push((
                            record.attempt,
                            record.project,
                            record.lead,
                            record.started_at,
                            record.answers,
                        ));
                    }
                })
                .await?;
            for (attempt, project, lead, started_at, told) in meant {
                let charge = tables.charge(&attempt).await?;
                let lines = charge.iter().flat_map(|charge| &charge.lines);
                let mut prices = lines.filter(|line| line.kind == Kind::Recognition).map(|line| line.sum.0);
                for answer in told {
                    let kopecks = prices.next().unwrap_or(0);
                    if asked.unmatched && answer.phrase.is_some() {
                        continue;
                    }
                    let file = answer.sound.as_ref().and_then(|sound| {
                        let name = sound.replace('/', "-");
                        let copied = fs::copy(sounds.join(sound), asked.folder.join(&name));
                        copied.map(|_| name).ok()
                    });
                    lost += usize::from(file.is_none());
                    answers += 1;
                    let line = json!({
                        "file": file.unwrap_or_default(),
                        "outcome": "words",
                        "text": normalised(&answer.text),
                        "heard": answer.text,
                        "phrase": answer.phrase,
                        "score": super::round(answer.score),
                        "confidence": super::round(answer.confidence),
                        "voiced_ms": answer.speech.0,
                        "billed": true,
                        "kopecks": kopecks,
                        "model": answer.model,
                        "tenant": tenant,
                        "project": project,
                        "lead": lead,
                        "attempt": attempt,
                        "started_at": started_at,
                    });
                    writeln!(list, "{line}").map_err(|why| format!("{LIST} cannot be written: {why}"))?;
                }
            }
        }
        host::close_store(store).await?;
        Ok::<_, Failure>((answers, lost))
    })?;
    list.flush().map_err(|why| format!("{LIST} cannot be written: {why}"))?;
    say(format!("answers: {answers}; in {}", asked.folder.display()))?;
    if lost > 0 {
        eprintln!("{lost} of them without their sound: its file is no longer in {}", sounds.display());
    }
    Ok(())
}
