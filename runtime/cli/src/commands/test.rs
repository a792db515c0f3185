//! `zvonar test`: the conversations of a package, on a virtual clock.

use std::path::PathBuf;

use serde_json::json;
use zvonar_rehearsal::conversation::{self, Conversation, Played};
use zvonar_scenario::Package;

use super::Failure;
use super::chat::stage;
use crate::host;

/// What `zvonar test` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The package: the folder with `scenario.toml`.
    package: PathBuf,
    /// Only the conversations whose title or file has this in it.
    filter: Option<String>,
    /// One JSON object a conversation, then one with the sum.
    #[arg(long)]
    json: bool,
}

pub(crate) fn format() -> String {
    format!("A conversation is a file in the package's folder `conversations`:\n\n{}", conversation::FORMAT)
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let package = host::open_package(&arguments.package)?;
    let mut conversations = conversations(&package)?;
    let folder = package.folder.join(conversation::FOLDER);
    if conversations.is_empty() {
        return Err(format!(
            "there are no conversations: write the first one as {}",
            folder.join("first.yaml").display()
        )
        .into());
    }
    if let Some(filter) = &arguments.filter {
        let wanted = filter.to_lowercase();
        conversations.retain(|one| {
            one.title.to_lowercase().contains(&wanted) || name(one).to_lowercase().contains(&wanted)
        });
        if conversations.is_empty() {
            return Err(format!(
                "no conversation in {} has `{filter}` in its title or name",
                folder.display()
            )
            .into());
        }
    }
    let stage = stage(&package, &host::module_cache()?)?;
    let (mut passed, mut failed) = (0, 0);
    for conversation in &conversations {
        let played = conversation.play(&stage)?;
        if played.passed() {
            passed += 1
        } else {
            failed += 1
        }
        if arguments.json {
            super::say(told(conversation, &played))?;
        } else if played.passed() {
            super::say(format!("ok    {} ({})", played.title, name(conversation)))?;
        } else {
            super::say(format!("FAIL  {} ({})\n{played}", played.title, name(conversation)))?;
        }
    }
    if arguments.json {
        super::say(json!({ "passed": passed, "failed": failed }))?;
    } else {
        super::say(format!("{passed} passed, {failed} failed"))?;
    }
    if failed == 0 {
        Ok(())
    } else {
        Err(format!("{failed} of {} conversations failed", passed + failed).into())
    }
}

/// The conversations of a package, compared with it; every fault of all of them is told at once.
pub(super) fn conversations(package: &Package) -> Result<Vec<Conversation>, Failure> {
    Ok(conversation::of_package(package)?)
}

fn name(conversation: &Conversation) -> String {
    conversation.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn told(conversation: &Conversation, played: &Played) -> serde_json::Value {
    json!({
        "conversation": name(conversation),
        "title": played.title,
        "passed": played.passed(),
        "result": played.rehearsed.result(),
        "seconds": played.rehearsed.seconds(),
        "kopecks": played.rehearsed.charge.total.0,
        "fault": played.rehearsed.fault(),
        "differences": played.differences,
        "talk": played.rehearsed.entries,
    })
}
