//! A mirror: a bounded copy on local disk of a log whose store is slow at single records.
//!
//! Kafka takes about a millisecond to fetch one record, and a moving cut admits thousands of
//! documents an epoch. So what the readers of one log read passes through here into segments of
//! frames, the oldest of which go when the bound is reached; a fetch looks here first and asks the
//! store only for the rest. The mirror is a cache and no more: it begins empty; it is never flushed;
//! and when its disk fails it forgets instead of failing.
//!
//! Where the first reader does not begin with the log, because a snapshot stands for what is before,
//! a thread reads that in the background, for the mirror alone, as long as there is room.

mod before;
mod copy;
mod fetcher;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use copy::{Copies, Side};
use fetcher::MirrorFetcher;

use super::{Fetcher, Layout, Offsets, Reader, Received, Result, Store, Writer};

/// A store of which one log has a mirror.
pub struct MirroredStore {
    store: Arc<dyn Store>,
    log: String,
    copies: Arc<Copies>,
    /// Whether a reader has begun.
    has_begun: AtomicBool,
}

impl MirroredStore {
    /// `store`, with the records of `log` that its readers pass copied into `dir`, whose segments
    /// never take more than `bytes_max` bytes there. What `dir` held before is removed.
    ///
    /// # Errors
    /// [`super::LogError::Locked`] where another process keeps a mirror in `dir`,
    /// [`super::LogError::Io`] where it cannot be made.
    pub fn new(store: Arc<dyn Store>, log: &str, dir: &Path, bytes_max: u64) -> Result<Self> {
        let copies = Arc::new(Copies::new(dir, bytes_max)?);
        Ok(MirroredStore {
            store,
            log: log.to_owned(),
            copies,
            has_begun: AtomicBool::new(false),
        })
    }
}

impl Store for MirroredStore {
    fn partitions(&self, log: &str) -> Result<Option<u16>> {
        self.store.partitions(log)
    }

    fn create(&self, log: &str, layout: Layout) -> Result<u16> {
        self.store.create(log, layout)
    }

    fn ends(&self, log: &str) -> Result<Offsets> {
        self.store.ends(log)
    }

    fn reader(&self, log: &str, from: &Offsets) -> Result<Box<dyn Reader>> {
        let reader = self.store.reader(log, from)?;
        if log != self.log {
            return Ok(reader);
        }
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            before::copy(&self.store, log, from, &self.copies);
        }
        Ok(Box::new(MirrorReader {
            reader,
            copies: Arc::clone(&self.copies),
        }))
    }

    fn fetcher(&self, log: &str) -> Result<Box<dyn Fetcher>> {
        let fetcher = self.store.fetcher(log)?;
        if log != self.log {
            return Ok(fetcher);
        }
        Ok(Box::new(MirrorFetcher::new(
            fetcher,
            Arc::clone(&self.copies),
        )))
    }

    fn writer(&self, name: &str, logs: &[&str]) -> Result<Box<dyn Writer>> {
        self.store.writer(name, logs)
    }

    fn position(&self, writer: &str) -> Result<Option<Vec<u8>>> {
        self.store.position(writer)
    }
}

/// Reads the log, and copies what it reads.
struct MirrorReader {
    reader: Box<dyn Reader>,
    copies: Arc<Copies>,
}

impl Reader for MirrorReader {
    fn poll(&mut self, timeout: Duration) -> Result<Vec<Received>> {
        let records = self.reader.poll(timeout)?;
        self.copies.take_in(Side::Passing, &records);
        Ok(records)
    }

    fn offsets(&self) -> &Offsets {
        self.reader.offsets()
    }
}

#[cfg(test)]
mod tests;
