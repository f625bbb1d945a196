//! Logs in memory: a model of what a store may do, for tests.
//!
//! It follows Kafka where stores differ: open and aborted records and the marks of commits occupy
//! offsets, readers stop before the first open record, a writer fences its predecessor of the same
//! name, and what a crashed writer left open stays so until its successor comes. A test plans a
//! crash at any operation, before or after its effect; every handle then fails until the test
//! opens the next process. Processes may also run beside each other, as members of a group.

mod group;
mod handles;
mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use group::MemoryGroup;
use handles::{MemoryFetcher, MemoryReader, MemoryWriter};
pub use state::Side;
use state::State;

use super::{Fetcher, Group, Layout, Offsets, Reader, Received, Record, Result, Store, Writer};

/// Logs in memory. Clones see the same logs and belong to the same process.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    process: usize,
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
            process: 0,
        }
    }

    /// Lets the `operation`-th operation from now on crash, counted from 1, before or after it has
    /// taken effect.
    ///
    /// Operations are the calls of the store and its handles, but for polls that find nothing,
    /// whose number depends on the clock.
    pub fn crash_at(&self, operation: u64, side: Side) {
        self.state().plan_crash(self.process, operation, side);
    }

    /// How many operations this process has done.
    pub fn operations(&self) -> u64 {
        self.state().operations(self.process)
    }

    /// The next process: handles of earlier ones fail from now on, and no crash is planned.
    pub fn reopen(&self) -> MemoryStore {
        let process = self.state().reopen();
        self.handle(process)
    }

    /// The same logs for a process beside this one: crashes, failures and pauses of the one are not
    /// the other's.
    pub fn fork(&self) -> MemoryStore {
        let process = self.state().fork();
        self.handle(process)
    }

    fn handle(&self, process: usize) -> MemoryStore {
        self.shared.changed.notify_all();
        MemoryStore {
            shared: Arc::clone(&self.shared),
            process,
        }
    }

    /// Lets the `operation`-th operation from now on fail without an effect, as when a broker is
    /// away for a moment.
    pub fn fail_at(&self, operation: u64) {
        self.state().plan_failure(self.process, operation);
    }

    /// Stops this process where it stands, or lets it go on.
    pub fn set_paused(&self, paused: bool) {
        self.state().set_paused(self.process, paused);
        self.shared.changed.notify_all();
    }

    /// From now on there are groups in this store; otherwise a log has one reader that counts.
    pub fn allow_groups(&self) {
        self.state().groups.get_or_insert_default();
    }

    /// Lets the group share its log out anew, to the members that live: `pick` is asked for each
    /// partition which of so many members is given it.
    ///
    /// Members are asked to give back what they have, and awaited for `patience`. A member that has
    /// not done so is put out. Those for whom `deaf` is true, told by their number in the order of
    /// joining, are put out without being asked while they have something: they go on, and find out
    /// when they commit. Returns how many were put out.
    pub fn rebalance(
        &self,
        group: &str,
        patience: Duration,
        deaf: impl Fn(usize) -> bool,
        mut pick: impl FnMut(usize) -> usize,
    ) -> usize {
        let deadline = Instant::now() + patience;
        let mut state = self.state();
        let dead = state.dead();
        let unheard = state.group(group).revoke(&dead, deaf);
        self.shared.changed.notify_all();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !state.group(group).is_held() {
                break;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let late = state.group(group).share_out(&mut pick);
        drop(state);
        self.shared.changed.notify_all();
        unheard + late
    }

    /// How far a group has read its log; no operation in the sense of [`MemoryStore::crash_at`].
    pub fn committed_offsets(&self, group: &str) -> Vec<Option<u64>> {
        self.state().group(group).offsets.clone()
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

    /// Lets the store forget how far a group has read, as a broker does with groups that have had
    /// no member for long.
    pub fn forget_offsets(&self, group: &str) {
        self.state().group(group).offsets.fill(None);
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

    /// The state, as soon as the process is not paused.
    fn state_for(&self, process: usize) -> MutexGuard<'_, State> {
        let paused = |state: &mut State| state.is_paused(process);
        let waited = self.changed.wait_while(self.state(), paused);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one operation, unless the process is over or the crash is planned for here.
    fn operate<T>(
        &self,
        process: usize,
        operation: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        let result = self.state_for(process).operate(process, operation);
        self.changed.notify_all();
        result
    }
}

impl Store for MemoryStore {
    fn partitions(&self, log: &str) -> Result<Option<u16>> {
        self.shared
            .operate(self.process, |state| Ok(state.partitions(log)))
    }

    fn create(&self, log: &str, layout: Layout) -> Result<u16> {
        self.shared
            .operate(self.process, |state| Ok(state.create(log, layout)))
    }

    fn ends(&self, log: &str) -> Result<Offsets> {
        self.shared.operate(self.process, |state| state.ends(log))
    }

    fn reader(&self, log: &str, from: &Offsets) -> Result<Box<dyn Reader>> {
        let offsets = self
            .shared
            .operate(self.process, |state| state.start(log, from))?;
        let (shared, process) = (Arc::clone(&self.shared), self.process);
        Ok(Box::new(MemoryReader {
            shared,
            process,
            log: log.to_owned(),
            offsets,
        }))
    }

    fn fetcher(&self, log: &str) -> Result<Box<dyn Fetcher>> {
        self.shared.operate(self.process, |state| state.ends(log))?;
        let (shared, process) = (Arc::clone(&self.shared), self.process);
        Ok(Box::new(MemoryFetcher {
            shared,
            process,
            log: log.to_owned(),
        }))
    }

    fn writer(&self, name: &str, logs: &[&str]) -> Result<Box<dyn Writer>> {
        let opened = self.shared.operate(self.process, |state| {
            for log in logs {
                state.ends(log)?;
            }
            Ok(state.open_writer(name))
        });
        let (generation, position) = opened?;
        Ok(Box::new(MemoryWriter {
            shared: Arc::clone(&self.shared),
            process: self.process,
            name: name.to_owned(),
            logs: logs.iter().map(|log| (*log).to_owned()).collect(),
            generation,
            position,
        }))
    }

    fn position(&self, writer: &str) -> Result<Option<Vec<u8>>> {
        self.shared
            .operate(self.process, |state| Ok(state.position(writer)))
    }

    fn group(&self, name: &str, log: &str, outputs: &[&str]) -> Result<Option<Box<dyn Group>>> {
        let joined = self.shared.operate(self.process, |state| {
            let partitions = state.ends(log)?.0.len();
            for output in outputs {
                state.ends(output)?;
            }
            let Some(groups) = &mut state.groups else {
                return Ok(None);
            };
            Ok(Some(groups.of(name, partitions).join(self.process)))
        });
        let (shared, process) = (Arc::clone(&self.shared), self.process);
        let group = joined?.map(|member| {
            let outputs = outputs.iter().map(|log| (*log).to_owned()).collect();
            MemoryGroup::new(shared, process, name, outputs, member)
        });
        Ok(group.map(|group| Box::new(group) as Box<dyn Group>))
    }
}

#[cfg(test)]
mod tests;
