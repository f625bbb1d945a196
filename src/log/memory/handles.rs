//! The readers, fetchers and writers of a memory store.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::Shared;
use crate::log::{Fetcher, LogError, Offsets, Position, Reader, Received, Record, Result, Writer};

/// Reads a memory log.
pub struct MemoryReader {
    pub shared: Arc<Shared>,
    pub process: usize,
    pub log: String,
    pub offsets: Offsets,
}

impl Reader for MemoryReader {
    fn poll(&mut self, timeout: Duration) -> Result<Vec<Received>> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.state_for(self.process);
        loop {
            state.check_alive(self.process)?;
            let (records, offsets) = state.read(&self.log, &self.offsets)?;
            if !records.is_empty() {
                state.operate(self.process, |_| Ok(()))?;
                self.offsets = offsets;
                return Ok(records);
            }
            self.offsets = offsets;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(records);
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            state = self.shared.state_for(self.process);
        }
    }

    fn offsets(&self) -> &Offsets {
        &self.offsets
    }
}

/// Fetches from a memory log.
pub struct MemoryFetcher {
    pub shared: Arc<Shared>,
    pub process: usize,
    pub log: String,
}

impl Fetcher for MemoryFetcher {
    fn fetch(
        &mut self,
        positions: &[Position],
        each: &mut dyn FnMut(Position, Record),
    ) -> Result<()> {
        let records = self.shared.operate(self.process, |state| {
            positions
                .iter()
                .map(|position| state.get(&self.log, *position))
                .collect::<Result<Vec<_>>>()
        })?;
        for (position, record) in positions.iter().zip(records) {
            each(*position, record);
        }
        Ok(())
    }
}

/// Writes to memory logs.
pub struct MemoryWriter {
    pub shared: Arc<Shared>,
    pub process: usize,
    pub name: String,
    pub logs: Vec<String>,
    pub generation: u64,
    pub position: Option<Vec<u8>>,
}

impl Writer for MemoryWriter {
    fn position(&self) -> Option<&[u8]> {
        self.position.as_deref()
    }

    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
        if !self.logs.iter().any(|known| known == log) {
            return Err(LogError::Missing {
                log: log.to_owned(),
                store: "memory".to_owned(),
            });
        }
        self.shared.operate(self.process, |state| {
            state.check_generation(&self.name, self.generation)?;
            state.append(&self.name, log, partition, record)
        })
    }

    fn commit(&mut self, position: &[u8]) -> Result<()> {
        self.shared.operate(self.process, |state| {
            state.check_generation(&self.name, self.generation)?;
            state.commit(&self.name, position);
            Ok(())
        })?;
        self.position = Some(position.to_vec());
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        self.shared.operate(self.process, |state| {
            state.check_generation(&self.name, self.generation)?;
            state.abort(&self.name);
            Ok(())
        })
    }
}

impl Drop for MemoryWriter {
    /// Abandons what is open, unless the incarnation has crashed: a dead process aborts nothing.
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let alive = state.check_alive(self.process).is_ok();
        if alive && state.check_generation(&self.name, self.generation).is_ok() {
            state.abort(&self.name);
            self.shared.changed.notify_all();
        }
    }
}
