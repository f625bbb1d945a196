//! The directory of snapshots: which there are, and which is used.
//!
//! ```text
//! DIR/lock               held by the process that makes snapshots here
//! DIR/EPOCH.snapshot     as of the end of this epoch
//! DIR/*.tmp              what is being made; removed at the next start
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Result, io};
use super::file::Snapshot;
use crate::log::LogError;
use crate::log::local::layout::{sync_dir, try_lock};

const EXTENSION: &str = "snapshot";

/// A directory of snapshots, for this process alone. Clones hold it together.
#[derive(Clone)]
pub struct Folder {
    path: PathBuf,
    _lock: Arc<File>,
}

impl Folder {
    /// Makes the directory if needed, takes it, and removes what a process left unfinished there.
    ///
    /// # Errors
    /// [`LogError::Locked`] where another process has taken it.
    pub fn take(path: &Path) -> std::result::Result<Self, LogError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LogError::Io { path, source }
        };
        fs::create_dir_all(path).map_err(failed(path))?;
        let lock = Arc::new(try_lock(&path.join("lock"))?);
        let folder = Folder {
            path: path.to_path_buf(),
            _lock: lock,
        };
        for path in files(path, "tmp").map_err(failed(path))? {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
        Ok(folder)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a snapshot is made.
    pub fn temporary(&self) -> PathBuf {
        self.path.join("snapshot.tmp")
    }

    /// Gives a finished snapshot its name.
    pub fn keep(&self, temporary: &Path, epoch: u64) -> Result<PathBuf> {
        let path = self.path.join(format!("{epoch:020}.{EXTENSION}"));
        fs::rename(temporary, &path).map_err(io(&path))?;
        sync_dir(&self.path).map_err(|error| io(&self.path)(std::io::Error::other(error)))?;
        Ok(path)
    }

    /// Removes all snapshots.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn remove_all(&self) -> std::result::Result<(), LogError> {
        self.remove_all_but([].into_iter())
            .map_err(|error| LogError::Io {
                path: self.path.clone(),
                source: std::io::Error::other(error),
            })
    }

    /// Removes all snapshots but these.
    pub fn remove_all_but<'a>(&self, kept: impl Iterator<Item = &'a Snapshot>) -> Result<()> {
        let kept: Vec<&Path> = kept.map(|snapshot| snapshot.path.as_path()).collect();
        for path in snapshots(&self.path).map_err(io(&self.path))? {
            if !kept.contains(&path.as_path()) {
                fs::remove_file(&path).map_err(io(&path))?;
            }
        }
        Ok(())
    }
}

/// The files of snapshots in a directory, the newest first; none where there is no directory.
pub fn snapshots(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = files(dir, EXTENSION)?;
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

fn files(dir: &Path, extension: &str) -> std::io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let wanted = |path: &std::io::Result<PathBuf>| {
        let path = path.as_ref();
        path.map_or(true, |path| {
            path.extension().is_some_and(|it| it == extension)
        })
    };
    paths.filter(wanted).collect()
}
