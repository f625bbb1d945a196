//! Names, folders and locks: where a store's files lie, and who may write them.
//!
//! ```text
//! DIR/journal, DIR/journal.lock         what is committed; held while an entry is appended
//! DIR/writers/NAME.lock                 held by the live writer of the name
//! DIR/logs/NAME/layout, lock            partitions of the log; held by the writer of the log
//! DIR/logs/NAME/PARTITION/OFFSET.seg    frames, from this offset on
//! DIR/logs/NAME/PARTITION/OFFSET.idx    where they stand in a closed segment; can be remade
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{corrupt, io};
use crate::log::{Layout, LogError, Result};

const VERSION_LINE: &str = "riffle log 1";

/// The paths under a store's directory.
#[derive(Clone, Debug)]
pub struct Paths(PathBuf);

impl Paths {
    /// The paths of the store in `dir`.
    pub fn new(dir: &Path) -> Self {
        Paths(dir.to_path_buf())
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// The journal of commits.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// What a process holds while it appends to the journal.
    pub fn journal_lock(&self) -> PathBuf {
        self.0.join("journal.lock")
    }

    /// The folder of the logs.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The folder of the writers' locks.
    pub fn writers(&self) -> PathBuf {
        self.0.join("writers")
    }

    /// The folder of a log.
    pub fn log(&self, log: &str) -> PathBuf {
        self.logs().join(log)
    }

    /// What the writer of a log holds.
    pub fn log_lock(&self, log: &str) -> PathBuf {
        self.log(log).join("lock")
    }

    /// What the live writer of a name holds.
    pub fn writer_lock(&self, name: &str) -> PathBuf {
        self.writers().join(format!("{name}.lock"))
    }

    /// The folder of a partition's segments.
    pub fn partition(&self, log: &str, partition: u16) -> PathBuf {
        partition_dir(&self.log(log), partition)
    }
}

fn partition_dir(log_dir: &Path, partition: u16) -> PathBuf {
    log_dir.join(format!("{partition:05}"))
}

/// Refuses names that Kafka would refuse as topics, so that a log can move there, and that could
/// leave the store's directory.
pub fn check_name(name: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let dots = name == "." || name == "..";
    if name.is_empty() || name.len() > 249 || dots || !name.chars().all(fine) {
        return Err(LogError::BadName {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// Creates the lock file if needed and holds it, or says that another holds it.
///
/// The operating system releases it when the process ends, in whichever way.
pub fn try_lock(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked {
            path: path.to_path_buf(),
        }),
        Err(TryLockError::Error(e)) => Err(io(path)(e)),
    }
}

/// Opens a lock file, made if needed, without taking the lock.
pub fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(io(path))
}

/// The log's layout, or `None` where there is no such log.
pub fn read_layout(paths: &Paths, log: &str) -> Result<Option<Layout>> {
    let path = paths.log(log).join("layout");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(&path)(e)),
    };
    let layout = parse(&text).ok_or_else(|| corrupt(&path, 0, "this is no log's layout"))?;
    Ok(Some(layout))
}

pub(super) fn parse(text: &str) -> Option<Layout> {
    let mut lines = text.lines();
    if lines.next()? != VERSION_LINE {
        return None;
    }
    let partitions = lines.next()?.strip_prefix("partitions ")?.parse().ok()?;
    let compacted = lines.next()?.strip_prefix("compacted ")?.parse().ok()?;
    (partitions > 0).then_some(Layout {
        partitions,
        compacted,
    })
}

/// Makes the log's folder; whole or not at all, since it is made aside and renamed.
///
/// Where another process was faster, its layout stands.
pub fn create(paths: &Paths, log: &str, layout: Layout) -> Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // The blank keeps it apart from every log's name.
    let aside = paths
        .logs()
        .join(format!("{log} {} {count}", std::process::id()));
    let result = create_in(&aside, layout).and_then(|()| {
        fs::rename(&aside, paths.log(log)).map_err(io(&paths.log(log)))?;
        sync_dir(&paths.logs())
    });
    if result.is_err() {
        let _ = fs::remove_dir_all(&aside);
        if paths.log(log).join("layout").exists() {
            return Ok(());
        }
    }
    result
}

fn create_in(dir: &Path, layout: Layout) -> Result<()> {
    for partition in 0..layout.partitions.max(1) {
        let dir = partition_dir(dir, partition);
        fs::create_dir_all(&dir).map_err(io(&dir))?;
    }
    let path = dir.join("layout");
    let partitions = layout.partitions.max(1);
    let text = format!(
        "{VERSION_LINE}\npartitions {partitions}\ncompacted {}\n",
        layout.compacted
    );
    fs::write(&path, text).map_err(io(&path))?;
    File::open(&path)
        .and_then(|file| file.sync_all())
        .map_err(io(&path))?;
    sync_dir(dir)
}

/// Makes the names in a folder durable.
pub fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io(dir))
}
