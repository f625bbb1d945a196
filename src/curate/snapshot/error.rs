//! Why a snapshot cannot be written, or cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// What is the matter with a snapshot. None of it stops the stream: the scored log has everything.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file operation failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The bytes are not those that were written.
    #[error("{path} is damaged at byte {byte}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage shows.
        byte: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// It was made of another log, or of another one of the same name.
    #[error("{path} was made of another scored log: {reason}")]
    OtherLog {
        /// The file.
        path: PathBuf,
        /// What tells them apart.
        reason: String,
    },
    /// Other things were read of the documents than the rules need.
    #[error("{path} was made where {reason}")]
    OtherReading {
        /// The file.
        path: PathBuf,
        /// What was different.
        reason: &'static str,
    },
    /// It holds documents that no committed epoch has read.
    #[error("{path} reaches beyond the last commit")]
    Beyond {
        /// The file.
        path: PathBuf,
    },
    /// The engine is ending: what was begun is of no use.
    #[error("the engine has ended")]
    Ended,
}

/// The result of what is done with snapshots.
pub type Result<T> = std::result::Result<T, SnapshotError>;

/// Names the file in an error of the operating system's.
pub fn io(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_path_buf();
    move |source| SnapshotError::Io { path, source }
}
