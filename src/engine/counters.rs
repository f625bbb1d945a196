//! Counts of what the engine does, for progress, summaries and metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start of the process; any thread may read and add.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records read from the documents log.
    pub read: AtomicU64,
    /// Scored records committed.
    pub scored: AtomicU64,
    /// Tokens scored and committed.
    pub tokens: AtomicU64,
    /// Dead letters committed.
    pub dead_letters: AtomicU64,
    /// Records read from the scored log, those of a replay among them.
    pub scored_read: AtomicU64,
    /// Live documents at the last complete epoch.
    pub live: AtomicU64,
    /// Curated documents at the last committed epoch.
    pub curated: AtomicU64,
    /// Documents that entered the curated set.
    pub admitted: AtomicU64,
    /// Documents that left the curated set.
    pub withdrawn: AtomicU64,
    /// Epochs that `curate` has committed.
    pub commits: AtomicU64,
    /// The last committed epoch of `curate`.
    pub epoch: AtomicU64,
}

impl Counters {
    /// Adds to one of the counts.
    pub fn add(count: &AtomicU64, n: u64) {
        count.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets one of the counts.
    pub fn set(count: &AtomicU64, n: u64) {
        count.store(n, Ordering::Relaxed);
    }

    /// Reads one of the counts.
    pub fn get(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}
