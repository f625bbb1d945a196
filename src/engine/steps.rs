//! What a command that reads whole logs is doing, for whoever waits for it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Counters;

/// The step that is being done, and how far it is. Any thread may look.
#[derive(Debug, Default)]
pub struct Steps {
    step: Mutex<Step>,
    read: AtomicU64,
    /// What a replay counts.
    counters: Arc<Counters>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    name: &'static str,
    total: u64,
}

impl Steps {
    /// The next step, which will read about so many records.
    pub(crate) fn begin(&self, name: &'static str, total: u64) {
        tracing::debug!(name, total);
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = Step { name, total };
        Counters::set(&self.counters.scored_read, 0);
        Counters::set(&self.read, 0);
    }

    /// One record more was read.
    pub(crate) fn read(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
    }

    /// What a replay counts in.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { name, total } = *self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Counters::get(&self.read) + Counters::get(&self.counters.scored_read);
        write!(f, "{name}: {read} of {total} records read")
    }
}
