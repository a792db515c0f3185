//! Packages on their way: unpacked into a folder of their own, away from the threads of calls.

use std::path::Path;

use zvonar_scenario::{Package, PackageFaults, archive};

use super::{DeployError, Result};

/// Unpacks an archive into a folder of its own below `scratch`, which goes with the guard, and opens it.
pub(super) fn open(archive: &[u8], scratch: &Path) -> Result<(tempfile::TempDir, Package)> {
    let folder = tempfile::Builder::new().prefix("package-").tempdir_in(scratch);
    let folder = folder.map_err(|source| DeployError::Scratch { folder: scratch.to_owned(), source })?;
    let refused = |faults: Vec<String>| DeployError::Refused(relative(faults, folder.path()));
    archive::unpack(archive, folder.path()).map_err(|faults| refused(sentences(&faults)))?;
    let package = Package::open(folder.path()).map_err(|faults| refused(sentences(&faults)))?;
    Ok((folder, package))
}

pub(super) fn sentences(PackageFaults(faults): &PackageFaults) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// Paths as the author knows them: the folder is ours.
pub(super) fn relative(faults: Vec<String>, folder: &Path) -> Vec<String> {
    let folder = format!("{}/", folder.display());
    faults.into_iter().map(|fault| fault.replace(&folder, "")).collect()
}

/// Work that would hold up the calls of this thread.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|bug| {
        tracing::error!(%bug, "a bug stopped a deployment");
        DeployError::Bug
    })
}

pub(super) fn make_scratch(scratch: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(scratch)
}
