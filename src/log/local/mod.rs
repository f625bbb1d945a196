//! Logs in local files: one directory, no server, several processes at once.
//!
//! Each partition is a series of [segments](segment) of [frames](frame); one [journal] says how far
//! every partition is committed, so that a commit over several logs is one append. Readers never
//! look behind the committed end, and what lies there is cut by the next writer. All that is
//! appended is kept: a compacted log differs from others only where it lives on Kafka.

mod codec;
mod fetcher;
pub(super) mod frame;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod index;
mod journal;
pub(crate) mod layout;
pub(super) mod pick;
mod reader;
mod segment;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fetcher::LocalFetcher;
use journal::{End, Journal};
use layout::{Paths, check_name, create, read_layout};
use reader::LocalReader;
use writer::LocalWriter;

use super::{Fetcher, Layout, LogError, Offsets, Reader, Result, Store, Writer};

/// How often a waiting reader looks for what other processes committed.
const FOLLOW_EVERY: Duration = Duration::from_millis(4);

/// How a local store works.
#[derive(Clone, Copy, Debug)]
pub struct LocalOptions {
    /// Whether a commit survives the loss of power, not only of the process. Costs two to three
    /// flushes of the disk a commit.
    pub durable: bool,
    /// The largest record that is taken, in bytes; at most 256 MiB.
    pub record_bytes_max: usize,
    /// The journal is rewritten when it grows past this many bytes.
    pub journal_bytes_max: u64,
    /// A segment file is closed when it reaches this many bytes.
    pub segment_bytes: u64,
}

impl Default for LocalOptions {
    fn default() -> Self {
        LocalOptions {
            durable: true,
            record_bytes_max: 64 << 20,
            journal_bytes_max: 4 << 20,
            segment_bytes: 128 << 20,
        }
    }
}

/// Logs in one directory.
///
/// Any number of processes read, and each log has one writer at a time, guarded by a file lock.
#[derive(Clone)]
pub struct LocalStore(Arc<Shared>);

/// What the handles of a store in this process have in common.
struct Shared {
    paths: Paths,
    options: LocalOptions,
    journal: Mutex<Journal>,
    committed: Condvar,
}

impl LocalStore {
    /// Opens the store in `dir`, which is made if needed.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] where the journal is damaged, [`LogError::Io`] where files cannot be
    /// made or read.
    pub fn open(dir: &Path, options: LocalOptions) -> Result<LocalStore> {
        let record_bytes_max = options.record_bytes_max.min(256 << 20);
        let options = LocalOptions {
            record_bytes_max,
            ..options
        };
        let paths = Paths::new(dir);
        for dir in [paths.logs(), paths.writers()] {
            fs::create_dir_all(&dir).map_err(io(&dir))?;
        }
        let journal = Journal::open(&paths, options.journal_bytes_max, options.durable)?;
        let (journal, committed) = (Mutex::new(journal), Condvar::new());
        Ok(LocalStore(Arc::new(Shared {
            paths,
            options,
            journal,
            committed,
        })))
    }

    fn layout(&self, log: &str) -> Result<Option<Layout>> {
        check_name(log)?;
        read_layout(&self.0.paths, log)
    }

    fn known(&self, log: &str) -> Result<Layout> {
        self.layout(log)?.ok_or_else(|| self.0.missing(log))
    }
}

impl Shared {
    /// The journal. It holds no half-done change when a thread panics: entries are taken in whole.
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something may have been committed, at most `timeout`.
    fn wait(&self, timeout: Duration) -> Result<()> {
        let journal = self.journal();
        let waited = self
            .committed
            .wait_timeout(journal, timeout.min(FOLLOW_EVERY));
        waited.unwrap_or_else(PoisonError::into_inner).0.refresh()
    }

    fn ends(&self, log: &str, partitions: u16) -> Vec<End> {
        let journal = self.journal();
        (0..partitions)
            .map(|partition| journal.state().end(log, partition))
            .collect()
    }

    fn missing(&self, log: &str) -> LogError {
        let store = self.paths.dir().display().to_string();
        LogError::Missing {
            log: log.to_owned(),
            store,
        }
    }
}

impl Store for LocalStore {
    fn partitions(&self, log: &str) -> Result<Option<u16>> {
        Ok(self.layout(log)?.map(|layout| layout.partitions))
    }

    fn create(&self, log: &str, layout: Layout) -> Result<u16> {
        if self.layout(log)?.is_none() {
            create(&self.0.paths, log, layout)?;
        }
        Ok(self.known(log)?.partitions)
    }

    fn ends(&self, log: &str) -> Result<Offsets> {
        let layout = self.known(log)?;
        self.0.journal().refresh()?;
        let ends = self.0.ends(log, layout.partitions);
        Ok(Offsets(ends.into_iter().map(|end| end.offset).collect()))
    }

    fn reader(&self, log: &str, from: &Offsets) -> Result<Box<dyn Reader>> {
        let layout = self.known(log)?;
        self.0.journal().refresh()?;
        let reader = LocalReader::new(Arc::clone(&self.0), log, layout.partitions, from)?;
        Ok(Box::new(reader))
    }

    fn fetcher(&self, log: &str) -> Result<Box<dyn Fetcher>> {
        let layout = self.known(log)?;
        Ok(Box::new(LocalFetcher::new(
            Arc::clone(&self.0),
            log,
            layout.partitions,
        )))
    }

    fn writer(&self, name: &str, logs: &[&str]) -> Result<Box<dyn Writer>> {
        check_name(name)?;
        let layouts = logs
            .iter()
            .map(|log| Ok((*log, self.known(log)?.partitions)));
        let layouts = layouts.collect::<Result<Vec<_>>>()?;
        Ok(Box::new(LocalWriter::new(
            Arc::clone(&self.0),
            name,
            &layouts,
        )?))
    }

    fn position(&self, writer: &str) -> Result<Option<Vec<u8>>> {
        check_name(writer)?;
        let mut journal = self.0.journal();
        journal.refresh()?;
        Ok(journal.state().position(writer).map(<[u8]>::to_vec))
    }
}

/// Names the file in an error of the operating system's.
pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> LogError {
    let path: PathBuf = path.to_path_buf();
    move |source| LogError::Io { path, source }
}

fn corrupt(path: &Path, byte: u64, reason: impl Into<String>) -> LogError {
    LogError::Corrupt {
        path: path.to_path_buf(),
        byte,
        reason: reason.into(),
    }
}
