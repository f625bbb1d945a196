//! Appends letters to the documents log, and commits them with the place in the dead letters.

use std::collections::{HashMap, HashSet};

use operators::DocumentHash;

use super::letter::{Letter, Stood, Verdict};
use super::newer::Newer;
use super::{REDELIVERED, Redeliver, RedeliverError, RedeliverSummary, place_of, told, writer_of};
use crate::curate::document_hash;
use crate::engine::{EngineError, commit_epoch};
use crate::log::{LogError, Offsets, Record, Writer, scan};
use crate::records::Progress;

/// A transaction is committed when it holds so many bytes.
const COMMIT_BYTES: usize = 8 << 20;

/// The writer, and what it has not committed yet.
pub struct Delivery<'a> {
    redeliver: &'a Redeliver,
    /// `None` in a dry run.
    writer: Option<Box<dyn Writer>>,
    /// How far the dead letters are dealt with.
    place: Progress,
    /// As much of it as is committed.
    committed: Offsets,
    /// A letter was left for another time: the place goes no further.
    is_held: bool,
    waiting: Vec<(u16, Record)>,
    bytes: usize,
    /// The hashes of the ids that were delivered, with the places of their letters.
    delivered: HashMap<DocumentHash, Vec<u8>>,
}

impl<'a> Delivery<'a> {
    /// Where the last redelivery stopped.
    pub fn open(redeliver: &'a Redeliver) -> Result<Self, RedeliverError> {
        let (store, name) = (&redeliver.documents_store, writer_of(&redeliver.letters));
        let (writer, position) = match redeliver.dry_run {
            true => (None, store.position(&name)?),
            false => {
                let writer = store.writer(&name, &[&redeliver.documents])?;
                let position = writer.position().map(<[u8]>::to_vec);
                (Some(writer), position)
            }
        };
        let place = place_of(position.as_deref(), &redeliver.letters)?;
        Ok(Delivery {
            redeliver,
            writer,
            committed: place.offsets.clone(),
            place,
            is_held: false,
            waiting: Vec::new(),
            bytes: 0,
            delivered: HashMap::new(),
        })
    }

    /// How far the dead letters had been dealt with.
    pub fn place(&self) -> Offsets {
        self.place.offsets.clone()
    }

    /// Does with a letter what is to be done.
    pub fn take(
        &mut self,
        letter: Letter,
        verdict: Verdict,
        summary: &mut RedeliverSummary,
    ) -> Result<(), RedeliverError> {
        let id = letter
            .key()
            .map(|key| String::from_utf8_lossy(key).into_owned());
        summary.note(letter.place, id, &verdict);
        self.is_held |= matches!(verdict, Verdict::Unusable(_) | Verdict::Left);
        let behind = letter.place.offset() + 1;
        if let Verdict::Deliver(stood) = verdict {
            self.wait(letter, stood);
        }
        if !self.is_held {
            self.place.offsets = Offsets(vec![behind]);
        }
        match self.bytes < COMMIT_BYTES {
            true => Ok(()),
            false => self.commit(),
        }
    }

    /// The record goes to the partition that it stood in: there stand the document's versions,
    /// whoever produced them.
    fn wait(&mut self, letter: Letter, Stood(stood): Stood) {
        let header = |name: &str, value| (name.to_owned(), value);
        let mut headers = vec![header(REDELIVERED, told(letter.place))];
        let source = letter.header("source").map(String::into_bytes);
        headers.extend(source.map(|source| header("riffle-source", source)));
        let Record { key, value, .. } = letter.record;
        let id = document_hash(key.as_deref().unwrap_or_default());
        self.delivered.insert(id, told(letter.place));
        let record = Record {
            key,
            value,
            headers,
        };
        self.bytes += record.bytes() + 64;
        self.waiting.push((stood.partition(), record));
    }

    fn commit(&mut self) -> Result<(), RedeliverError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        self.place.epoch += 1;
        let (log, position) = (&self.redeliver.documents, self.place.encode());
        commit_epoch(writer.as_mut(), self.place.epoch, |writer| {
            for (partition, record) in &waiting {
                writer.append(log, *partition, record.clone())?;
            }
            Ok::<_, EngineError>(writer.commit(&position)?)
        })?;
        self.committed = self.place.offsets.clone();
        Ok(())
    }

    /// Commits what waits, and the place, if anything has changed.
    pub fn finish(&mut self) -> Result<(), RedeliverError> {
        match self.waiting.is_empty() && self.place.offsets == self.committed {
            true => Ok(()),
            false => self.commit(),
        }
    }

    /// Finds documents of which another producer appended a version between the search for newer
    /// ones and the commit: it stands before the redelivered one, which then hides it. On local
    /// logs nobody can; on Kafka there is no lock.
    pub fn check_overtaken(
        &self,
        newer: &Newer,
        summary: &mut RedeliverSummary,
    ) -> Result<(), RedeliverError> {
        if self.writer.is_none() || self.delivered.is_empty() {
            return Ok(());
        }
        let (store, log) = (&self.redeliver.documents_store, &self.redeliver.documents);
        let ends = store.ends(log)?;
        let mut others: HashSet<DocumentHash> = HashSet::new();
        let range = [&newer.ends, &ends];
        scan(
            store.as_ref(),
            log,
            range,
            &self.redeliver.stop,
            |received| {
                let key = received.record.key.unwrap_or_default();
                let id = document_hash(&key);
                let Some(letter) = self.delivered.get(&id) else {
                    return Ok(());
                };
                let mut headers = received.record.headers.iter();
                if headers.any(|(name, value)| name == REDELIVERED && value == letter) {
                    if others.remove(&id) {
                        summary.overtaken(&key);
                    }
                } else {
                    others.insert(id);
                }
                Ok::<_, LogError>(())
            },
        )?;
        Ok(())
    }
}
