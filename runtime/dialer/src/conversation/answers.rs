//! What a caller said on one call, for the record: each answer that is charged, with its sound on the disk.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;
use zvonar_media::recording::write_wav;
use zvonar_model::{AttemptId, RecognisedAnswer, TenantId};

/// The answers of one call.
#[derive(Debug)]
pub(super) struct Answers {
    /// The host's folder of answers.
    folder: PathBuf,
    /// The beginning of the files' names, within it.
    stem: String,
    told: Vec<RecognisedAnswer>,
    /// Each file that is being written, by its answer's place.
    writing: JoinSet<(usize, std::io::Result<()>)>,
}

impl Answers {
    pub(super) fn new(folder: PathBuf, tenant: &TenantId, attempt: &AttemptId) -> Self {
        Self { folder, stem: format!("{tenant}/{attempt}"), told: Vec::new(), writing: JoinSet::new() }
    }

    /// Takes an answer in, and begins to write its sound: the caller need not wait for the disk.
    pub(super) fn add(&mut self, answer: RecognisedAnswer, sound: Arc<[i16]>) {
        let place = self.told.len();
        let name = format!("{}-{}.wav", self.stem, place + 1);
        let path = self.folder.join(&name);
        self.told.push(RecognisedAnswer { sound: Some(name), ..answer });
        self.writing.spawn_blocking(move || (place, write(&path, &sound)));
    }

    /// All of them, their sounds written. One that could not be is without.
    pub(super) async fn finish(mut self) -> Vec<RecognisedAnswer> {
        while let Some(written) = self.writing.join_next().await {
            let (place, why) = match written {
                Ok((_, Ok(()))) => continue,
                Ok((place, Err(why))) => (Some(place), why.to_string()),
                Err(bug) => (None, bug.to_string()),
            };
            let folder = self.folder.display();
            tracing::error!(%why, %folder, "the sound of an answer could not be kept");
            if let Some(answer) = place.and_then(|place| self.told.get_mut(place)) {
                answer.sound = None;
            }
        }
        self.told
    }
}

/// On the disk before the call is charged.
fn write(path: &Path, sound: &[i16]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::create(path)?;
    write_wav(BufWriter::new(&mut file), sound)?;
    file.sync_all()
}
