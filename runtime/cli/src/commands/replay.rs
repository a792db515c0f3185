//! `zvonar replay`: what another version of a scenario would have done on recorded calls.

use std::ops::Range;
use std::path::PathBuf;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use zvonar_dialer::Tables;
use zvonar_model::{AttemptId, AttemptRecord, TenantId, UnixMillis};
use zvonar_rehearsal::replay::{Difference, Replayer, Verdict};

use super::Failure;
use crate::config::Config;
use crate::host;

/// In which zone a day begins.
const ZONE: &str = "Europe/Moscow";

/// What `zvonar replay` takes.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["attempt", "day", "all"])))]
pub(crate) struct Arguments {
    /// One attempt, by its id.
    attempt: Option<AttemptId>,
    /// All calls of a day, Moscow time.
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<Date>,
    /// All calls there are.
    #[arg(long)]
    all: bool,
    /// The package to compare with: the folder with `scenario.toml`. Only calls of the scenario of its name are replayed.
    #[arg(long, value_name = "PACKAGE")]
    against: PathBuf,
    /// The configuration of the host. It must be stopped: its store is read.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
    config: PathBuf,
    /// Only this tenant's calls.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// One JSON object a call, then one with the sum.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let package = host::open_package(&arguments.against)?;
    let module = host::engine(&host::module_cache()?, super::chat::SEATS)?.load(&package)?;
    let mut replay = Replay::new(Replayer::new(module)?, arguments.json);
    let config = Config::load(&arguments.config)?;
    if let Some(tenant) = &arguments.tenant
        && !config.tenants.iter().any(|known| known.id == *tenant)
    {
        return Err(
            format!("--tenant: there is no tenant `{tenant}` in {}", arguments.config.display()).into()
        );
    }
    let prices = host::price_lists(&config)?;
    let range = arguments.day.map(day).transpose()?;
    super::runtime(1)?.block_on(async {
        let store = host::open_store(&config.node.data)?;
        for (tenant, prices) in prices {
            if arguments.tenant.as_ref().is_some_and(|wanted| *wanted != tenant) {
                continue;
            }
            let tables = Tables::new(store.clone(), prices, tenant);
            match &arguments.attempt {
                Some(attempt) => {
                    if let Some(record) = tables.record(attempt).await? {
                        replay.take(record)?;
                    }
                }
                None => {
                    let mut broken = None;
                    tables
                        .each_record(|record| {
                            let in_range =
                                range.as_ref().is_none_or(|range| range.contains(&record.started_at));
                            if in_range && broken.is_none() {
                                broken = replay.take(record).err();
                            }
                        })
                        .await?;
                    if let Some(why) = broken {
                        return Err(why);
                    }
                }
            }
        }
        host::close_store(store).await
    })?;
    if let Some(attempt) = &arguments.attempt
        && replay.seen == 0
    {
        return Err(format!("there is no attempt `{attempt}` in the books").into());
    }
    replay.finish()
}

/// Takes records, wherever they come from, and tells what came of each.
pub(crate) struct Replay {
    replayer: Replayer,
    json: bool,
    /// Records that were looked at, those of other scenarios included.
    seen: u64,
    same: u64,
    differ: u64,
    not_comparable: u64,
}

impl Replay {
    pub(crate) fn new(replayer: Replayer, json: bool) -> Self {
        Self { replayer, json, seen: 0, same: 0, differ: 0, not_comparable: 0 }
    }

    /// Replays one call, if it is one of the scenario. What is the same is only counted.
    pub(crate) fn take(&mut self, record: AttemptRecord) -> Result<(), Failure> {
        self.seen += 1;
        if !self.replayer.concerns(&record) {
            return Ok(());
        }
        let verdict = self.replayer.replay(record.trace);
        let attempt = &record.attempt;
        let number = record.number.as_ref().map(zvonar_model::PhoneNumber::masked);
        let (name, told) = match &verdict {
            Verdict::Same => {
                self.same += 1;
                ("same", json!({}))
            }
            Verdict::Differs(difference) => {
                self.differ += 1;
                if !self.json {
                    print(attempt, number.as_deref(), difference)?;
                }
                ("differs", json!(difference))
            }
            Verdict::NotComparable(why) => {
                self.not_comparable += 1;
                if !self.json {
                    super::say(format!("{attempt}  not comparable: {why}"))?;
                }
                ("not-comparable", json!({ "why": why }))
            }
        };
        if self.json {
            let mut line = json!({ "attempt": attempt, "number": number, "verdict": name });
            if let (Some(line), Some(told)) = (line.as_object_mut(), told.as_object()) {
                line.extend(told.clone());
            }
            super::say(line)?;
        }
        Ok(())
    }

    /// The sum.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let replayed = self.same + self.differ + self.not_comparable;
        if self.json {
            return super::say(json!({
                "replayed": replayed, "same": self.same, "differ": self.differ,
                "not_comparable": self.not_comparable,
            }));
        }
        super::say(format!(
            "{replayed} replayed: {} the same, {} decide otherwise, {} not comparable",
            self.same, self.differ, self.not_comparable
        ))
    }
}

fn print(attempt: &AttemptId, number: Option<&str>, difference: &Difference) -> Result<(), Failure> {
    let at = difference.at_ms;
    let (minutes, seconds, millis) = (at / 60_000, at / 1000 % 60, at % 1000);
    super::say(format!("{attempt}  {}  at {minutes}:{seconds:02}.{millis:03}", number.unwrap_or("-")))?;
    super::say(format!("    recorded  {}", difference.recorded))?;
    super::say(format!("    now       {}", difference.now))
}

/// The moments of a day.
fn day(day: Date) -> Result<Range<UnixMillis>, Failure> {
    let zone = TimeZone::get(ZONE)?;
    let begin = |day: Date| day.to_zoned(zone.clone()).map(|at| UnixMillis(at.timestamp().as_millisecond()));
    Ok(begin(day)?..begin(day.tomorrow()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_24_hours_from_midnight_in_moscow() {
        let range = day("2026-03-02".parse().unwrap()).unwrap();
        assert_eq!(range.start, UnixMillis(1_772_398_800_000));
        assert_eq!(range.end.0 - range.start.0, 86_400_000);
    }
}
