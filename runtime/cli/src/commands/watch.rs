//! `zvonar watch`: every save of a package is built, tested and deployed.
//!
//! Files are looked at three times a second rather than watched by the kernel: it is the same on every file system, in
//! containers and over mounts, and a package is a few files. Whatever fails, the version in use stays in use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use zvonar_api::VersionInfo;
use zvonar_scenario::Manifest;

use super::{Failure, deploy, versions};
use crate::client::{Client, Whom};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(300);
/// How many looks pass between two questions after the calls on old versions.
const LOOKS_A_QUESTION: u32 = 3;
/// Folders and files that hold what was made, not what is written.
const MADE: &[&str] =
    &["target", "node_modules", "dist", "build", "__pycache__", "venv", "Cargo.lock", "package-lock.json"];

/// What `zvonar watch` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The package's folder: the one with `scenario.toml`.
    package: PathBuf,
    #[command(flatten)]
    whom: Whom,
}

/// What a change asks for. The greater includes the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// The conversations or the sounds changed: test and deploy.
    Deploy,
    /// The code or the manifest changed: build before.
    Build,
}

/// Files with what tells that they changed.
type Files = BTreeMap<PathBuf, (SystemTime, u64)>;

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.whom)?;
    let package = arguments.package;
    // A package that is no package at all is told at once; one that is broken for the moment is waited for.
    let mut layout = Layout::of(&package)?;
    say(format_args!("watching {}; Ctrl-C ends", layout.folders()))?;
    let mut seen = layout.files();
    let mut need = Some(Need::Build);
    let mut old_calls = OldCalls::default();
    for look in 0_u32.. {
        if let Some(needed) = need {
            // What is saved while it is being built belongs to the next round.
            let before = layout.files();
            round(&client, &package, needed, &mut old_calls)?;
            layout = Layout::of(&package).unwrap_or(layout);
            seen = layout.after_build(before);
        }
        std::thread::sleep(LOOK);
        if look % LOOKS_A_QUESTION == 0 {
            old_calls.ask(&client)?;
        }
        let now = layout.files();
        need = layout.need(&seen, &now);
        if need.is_some() {
            // An editor may write several files: until nothing more changes.
            settle(&layout, now);
        }
    }
    Ok(())
}

fn settle(layout: &Layout, mut now: Files) {
    loop {
        std::thread::sleep(LOOK);
        let later = layout.files();
        if later == now {
            return;
        }
        now = later;
    }
}

/// Builds, tests and deploys once. What fails is told; only a reader that has gone ends the watching.
fn round(client: &Client, package: &Path, need: Need, old_calls: &mut OldCalls) -> Result<(), Failure> {
    let done = attempt(client, package, need);
    match done {
        Ok(told) => {
            old_calls.of = Some(told.scenario.clone());
            say(deploy::told(&told))
        }
        Err(why) => say(format_args!("{why}\nnothing was deployed; the version in use stays")),
    }
}

fn attempt(client: &Client, package: &Path, need: Need) -> Result<zvonar_api::Deployed, Failure> {
    let manifest = Manifest::open(package)?;
    if need == Need::Build && manifest.language.is_some() {
        itself(&["build"], package)?;
    }
    if has_conversations(package) {
        itself(&["test"], package)?;
    }
    let archive = deploy::packed(package)?;
    deploy::upload(client, &archive, None, "saved")
}

fn has_conversations(package: &Path) -> bool {
    fs::read_dir(package.join("conversations")).is_ok_and(|mut files| files.next().is_some())
}

/// Runs another command of this program on the package, with its output as ours.
fn itself(words: &[&str], package: &Path) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    let status = Command::new(program).args(words).arg(package).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`zvonar {}` failed ({status})", words.join(" ")).into())
    }
}

/// Where the files of a package are.
#[derive(Debug)]
struct Layout {
    package: PathBuf,
    source: Option<PathBuf>,
    component: PathBuf,
    prompts: PathBuf,
}

impl Layout {
    fn of(package: &Path) -> Result<Self, Failure> {
        let manifest = Manifest::open(package)?;
        let source = manifest.source.map(|source| package.join(source)).filter(|source| source.is_dir());
        Ok(Self {
            source,
            component: package.join(manifest.component),
            prompts: package.join(manifest.prompts),
            package: package.to_owned(),
        })
    }

    fn folders(&self) -> String {
        match &self.source {
            Some(source) => format!("{} and {}", self.package.display(), source.display()),
            None => self.package.display().to_string(),
        }
    }

    fn files(&self) -> Files {
        let mut files = Files::new();
        gather(&self.package, &mut files);
        if let Some(source) = &self.source {
            gather(source, &mut files);
        }
        files
    }

