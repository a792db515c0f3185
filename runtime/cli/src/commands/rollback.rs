//! `zvonar rollback` and `zvonar promote`: what becomes of a version that is in use.

use serde_json::json;
use zvonar_api::Deployed;

use super::Failure;
use crate::client::{Client, Whom, encoded};

/// What `zvonar rollback` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The scenario.
    name: String,
    /// To which version; absent: a canary is taken out of use, or the version before goes live.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<u32>,
    #[command(flatten)]
    whom: Whom,
}

/// What `zvonar promote` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Promote {
    /// The scenario whose canary goes live.
    name: String,
    /// Give the canary this percent of the calls instead, 0 to 100.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    percent: Option<u8>,
    #[command(flatten)]
    whom: Whom,
}

/// `v6` or `6`.
fn version(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix('v').unwrap_or(text).parse();
    number.map_err(|_| "a version is written as v6; `zvonar versions NAME` lists them".into())
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.whom)?;
    let path = format!("/v1/scenarios/{}/rollback", encoded(&arguments.name));
    let changed: Deployed = client.post(&path, &json!({ "to": arguments.to }))?;
    super::say(super::deploy::told(&changed))
}

pub(crate) fn promote(arguments: Promote) -> Result<(), Failure> {
    let client = Client::new(&arguments.whom)?;
    let scenario = format!("/v1/scenarios/{}", encoded(&arguments.name));
    let changed: Deployed = match arguments.percent {
        Some(percent) => client.post(&format!("{scenario}/canary"), &json!({ "percent": percent }))?,
        None => client.post(&format!("{scenario}/promote"), &json!({}))?,
    };
    super::say(super::deploy::told(&changed))
}
