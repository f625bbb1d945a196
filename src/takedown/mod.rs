//! Takedowns by hand: appends them to the documents log, and tells how far they have come.
//!
//! A takedown is a record without a value. It passes through the same logs as documents do, so it
//! is complete in a stage when the stage's committed place is behind it.

mod report;
mod track;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::engine::{EngineError, commit_epoch};
use crate::log::{self, Offsets, Record, Store, partition_of};
use track::Track;

pub use report::{Found, Stages, TakedownReport, Taken};

/// How often a takedown that is waited for is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often the stop flag is.
const TICK: Duration = Duration::from_millis(50);

/// What to take down, and where it has to go through.
pub struct Takedown {
    /// The ids of the documents.
    pub ids: BTreeSet<String>,
    /// The store of the documents log.
    pub documents_store: Arc<dyn Store>,
    /// The log of documents.
    pub documents: String,
    /// The store of the scored log.
    pub scored_store: Arc<dyn Store>,
    /// The log of scored records.
    pub scored: String,
    /// The store of what is published.
    pub curated_store: Arc<dyn Store>,
    /// The log of curated documents.
    pub curated: String,
    /// The log of statistics.
    pub statistics: String,
    /// The directory of curate's snapshots.
    pub snapshots: PathBuf,
    /// Only tell how far earlier takedowns have come.
    pub status: bool,
    /// Wait until they have come through all stages.
    pub wait: bool,
    /// Set to wait no longer.
    pub stop: Arc<AtomicBool>,
}

/// Takes the documents down, unless only their status is asked for, and says how far each is.
///
/// With `wait` it returns when all have come through, or when told to stop; `tell` is called with
/// each report before, whenever something has changed. Brokers that are away meanwhile are waited
/// for.
///
/// # Errors
/// [`EngineError`] when a log fails, or a position does not read.
pub fn takedown(
    takedown: &Takedown,
    tell: &mut dyn FnMut(&TakedownReport),
) -> Result<TakedownReport, EngineError> {
    let mut track = match takedown.status {
        true => Track::new(takedown),
        false => {
            let track = Track::from_here(takedown)?;
            append(takedown)?;
            track
        }
    };
    let mut last = None;
    loop {
        let is_last = !takedown.wait || takedown.stop.load(Ordering::Relaxed);
        match track.report() {
            Ok(report) if report.complete || is_last => return Ok(report),
            Ok(report) => {
                if last.as_ref() != Some(&report) {
                    tell(&report);
                }
                last = Some(report);
            }
            // The takedowns stand in the log: they go their way whatever is known of it here.
            Err(EngineError::Log(error)) if error.may_pass() && !is_last => {
                tracing::warn!(%error, "how far the takedowns are is looked at again");
            }
            Err(error) => return Err(error),
        }
        pause(&takedown.stop);
    }
}

/// Appends a tombstone for each id, all in one commit.
fn append(takedown: &Takedown) -> Result<(), EngineError> {
    let log = &takedown.documents;
    let partitions = partitions(takedown)?;
    // Takedowns in other logs of the same Kafka cluster must not fence this one.
    let name = format!("takedown-{log}");
    let mut writer = takedown.documents_store.writer(&name, &[log])?;
    commit_epoch(writer.as_mut(), 0, |writer| {
        for id in &takedown.ids {
            let tombstone = Record {
                key: Some(id.clone().into_bytes()),
                ..Record::default()
            };
            writer.append(log, partition_of(id.as_bytes(), partitions), tombstone)?;
        }
        Ok(writer.commit(&[])?)
    })
}

fn partitions(takedown: &Takedown) -> Result<u16, EngineError> {
    let log = &takedown.documents;
    let partitions = takedown.documents_store.partitions(log)?;
    partitions.ok_or_else(|| EngineError::NoDocuments { log: log.clone() })
}

/// The present end of a log; `None` where there is no such log.
fn end(store: &dyn Store, log: &str) -> log::Result<Option<Offsets>> {
    match store.partitions(log)? {
        Some(_) => store.ends(log).map(Some),
        None => Ok(None),
    }
}

fn pause(stop: &AtomicBool) {
    let begun = Instant::now();
    while begun.elapsed() < EVERY && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Layout;
    use crate::log::memory::MemoryStore;

    #[test]
    fn fault_brokers_that_are_away_are_waited_for_with_those_who_wait() {
        let memory = MemoryStore::new();
        let layout = Layout {
            partitions: 1,
            compacted: false,
        };
        memory.create("documents", layout).unwrap();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let snapshots = tempfile::tempdir().unwrap();
        let waiting = Takedown {
            ids: ["a".to_owned()].into(),
            documents_store: Arc::clone(&store),
            documents: "documents".to_owned(),
            scored_store: Arc::clone(&store),
            scored: "scored".to_owned(),
            curated_store: store,
            curated: "curated".to_owned(),
            statistics: "statistics".to_owned(),
            snapshots: snapshots.path().to_owned(),
            status: false,
            wait: true,
            stop: Arc::default(),
        };
        let mut told = Vec::new();
        let report = takedown(&waiting, &mut |report| {
            told.push(report.documents[0].found);
            match told.len() {
                1 => {
                    let document = Record {
                        key: Some(b"a".to_vec()),
                        value: Some(b"fed again".to_vec()),
                        headers: Vec::new(),
                    };
                    memory.produce("documents", 0, vec![document]).unwrap();
                    memory.fail_at(1);
                }
                _ => waiting.stop.store(true, Ordering::Relaxed),
            }
        });
        assert!(!report.unwrap().complete);
        assert_eq!(told, [Found::TakenDown, Found::Live]);
    }
}