    /// What `zvonar build` makes.
    fn is_made(&self, file: &Path) -> bool {
        file == self.component || file.starts_with(&self.prompts)
    }

    /// The files as they were before a round, but for what the round itself has made.
    fn after_build(&self, before: Files) -> Files {
        let mut seen: Files = before.into_iter().filter(|(file, _)| !self.is_made(file)).collect();
        seen.extend(self.files().into_iter().filter(|(file, _)| self.is_made(file)));
        seen
    }

    /// What the difference asks for.
    fn need(&self, before: &Files, now: &Files) -> Option<Need> {
        let changed = now.iter().filter(|(file, mark)| before.get(*file) != Some(mark)).map(|(file, _)| file);
        let gone = before.keys().filter(|file| !now.contains_key(*file));
        changed.chain(gone).filter_map(|file| self.need_of(file)).max()
    }

    fn need_of(&self, file: &Path) -> Option<Need> {
        if self.is_made(file) || file.starts_with(self.package.join("conversations")) {
            return Some(Need::Deploy);
        }
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("md" | "zvonar") => None,
            _ => Some(Need::Build),
        }
    }
}

fn gather(folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || name.ends_with('~') || MADE.contains(&&*name) {
            continue;
        }
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => gather(&path, files),
            Ok(meta) if meta.is_file() => {
                let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.insert(path, (modified, meta.len()));
            }
            _ => {}
        }
    }
}

/// The calls that are still on versions of before.
#[derive(Debug, Default)]
struct OldCalls {
    /// Whose; `None`: there is nothing to wait for.
    of: Option<String>,
    told: String,
}

impl OldCalls {
    /// Tells when their number changes, and once more when there is none left.
    fn ask(&mut self, client: &Client) -> Result<(), Failure> {
        let Some(scenario) = self.of.clone() else { return Ok(()) };
        // A host that is away for a moment is asked again.
        let Ok(list) = versions::of(client, &scenario) else { return Ok(()) };
        let told = still(&list.versions);
        if told.is_empty() {
            self.of = None;
            if !self.told.is_empty() {
                say(format_args!("{scenario}: the last call on an old version has ended"))?;
            }
        } else if told != self.told {
            say(format_args!("{scenario}: {told}"))?;
        }
        self.told = told;
        Ok(())
    }
}

/// `3 calls still on v6`, empty when all are on what is in use.
fn still(versions: &[VersionInfo]) -> String {
    let old = versions.iter().filter(|version| !matches!(&*version.state, "live" | "canary"));
    let old = old.filter(|version| version.calls_now > 0);
    let told = old.map(|version| {
        let word = if version.calls_now == 1 { "call" } else { "calls" };
        format!("{} {word} still on v{}", version.calls_now, version.number)
    });
    told.collect::<Vec<_>>().join(", ")
}

fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    super::say(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let package = PathBuf::from("menu");
        Layout {
            source: Some("guests/menu".into()),
            component: package.join("menu.wasm"),
            prompts: package.join("prompts"),
            package,
        }
    }

    #[test]
    fn a_change_is_built_only_when_code_or_manifest_changed() {
        let table = [
            ("menu/scenario.toml", Some(Need::Build)),
            ("guests/menu/src/lib.rs", Some(Need::Build)),
            ("guests/menu/Cargo.toml", Some(Need::Build)),
            ("menu/prompts/menu.wav", Some(Need::Deploy)),
            ("menu/menu.wasm", Some(Need::Deploy)),
            ("menu/conversations/one.yaml", Some(Need::Deploy)),
            ("menu/README.md", None),
            ("menu/menu.zvonar", None),
        ];
        for (file, need) in table {
            assert_eq!(layout().need_of(Path::new(file)), need, "{file}");
        }
    }

    #[test]
    fn new_changed_and_deleted_files_are_all_changes() {
        let mark = |length| (SystemTime::UNIX_EPOCH, length);
        let files = |files: &[(&str, u64)]| {
            files.iter().map(|(file, length)| (PathBuf::from(file), mark(*length))).collect::<Files>()
        };
        let before = files(&[("menu/scenario.toml", 1), ("menu/prompts/a.wav", 1)]);
        let cases: [(&[(&str, u64)], Option<Need>); 4] = [
            (&[("menu/scenario.toml", 1), ("menu/prompts/a.wav", 1)], None),
            (&[("menu/scenario.toml", 1), ("menu/prompts/a.wav", 2)], Some(Need::Deploy)),
            (&[("menu/scenario.toml", 1)], Some(Need::Deploy)),
            (&[("menu/scenario.toml", 1), ("menu/prompts/a.wav", 1), ("menu/lib.rs", 1)], Some(Need::Build)),
        ];
        for (now, need) in cases {
            assert_eq!(layout().need(&before, &files(now)), need, "{now:?}");
        }
    }
}
