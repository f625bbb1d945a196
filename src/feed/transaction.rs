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
            std::thread::sleep(WAIT * (1 << attempt));
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
