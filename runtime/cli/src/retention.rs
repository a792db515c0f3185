//! How long the sounds of answers are kept: each tenant has a folder, and says for how many days.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use zvonar_model::UnixMillis;
use zvonar_switch::clock;

use crate::config::Config;

/// How often is looked.
const ROUND: Duration = Duration::from_secs(6 * 3600);

/// Removes what is too old, now and every few hours, until `over`.
pub(crate) async fn keep(config: &Config, mut over: watch::Receiver<bool>) {
    let answers = config.node.data.join("answers");
    let folders = config.tenants.iter().map(|tenant| (answers.join(tenant.id.as_str()), tenant.answers_days));
    let folders: Vec<(PathBuf, u32)> = folders.collect();
    loop {
        let (folders, now) = (folders.clone(), clock::wall());
        let swept = tokio::task::spawn_blocking(move || {
            for (folder, days) in &folders {
                match sweep(folder, *days, now) {
                    Ok(0) => {}
                    Ok(removed) => {
                        tracing::info!(folder = %folder.display(), removed, "old answers are gone")
                    }
                    Err(why) => tracing::error!(folder = %folder.display(), %why, "old answers stay"),
                }
            }
        });
        if let Err(bug) = swept.await {
            tracing::error!(%bug, "a bug stopped the removal of old answers");
        }
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            _ = over.wait_for(|over| *over) => return,
        }
    }
}

/// Removes the sounds of a folder that were written more than so many days before `now`; tells how many. A folder that is
/// not there has none.
fn sweep(folder: &Path, days: u32, now: UnixMillis) -> std::io::Result<usize> {
    let oldest = u64::try_from(now.0).unwrap_or(0).saturating_sub(u64::from(days) * 24 * 3_600_000);
    let oldest = std::time::UNIX_EPOCH + Duration::from_millis(oldest);
    let entries = match fs::read_dir(folder) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let sound = entry.path().extension().is_some_and(|extension| extension == "wav");
        if sound && entry.metadata()?.modified()? < oldest {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sounds_that_are_too_old_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let day = 24 * 3600;
        let now = UnixMillis(100 * day * 1000);
        for (name, age) in [("old.wav", 31), ("new.wav", 29), ("old.txt", 99)] {
            let file = fs::File::create(folder.path().join(name)).expect("a file");
            let written = Duration::from_secs((100 - age) * day as u64);
            file.set_modified(std::time::UNIX_EPOCH + written).expect("a time");
        }
        assert_eq!(sweep(folder.path(), 30, now).expect("it can be read"), 1);
        let left = |name: &str| folder.path().join(name).exists();
        assert_eq!((left("old.wav"), left("new.wav"), left("old.txt")), (false, true, true));
        assert_eq!(sweep(&folder.path().join("nobody"), 30, now).expect("nothing is no fault"), 0);
    }
}
