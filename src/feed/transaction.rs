//! What is read but not yet committed.
//!
//! It is held until the commit has succeeded, so that a transaction that Kafka aborts is done
//! again: a pipe cannot be read twice.

use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, Kind, reject};
use super::lines::PREFIX_BYTES;
use crate::log::{LogError, Result, Writer, partition_of};

/// How often a transaction is done again, and how long the first wait is; each doubles the last.
const ATTEMPTS_MAX: u32 = 5;
const WAIT: Duration = Duration::from_millis(200);

/// How many records of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) documents: u64,
    pub(crate) takedowns: u64,
    pub(crate) rejected: u64,
}

/// Entries to be committed to a log at once.
pub(crate) struct Transaction<'a> {
    log: &'a str,
    partitions: u16,
    entries: Vec<(Arc<str>, Entry)>,
    bytes: usize,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(log: &'a str, partitions: u16) -> Self {
        Transaction {
            log,
            partitions,
            entries: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds an entry of the file `name`.
    pub(crate) fn push(&mut self, name: &Arc<str>, entry: Entry) {
        self.bytes += entry.record.value.as_ref().map_or(0, Vec::len) + 64;
        self.entries.push((name.clone(), entry));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Commits the entries with `position`, and leaves none. The result counts them.
    ///
    /// A record that is larger than the log takes becomes a reject.
    ///
    /// # Errors
    /// Those of the writer, once doing it again has not helped.
    pub(crate) fn commit(&mut self, writer: &mut dyn Writer, position: &[u8]) -> Result<Counts> {
        let mut attempt = 0;
        while let Err(error) = self.try_commit(writer, position) {
            attempt += 1;
            if attempt == ATTEMPTS_MAX || !needs_abort(&error) {
                return Err(error);
            }
            tracing::warn!(%error, attempt, "the commit of a feed is tried again");
            writer.abort()?;
            std::thread::sleep(WAIT * (1 << (attempt - 1)));
        }
        let mut counts = Counts::default();
        for (_, entry) in self.entries.drain(..) {
            match entry.kind {
                Kind::Document => counts.documents += 1,
                Kind::Takedown => counts.takedowns += 1,
                Kind::Reject => counts.rejected += 1,
            }
        }
        self.bytes = 0;
        Ok(counts)
    }

    fn try_commit(&mut self, writer: &mut dyn Writer, position: &[u8]) -> Result<()> {
        for (name, entry) in &mut self.entries {
            let appended = append(writer, self.log, self.partitions, entry);
            match appended {
                Err(error @ LogError::TooLarge { .. }) => {
                    let value = entry.record.value.as_deref().unwrap_or_default();
                    let start = &value[..PREFIX_BYTES.min(value.len())];
                    entry.record = reject(start, &error, format!("{name}:{}", entry.line));
                    entry.kind = Kind::Reject;
                    append(writer, self.log, self.partitions, entry)?;
                }
                appended => appended?,
            }
        }
        writer.commit(position)
    }
}

fn append(writer: &mut dyn Writer, log: &str, partitions: u16, entry: &Entry) -> Result<()> {
    let key = entry.record.key.as_deref();
    let partition = key.map_or(0, |key| partition_of(key, partitions));
    writer.append(log, partition, entry.record.clone())
}

fn needs_abort(error: &LogError) -> bool {
    matches!(
        error,
        LogError::Kafka {
            abort: true,
            fatal: false,
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};

    use super::*;
    use crate::feed::REJECT_HEADER;
    use crate::feed::entry::entry_of_line;
    use crate::log::memory::MemoryStore;
    use crate::log::{Layout, Record, Store};

    /// A writer that fails now and then, as Kafka's does.
    struct Faulty {
        writer: Box<dyn Writer>,
        /// How many commits the broker aborts.
        aborts: u32,
        /// The largest value that is taken.
        bytes_max: usize,
    }

    impl Writer for Faulty {
        fn position(&self) -> Option<&[u8]> {
            self.writer.position()
        }

        fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
            let bytes = record.value.as_ref().map_or(0, Vec::len);
            if bytes > self.bytes_max {
                return Err(LogError::TooLarge {
                    log: log.into(),
                    bytes,
                    limit: self.bytes_max,
                });
            }
            self.writer.append(log, partition, record)
        }

        fn commit(&mut self, position: &[u8]) -> Result<()> {
            if self.aborts == 0 {
                return self.writer.commit(position);
            }
            self.aborts -= 1;
            Err(LogError::Kafka {
                action: "commit".into(),
                source: KafkaError::Flush(RDKafkaErrorCode::PurgeQueue),
                abort: true,
                fatal: false,
            })
        }

        fn abort(&mut self) -> Result<()> {
            self.writer.abort()
        }
    }

    fn commit(aborts: u32, bytes_max: usize, lines: &[&str]) -> (Result<Counts>, Vec<Record>) {
        let store = MemoryStore::new();
        let layout = Layout {
            partitions: 1,
            compacted: false,
        };
        store.create("documents", layout).unwrap();
        let mut writer = Faulty {
            writer: store.writer("feed", &["documents"]).unwrap(),
            aborts,
            bytes_max,
        };
        let mut transaction = Transaction::new("documents", 1);
        for (line, number) in lines.iter().zip(1..) {
            let entry = entry_of_line(line.as_bytes(), "a.jsonl", number);
            transaction.push(&"a.jsonl".into(), entry);
        }
        let counts = transaction.commit(&mut writer, b"position");
        let records = store.committed("documents");
        (
            counts,
            records
                .into_iter()
                .map(|received| received.record)
                .collect(),
        )
    }

    #[test]
    fn an_aborted_transaction_is_done_again_and_nothing_is_doubled() {
        let lines = [r#"{"id": "a"}"#, "no document"];
        let (counts, records) = commit(1, 100, &lines);
        let expected = Counts {
            documents: 1,
            rejected: 1,
            ..Counts::default()
        };
        assert_eq!(counts.unwrap(), expected);
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn a_record_over_the_logs_limit_becomes_a_reject() {
        let large = format!(r#"{{"id": "a", "text": "{}"}}"#, "x".repeat(2000));
        let (counts, records) = commit(0, 1500, &[&large, r#"{"id": "b"}"#]);
        let counts = counts.unwrap();
        assert_eq!((counts.documents, counts.rejected), (1, 1));
        assert_eq!(records[0].key, None);
        assert_eq!(
            records[0].value.as_deref(),
            large.as_bytes().get(..PREFIX_BYTES)
        );
        let (name, reason) = &records[0].headers[1];
        assert_eq!(name, REJECT_HEADER);
        assert!(reason.ends_with(b"over the limit of 1500 bytes of log \"documents\""));
    }
}
