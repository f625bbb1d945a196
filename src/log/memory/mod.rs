//! Logs in memory: a model of what a store may do, for tests.
//!
//! It follows Kafka where stores differ: open and aborted records and the marks of commits occupy
//! offsets, readers stop before the first open record, a writer fences its predecessor of the same
//! name, and what a crashed writer left open stays so until its successor comes. A test plans a
//! crash at any operation, before or after its effect; every handle then fails until the test
//! opens the next incarnation, as a process would after its restart.

mod handles;
mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use handles::{MemoryFetcher, MemoryReader, MemoryWriter};
pub use state::Side;
use state::State;

use super::{Fetcher, Layout, Offsets, Reader, Received, Record, Result, Store, Writer};

/// Logs in memory. Clones see the same logs and belong to the same incarnation.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    incarnation: u64,
}

/// What all handles have in common.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl MemoryStore {
    /// A store without logs.
    pub fn new() -> Self {
        let shared = Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        };
        MemoryStore {
            shared: Arc::new(shared),
            incarnation: 0,
        }
    }

    /// Lets the `operation`-th operation from now on crash, counted from 1, before or after it has
    /// taken effect.
    ///
    /// Operations are the calls of the store and its handles, but for polls that find nothing,
    /// whose number depends on the clock.
    pub fn crash_at(&self, operation: u64, side: Side) {
        self.state().plan_crash(operation, side);
    }

    /// How many operations this incarnation has done.
    pub fn operations(&self) -> u64 {
        self.state().operations()
    }

    /// The next incarnation: handles of earlier ones fail from now on, and no crash is planned.
    pub fn reopen(&self) -> MemoryStore {
        let incarnation = self.state().reopen();
        self.shared.changed.notify_all();
        MemoryStore {
            shared: Arc::clone(&self.shared),
            incarnation,
        }
    }

    /// Lets polls return at most so many records, so that tests see many small ones.
    pub fn set_poll_records_max(&self, records: usize) {
        self.state().poll_records_max = records.max(1);
    }

    /// The committed records of a log, partition after partition; no operation in the sense of
    /// [`MemoryStore::crash_at`].
    pub fn committed(&self, log: &str) -> Vec<Received> {
        self.state().committed(log)
    }

    /// Appends committed records by the side of every writer, as another producer would; no
    /// operation in the sense of [`MemoryStore::crash_at`].
    ///
    /// # Errors
    /// [`crate::log::LogError::Missing`], [`crate::log::LogError::NoPartition`].
    pub fn produce(&self, log: &str, partition: u16, records: Vec<Record>) -> Result<()> {
        self.state().produce(log, partition, records)?;
        self.shared.changed.notify_all();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    /// The state. A thread that panics leaves no half-done change that a test would rely on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one operation, unless the incarnation is over or the crash is planned for here.
    fn operate<T>(
        &self,
        incarnation: u64,
        operation: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        let result = self.state().operate(incarnation, operation);
        self.changed.notify_all();
        result
    }
}

impl Store for MemoryStore {
    fn partitions(&self, log: &str) -> Result<Option<u16>> {
        self.shared
            .operate(self.incarnation, |state| Ok(state.partitions(log)))
    }

    fn create(&self, log: &str, layout: Layout) -> Result<u16> {
        self.shared
            .operate(self.incarnation, |state| Ok(state.create(log, layout)))
    }

    fn ends(&self, log: &str) -> Result<Offsets> {
        self.shared
            .operate(self.incarnation, |state| state.ends(log))
    }

    fn reader(&self, log: &str, from: &Offsets) -> Result<Box<dyn Reader>> {
        let offsets = self
            .shared
            .operate(self.incarnation, |state| state.start(log, from))?;
        let (shared, incarnation) = (Arc::clone(&self.shared), self.incarnation);
        Ok(Box::new(MemoryReader {
            shared,
            incarnation,
            log: log.to_owned(),
            offsets,
        }))
    }

    fn fetcher(&self, log: &str) -> Result<Box<dyn Fetcher>> {
        self.shared
            .operate(self.incarnation, |state| state.ends(log))?;
        let (shared, incarnation) = (Arc::clone(&self.shared), self.incarnation);
        Ok(Box::new(MemoryFetcher {
            shared,
            incarnation,
            log: log.to_owned(),
        }))
    }

    fn writer(&self, name: &str, logs: &[&str]) -> Result<Box<dyn Writer>> {
        let opened = self.shared.operate(self.incarnation, |state| {
            for log in logs {
                state.ends(log)?;
            }
            Ok(state.open_writer(name))
        });
        let (generation, position) = opened?;
        Ok(Box::new(MemoryWriter {
            shared: Arc::clone(&self.shared),
            incarnation: self.incarnation,
            name: name.to_owned(),
            logs: logs.iter().map(|log| (*log).to_owned()).collect(),
            generation,
            position,
        }))
    }

    fn position(&self, writer: &str) -> Result<Option<Vec<u8>>> {
        self.shared
            .operate(self.incarnation, |state| Ok(state.position(writer)))
    }
}

#[cfg(test)]
mod tests;
