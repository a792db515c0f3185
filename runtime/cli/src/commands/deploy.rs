//! `zvonar deploy`: a package goes live on a running host.

use std::path::{Path, PathBuf};

use zvonar_api::Deployed;
use zvonar_scenario::{Package, archive};

use super::Failure;
use crate::client::{Client, Whom, encoded};

/// What `zvonar deploy` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The package: its folder, or a `.zvonar` file.
    package: PathBuf,
    #[command(flatten)]
    whom: Whom,
    /// Only so many percent of the calls get it; `zvonar promote` makes it live.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    canary: Option<u8>,
    /// What to remember with this version.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.whom)?;
    let archive = packed(&arguments.package)?;
    let deployed = upload(&client, &archive, arguments.canary, &arguments.note)?;
    if arguments.json {
        return super::say(serde_json::to_string(&deployed)?);
    }
    super::say(told(&deployed))
}

/// A package as one file. A folder is checked first: its faults are told with their places here, and nothing is sent.
pub(crate) fn packed(package: &Path) -> Result<Vec<u8>, Failure> {
    if package.is_dir() {
        return Ok(archive::pack(&Package::open(package)?)?);
    }
    Ok(archive::read(package)?)
}

/// Sends an archive and gives the host's answer.
pub(crate) fn upload(
    client: &Client,
    archive: &[u8],
    canary: Option<u8>,
    note: &str,
) -> Result<Deployed, Failure> {
    let mut path = format!("/v1/scenarios?note={}", encoded(note));
    if let Some(percent) = canary {
        path += &format!("&canary={percent}");
    }
    client.upload(&path, archive)
}

/// `menu: v7 live, 3 calls still on v6`.
pub(crate) fn told(deployed: &Deployed) -> String {
    let Deployed { scenario, number, lineup, unchanged, .. } = deployed;
    if *unchanged {
        return format!("{scenario}: this very package is live already, as v{number} ({lineup})");
    }
    format!("{scenario}: {lineup}")
}
