//! `zvonar versions`: what is in use on a running host, and what was.

use comfy_table::{Table, presets};
use zvonar_api::{ScenarioList, VersionInfo, VersionList};

use super::Failure;
use crate::client::{Client, Whom, encoded};

/// What `zvonar versions` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The scenario; absent: all of them, with what is in use.
    name: Option<String>,
    #[command(flatten)]
    whom: Whom,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.whom)?;
    match &arguments.name {
        None => scenarios(client.get("/v1/scenarios")?, arguments.json),
        Some(name) => versions(of(&client, name)?, arguments.json),
    }
}

/// The versions of a scenario.
pub(crate) fn of(client: &Client, name: &str) -> Result<VersionList, Failure> {
    client.get(&format!("/v1/scenarios/{}/versions", encoded(name)))
}

fn scenarios(list: ScenarioList, json: bool) -> Result<(), Failure> {
    if json {
        return list.scenarios.iter().try_for_each(|scenario| super::say(serde_json::to_string(scenario)?));
    }
    let mut table = table(&["scenario", "version", "since", "in use", "calls now"]);
    for scenario in list.scenarios {
        table.add_row([
            scenario.name,
            scenario.version,
            moment(&scenario.since),
            scenario.lineup,
            scenario.calls_now.to_string(),
        ]);
    }
    super::say(table)
}

fn versions(list: VersionList, json: bool) -> Result<(), Failure> {
    if json {
        return list.versions.iter().try_for_each(|version| super::say(serde_json::to_string(version)?));
    }
    let mut table = table(&[
        "",
        "state",
        "version",
        "deployed",
        "by",
        "calls now",
        "calls",
        "failed",
        "no result",
        "note",
    ]);
    for version in list.versions {
        table.add_row([
            format!("v{}", version.number),
            state(&version),
            version.version.clone(),
            moment(&version.since),
            version.by.clone(),
            version.calls_now.to_string(),
            version.calls.to_string(),
            version.faults.to_string(),
            version.without_result.to_string(),
            version.withdrawn.unwrap_or(version.note),
        ]);
    }
    super::say(table)
}

fn state(version: &VersionInfo) -> String {
    match version.percent {
        Some(percent) => format!("{} {percent} %", version.state),
        None => version.state.clone(),
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header);
    table
}

/// To the second, in UTC.
fn moment(rfc3339: &str) -> String {
    let date = rfc3339.get(..19).unwrap_or(rfc3339);
    format!("{} UTC", date.replace('T', " "))
}
