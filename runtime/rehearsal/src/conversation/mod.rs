//! Conversations: what a caller does, and what must come of it. The tests of a scenario, in a language that anybody reads.
//!
//! They lie in a package's folder `conversations`, one a file (`*.yaml`):
//!
//! ```yaml
#![doc = include_str!("format.yaml")]
//! ```
//!
//! [`crate::script`] says when each step happens. Every step must come to pass: one that never did fails the conversation,
//! and so does a scenario that trapped, unless that is what `fault` expects.
//!
//! Reading finds every fault, each with its file and line, and every name is compared with the package before anything runs
//! ([`of_package`]).

mod fit;
mod judge;
mod read;
mod yaml;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use zvonar_ledger::PriceList;
use zvonar_scenario::ports::Destination;
use zvonar_scenario::{Package, PackageFault, PackageFaults};

pub use judge::{Difference, Played};
pub(crate) use read::{step_of_json, time};

use crate::script::Step;
use crate::stage::Setup;

/// All that a conversation may have, as an example with a comment on each line.
pub const FORMAT: &str = include_str!("format.yaml");

/// The folder of a package's conversations.
pub const FOLDER: &str = "conversations";

/// A value and the line that it stands on.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    /// Counted from 1.
    pub line: usize,
    /// The value.
    pub value: T,
}

/// One conversation, as its file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// Its file.
    pub file: PathBuf,
    /// What it is about.
    pub title: String,
    /// With whom, when, on what host; its settings are not filled in yet.
    pub setup: Setup,
    /// The settings that it names, and the line on which they begin.
    pub settings: At<BTreeMap<String, String>>,
    /// The price list to use, inside the package; absent: the stage's.
    pub tariff: Option<At<PathBuf>>,
    /// The same, once [`Conversation::fits`] has read it.
    pub prices: Option<PriceList>,
    /// What the caller does, each with its line.
    pub talk: VecDeque<(usize, Step)>,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of a talk. What is absent is not looked at, except a fault, which nobody expects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    /// The result in the words of the reports.
    pub result: Option<At<String>>,
    /// Who hung up.
    pub hangs_up: Option<At<crate::timeline::Side>>,
    /// To whom the caller was handed last; `None` inside: to nobody.
    pub transfer: Option<At<Option<Destination>>>,
    /// All texts: to whom, if that matters, and what.
    pub sms: Option<At<Vec<(Option<String>, String)>>>,
    /// Fields that were written, each with its line.
    pub fields: BTreeMap<String, At<String>>,
    /// All notes.
    pub notes: Option<At<Vec<String>>>,
    /// A part of the reason for the blacklist; `None` inside: not blocked.
    pub blocked: Option<At<Option<String>>>,
    /// What the call costs.
    pub kopecks: Option<At<i64>>,
    /// How long it is, in started seconds.
    pub seconds: Option<At<u64>>,
    /// A part of the sentence; `None` inside: no fault.
    pub fault: Option<At<Option<String>>>,
}

/// Reads the conversations of a package's folder, in the order of their names, and tells every fault of every file. A
/// package need not have any.
pub fn read_folder(package: &Path) -> (Vec<Conversation>, Vec<PackageFault>) {
    let folder = package.join(FOLDER);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return (Vec::new(), Vec::new()),
        Err(why) => {
            let what = format!("the folder of conversations cannot be read: {why}");
            return (Vec::new(), vec![PackageFault { file: folder, line: None, what }]);
        }
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
    files.sort();
    let (mut conversations, mut faults) = (Vec::new(), Vec::new());
    for file in files {
        match read::file(&file) {
            Ok(conversation) => conversations.push(conversation),
            Err(found) => faults.extend(found),
        }
    }
    (conversations, faults)
}

/// The conversations of a package, each compared with it.
///
/// # Errors
///
/// Every fault of every file.
pub fn of_package(package: &Package) -> Result<Vec<Conversation>, PackageFaults> {
    let (mut conversations, mut faults) = read_folder(&package.folder);
    for conversation in &mut conversations {
        faults.extend(conversation.fits(package));
    }
    // By file and line, whichever look found them.
    faults.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    if faults.is_empty() { Ok(conversations) } else { Err(PackageFaults(faults)) }
}

#[cfg(test)]
mod tests;
