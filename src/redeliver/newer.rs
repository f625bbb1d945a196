//! What has come of the same documents since they became dead letters.

use std::collections::HashMap;

use operators::DocumentHash;

use super::letter::{Letter, Stood, Verdict};
use super::{REDELIVERED, Redeliver, RedeliverError, each_letter, told};
use crate::curate::document_hash;
use crate::log::{Offsets, Position, Received, scan};

/// The last record of each document that has dead letters, as far as they can be delivered.
pub struct Newer {
    by_id: HashMap<DocumentHash, Last>,
    /// Where the documents log begins: what retention has removed is not known.
    starts: Offsets,
    /// How far the documents log was read.
    pub ends: Offsets,
}

/// The last record of a document that is known.
struct Last {
    /// Where it stands in the documents log.
    place: Position,
    /// The place of the dead letter that it was, if it was delivered again.
    redelivered: Option<Vec<u8>>,
}

impl Newer {
    /// Reads the dead letters, and then the documents log from the first of them on.
    pub fn find(redeliver: &Redeliver, letters: [&Offsets; 2]) -> Result<Self, RedeliverError> {
        let (store, log) = (redeliver.documents_store.as_ref(), &redeliver.documents);
        redeliver
            .steps
            .begin("reading dead letters", letters[0].distance(letters[1]));
        let ends = store.ends(log)?;
        let start = Offsets::start(ends.0.len() as u16);
        let starts = store.reader(log, &start)?.offsets().clone();
        let mut newer = Newer {
            by_id: HashMap::new(),
            starts,
            ends: ends.clone(),
        };
        let mut from = ends.clone();
        each_letter(redeliver, letters, |letter| {
            if let (Some(key), Verdict::Deliver(Stood(stood))) =
                (letter.key(), letter.verdict(redeliver))
            {
                newer.note(key, stood, None);
                if let Some(from) = from.0.get_mut(usize::from(stood.partition())) {
                    *from = (*from).min(stood.offset());
                }
            }
            Ok(())
        })?;
        for (from, start) in from.0.iter_mut().zip(&newer.starts.0) {
            *from = (*from).max(*start);
        }
        if !newer.by_id.is_empty() {
            newer.read(redeliver, [&from, &ends])?;
        }
        Ok(newer)
    }

    fn read(&mut self, redeliver: &Redeliver, range: [&Offsets; 2]) -> Result<(), RedeliverError> {
        redeliver
            .steps
            .begin("looking for newer versions", range[0].distance(range[1]));
        let (store, log) = (redeliver.documents_store.as_ref(), &redeliver.documents);
        let done = scan(store, log, range, &redeliver.stop, |received| {
            redeliver.steps.read();
            let Received { position, record } = received;
            let key = record.key.unwrap_or_default();
            if self.by_id.contains_key(&document_hash(&key)) {
                let mut headers = record.headers.into_iter();
                let redelivered = headers.find(|(name, _)| name == REDELIVERED);
                self.note(&key, position, redelivered.map(|(_, letter)| letter));
            }
            Ok::<_, RedeliverError>(())
        })?;
        match done {
            true => Ok(()),
            false => Err(RedeliverError::Stopped),
        }
    }

    /// Of a document's records in one partition the last counts. A document whose records stand in
    /// several has no order.
    fn note(&mut self, key: &[u8], place: Position, redelivered: Option<Vec<u8>>) {
        let last = self.by_id.entry(document_hash(key)).or_insert(Last {
            place,
            redelivered: None,
        });
        if place > last.place {
            *last = Last { place, redelivered };
        }
    }

    /// What becomes of a letter that can be a document, which stood there.
    pub fn verdict(&self, letter: &Letter, stood: Stood) -> Verdict {
        let partition = usize::from(stood.0.partition());
        let start = self.starts.0.get(partition).copied().unwrap_or(u64::MAX);
        if stood.0.offset() + 1 < start {
            return Verdict::Forgotten;
        }
        let key = letter.key().unwrap_or_default();
        match self.by_id.get(&document_hash(key)) {
            Some(last) if last.place == stood.0 => Verdict::Deliver(stood),
            Some(last) if last.redelivered == Some(told(letter.place)) => Verdict::Delivered,
            _ => Verdict::Superseded,
        }
    }
}
