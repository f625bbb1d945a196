//! Commits epochs: scored records and dead letters in input order, with the place in the input.

use std::sync::Arc;
use std::time::Instant;

use super::output::Output;
use super::pending::{Prepared, Step};
use crate::dataflow::{Job, Mark};
use crate::engine::{Counters, EngineError, commit_epoch};
use crate::log::{LogError, Offsets, Record};
use crate::records::{Scored, cut, dead_letter};

/// As much of a document as a dead letter keeps when it is too large for its log.
const PREFIX_BYTES: usize = 1 << 10;

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
    pub output: Output,
    /// The log that documents come from, for dead letters.
    pub documents: String,
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
        let (mut documents, Some(offsets)) = sort(epoch.records) else {
            return Ok(Vec::new());
        };
        let logs = Logs {
            documents: &self.documents,
            scored: &self.scored,
            dead_letters: &self.dead_letters,
        };
        let start = Instant::now();
        commit_epoch(&mut self.output, epoch.epoch, |output| {
            for prepared in &mut documents {
                logs.append(output, prepared)?;
            }
            Ok(output.commit(epoch.epoch, &offsets)?)
        })?;
        let (epoch, records, took) = (epoch.epoch, documents.len(), start.elapsed());
        tracing::debug!(epoch, records, ?took, "an epoch is committed");
        self.count(&documents);
        Ok(Vec::new())
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

/// The logs' names.
struct Logs<'a> {
    documents: &'a str,
    scored: &'a str,
    dead_letters: &'a str,
}

impl Logs<'_> {
    /// Appends what has become of a record; one too large for the scored log is a dead letter.
    fn append(&self, output: &mut Output, prepared: &mut Prepared) -> Result<(), EngineError> {
        let Prepared { position, step } = prepared;
        if let Step::Append(record, _) = step {
            match output.append(self.scored, position.partition(), record.clone()) {
                Err(error @ LogError::TooLarge { .. }) => {
                    let record = document_of(std::mem::take(record))?;
                    let letter = dead_letter(record, &error.to_string(), self.documents, *position);
                    *step = Step::DeadLetter(letter);
                }
                done => return Ok(done?),
            }
        }
        match step {
            Step::DeadLetter(letter) => self.append_dead_letter(output, letter),
            Step::Append(..) | Step::Measure(_) => {
                unreachable!("the model has scored what it was given")
            }
        }
    }

    fn append_dead_letter(
        &self,
        output: &mut Output,
        letter: &mut Record,
    ) -> Result<(), EngineError> {
        match output.append(self.dead_letters, 0, letter.clone()) {
            Err(LogError::TooLarge { .. }) => {
                cut(letter, PREFIX_BYTES);
                Ok(output.append(self.dead_letters, 0, letter.clone())?)
            }
            done => Ok(done?),
        }
    }
}

/// The document of a scored record, under its id, as it stood in the documents log.
fn document_of(scored: Record) -> Result<Record, EngineError> {
    let value = match &scored.value {
        Some(bytes) => Some(Scored::decode(bytes)?.document.to_vec()),
        None => None,
    };
    Ok(Record { value, ..scored })
}

/// The epoch's records in the order of the input, and its end.
fn sort(outcomes: Vec<Outcome>) -> (Vec<Prepared>, Option<Offsets>) {
    let (mut documents, mut offsets) = (Vec::with_capacity(outcomes.len()), None);
    for outcome in outcomes {
        match outcome {
            Outcome::Document(prepared) => documents.push(prepared),
            Outcome::Mark(mark) => offsets = mark.offsets.into_iter().next(),
        }
    }
    documents.sort_unstable_by_key(|prepared| prepared.position);
    (documents, offsets)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::log::local::{LocalOptions, LocalStore};
    use crate::log::{Layout, Position, Store};
    use crate::records::Codes;

    const LIMIT: usize = 4000;

    fn scored(id: &str, document: &[u8]) -> Step {
        let value = Scored {
            mean_nll_nats: 2.0,
            tokens: 3,
            truncated: false,
            scorer: "a model",
            sketch: 0,
            codes: Codes::default(),
            embedding: Vec::new(),
            quality: None,
            skill: None,
            document,
        };
        let record = Record {
            key: Some(id.into()),
            value: Some(value.encode()),
            headers: Vec::new(),
        };
        Step::Append(record, 3)
    }

    fn read(store: &LocalStore, log: &str) -> Vec<Record> {
        let mut reader = store
            .reader(log, &Offsets::start(1))
            .expect("the log exists");
        let records = reader.poll(Duration::ZERO).expect("it reads");
        records
            .into_iter()
            .map(|received| received.record)
            .collect()
    }

    #[test]
    fn a_record_too_large_for_its_log_is_a_dead_letter_and_the_epoch_is_committed() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = LocalOptions {
            record_bytes_max: LIMIT,
            ..LocalOptions::default()
        };
        let store = LocalStore::open(dir.path(), options).expect("a store");
        let layout = Layout {
            partitions: 1,
            compacted: false,
        };
        for log in ["scored", "dead-letters"] {
            store.create(log, layout).expect("a log");
        }
        let mut commit = Commit {
            output: Output::Alone(
                store
                    .writer("score", &["scored", "dead-letters"])
                    .expect("a writer"),
            ),
            documents: "documents".into(),
            scored: "scored".into(),
            dead_letters: "dead-letters".into(),
            counters: Arc::default(),
        };
        let texts = ["x".repeat(LIMIT - 200), "z".repeat(LIMIT)];
        let documents = texts.iter().zip(0u64..).map(|(text, offset)| {
            Outcome::Document(Prepared {
                position: Position::new(0, offset),
                step: scored(&offset.to_string(), text.as_bytes()),
            })
        });
        let mark = Outcome::Mark(Mark {
            offsets: vec![Offsets(vec![2])],
        });
        let records = documents.chain([mark]).collect();
        commit
            .commit(Job { epoch: 0, records })
            .expect("an epoch is committed");
        assert_eq!(read(&store, "scored").len(), 1);
        let letters = read(&store, "dead-letters");
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].key.as_deref(), Some(&b"1"[..]));
        assert_eq!(letters[0].value.as_deref(), Some(&[b'z'; PREFIX_BYTES][..]));
        let size = LIMIT.to_string().into_bytes();
        assert!(letters[0].headers.contains(&("cut-from".into(), size)));
        let (name, reason) = &letters[0].headers[0];
        let reason = String::from_utf8_lossy(reason);
        assert!(
            name == "reason" && reason.contains("over the limit of 4000"),
            "{reason}"
        );
    }
}
