//! Redeliver: feeds dead letters again after a fix, each once, unless something newer has come.
//!
//! What was appended and how far the dead letters were dealt with commit together, so that a
//! redelivery that dies loses nothing and doubles nothing. A letter that is left for another time,
//! by a filter or because it would be a dead letter again, holds the place back; letters behind it
//! that have gone are known by a header of the record that they became.

mod deliver;
mod letter;
mod newer;
mod summary;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::engine::{EngineError, Steps};
use crate::log::{LogError, Offsets, Position, Store, scan};
use crate::records::Progress;
use deliver::Delivery;
use letter::{Letter, Verdict};
use newer::Newer;

pub use summary::RedeliverSummary;

/// Which dead letters to feed again, and where.
pub struct Redeliver {
    /// The store of the documents log.
    pub documents_store: Arc<dyn Store>,
    /// The log of documents.
    pub documents: String,
    /// The store of the dead letters.
    pub letters_store: Arc<dyn Store>,
    /// The log of dead letters.
    pub letters: String,
    /// The largest document that the scorer takes.
    pub document_bytes_max: usize,
    /// Only letters whose reason holds this text.
    pub reason: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Set to end early; what was committed stays.
    pub stop: Arc<AtomicBool>,
    /// What is going on, for whoever waits.
    pub steps: Arc<Steps>,
}

/// Why a redelivery failed. What it committed before stays.
#[derive(Debug, thiserror::Error)]
pub enum RedeliverError {
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The last redelivery's place does not read, or a commit failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It was told to stop.
    #[error("stopped; what was delivered before stays, and the next call goes on from there")]
    Stopped,
}

/// Feeds the dead letters again that can be documents now, and says what became of all.
///
/// Memory: 40 bytes and more a letter that is looked at, and one transaction of letters.
///
/// # Errors
/// [`RedeliverError`] when a log fails.
pub fn redeliver(redeliver: &Redeliver) -> Result<RedeliverSummary, RedeliverError> {
    let mut summary = RedeliverSummary {
        dry_run: redeliver.dry_run,
        ..RedeliverSummary::default()
    };
    let (letters, documents) = (&redeliver.letters, &redeliver.documents);
    if redeliver.letters_store.partitions(letters)?.is_none()
        || redeliver.documents_store.partitions(documents)?.is_none()
    {
        return Ok(summary);
    }
    // The writer first: on local logs nobody else appends while it is held.
    let mut delivery = Delivery::open(redeliver)?;
    let ends = redeliver.letters_store.ends(letters)?;
    let range = [&delivery.place(), &ends];
    let newer = Newer::find(redeliver, range)?;
    redeliver
        .steps
        .begin("delivering", range[0].distance(&ends));
    each_letter(redeliver, range, |letter| {
        let verdict = match letter.verdict(redeliver) {
            Verdict::Deliver(document) => newer.verdict(&letter, document),
            other => other,
        };
        delivery.take(letter, verdict, &mut summary)
    })?;
    delivery.finish()?;
    delivery.check_overtaken(&newer, &mut summary)?;
    Ok(summary)
}

/// The name of the writer: at most one is live. It names the log, since on one Kafka cluster other
/// pipelines may have dead letters of their own.
fn writer_of(letters: &str) -> String {
    format!("redeliver-{letters}")
}

/// How far the dead letters have been dealt with.
fn place_of(bytes: Option<&[u8]>, letters: &str) -> Result<Progress, EngineError> {
    let Some(bytes) = bytes else {
        return Ok(Progress::new(0, Offsets::start(1), String::new()));
    };
    Progress::decode(bytes).map_err(|source| EngineError::Progress {
        writer: writer_of(letters),
        source,
    })
}

/// Calls `each` with the letters of a part of their log, in order.
fn each_letter(
    redeliver: &Redeliver,
    range: [&Offsets; 2],
    mut each: impl FnMut(Letter) -> Result<(), RedeliverError>,
) -> Result<(), RedeliverError> {
    let (store, log) = (redeliver.letters_store.as_ref(), &redeliver.letters);
    let done = scan(store, log, range, &redeliver.stop, |received| {
        redeliver.steps.read();
        // Dead letters stand in one partition.
        match received.position.partition() {
            0 => each(Letter::new(received)),
            _ => Ok(()),
        }
    })?;
    match done {
        true => Ok(()),
        false => Err(RedeliverError::Stopped),
    }
}

/// The header by which a record of the documents log says which dead letter it was.
const REDELIVERED: &str = "riffle-redelivered";

/// The place of a dead letter, as that header has it.
fn told(place: Position) -> Vec<u8> {
    place.to_string().into_bytes()
}
