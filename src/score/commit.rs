//! Commits epochs: scored records and dead letters in input order, with the place in the input.

use std::sync::Arc;
use std::time::Duration;

use super::prepare::{Prepared, Step};
use crate::dataflow::{Job, Mark};
use crate::engine::{Counters, EngineError};
use crate::log::{Offsets, Writer};
use crate::records::Progress;

/// How long to wait before an epoch is tried again after an error that aborts its transaction.
const RETRY: Duration = Duration::from_millis(500);

/// What the dataflow tells of an epoch.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A record with nothing left to do but to append it.
    Document(Prepared),
    /// The epoch's end: how far the documents log was read.
    Mark(Mark),
}

/// Turns epochs into transactions.
pub struct Commit {
    /// Where both logs are appended.
    pub writer: Box<dyn Writer>,
    /// The log of scored records.
    pub scored: String,
    /// The log of dead letters, with one partition in use.
    pub dead_letters: String,
    /// What is counted on the way.
    pub counters: Arc<Counters>,
}

impl Commit {
    /// Commits a complete epoch; returns once it is durable.
    pub fn commit(&mut self, epoch: Job<Outcome>) -> Result<Vec<()>, EngineError> {
        // An epoch without a mark was cut short by the end of its reader: it is not committed.
        let (documents, Some(offsets)) = sort(epoch.records) else {
            return Ok(Vec::new());
        };
        while let Err(error) = self.append(epoch.epoch, &documents, &offsets) {
            match error {
                EngineError::Log(error) if !error.is_fatal() => {
                    let epoch = epoch.epoch;
                    tracing::warn!(epoch, %error, "the epoch's transaction is aborted and tried again");
                    std::thread::sleep(RETRY);
                    self.writer.abort()?;
                }
                fatal => return Err(fatal),
            }
        }
        self.count(&documents);
        Ok(Vec::new())
    }

    fn append(
        &mut self,
        epoch: u64,
        documents: &[Prepared],
        offsets: &Offsets,
    ) -> Result<(), EngineError> {
        for Prepared { position, step } in documents {
            match step {
                Step::Append(record, _) => {
                    self.writer
                        .append(&self.scored, position.partition(), record.clone())?;
                }
                Step::DeadLetter(record) => {
                    self.writer.append(&self.dead_letters, 0, record.clone())?;
                }
                Step::Measure(_) => unreachable!("the model has scored what it was given"),
            }
        }
        let progress = Progress::new(epoch, offsets.clone(), String::new());
        Ok(self.writer.commit(&progress.encode())?)
    }

    fn count(&self, documents: &[Prepared]) {
        for Prepared { position, step } in documents {
            match step {
                Step::Append(_, tokens) => {
                    Counters::add(&self.counters.scored, 1);
                    Counters::add(&self.counters.tokens, u64::from(*tokens));
                }
                Step::DeadLetter(letter) => {
                    Counters::add(&self.counters.dead_letters, 1);
                    let reason = letter.headers.first().map(|(_, reason)| reason.as_slice());
                    let reason = String::from_utf8_lossy(reason.unwrap_or_default());
                    tracing::debug!(%position, %reason, "dead letter");
                }
                Step::Measure(_) => {}
            }
        }
    }
}

/// The epoch's records in the order of the input, and its end.
fn sort(outcomes: Vec<Outcome>) -> (Vec<Prepared>, Option<Offsets>) {
    let (mut documents, mut offsets) = (Vec::with_capacity(outcomes.len()), None);
    for outcome in outcomes {
        match outcome {
            Outcome::Document(prepared) => documents.push(prepared),
            Outcome::Mark(mark) => offsets = Some(mark.offsets),
        }
    }
    documents.sort_unstable_by_key(|prepared| prepared.position);
    (documents, offsets)
}
