//! Follows ids through the logs: where the last record of each stands, and which stages are past it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::report::{Found, Stages, TakedownReport, Taken};
use super::{Takedown, end, partitions};
use crate::curate;
use crate::engine::EngineError;
use crate::log::{LogError, Offsets, Position, Record, Store, scan};
use crate::score;

/// The last record of an id in a log.
#[derive(Clone, Copy)]
struct Last {
    place: Position,
    is_tombstone: bool,
}

/// A log that is read on, and what of it is kept.
struct Cursor {
    store: Arc<dyn Store>,
    log: String,
    /// How far it was read.
    read: Offsets,
    last: BTreeMap<Vec<u8>, Last>,
}

/// The record of the whole corpus, as far as it is needed.
#[derive(Deserialize)]
struct Corpus {
    scored_offsets: Offsets,
}

/// Where the ids are.
pub struct Track<'a> {
    takedown: &'a Takedown,
    documents: Cursor,
    scored: Cursor,
    curated: Cursor,
    /// Of the statistics only the last record of the corpus is kept.
    statistics: Cursor,
    corpus: Option<Offsets>,
    /// How far each snapshot that is kept had read the scored log.
    snapshots: Vec<Offsets>,
}

impl<'a> Track<'a> {
    /// Reads all logs from their beginnings.
    pub fn new(takedown: &'a Takedown) -> Self {
        let cursor = |store: &Arc<dyn Store>, log: &str| Cursor {
            store: Arc::clone(store),
            log: log.to_owned(),
            read: Offsets::default(),
            last: BTreeMap::new(),
        };
        Track {
            documents: cursor(&takedown.documents_store, &takedown.documents),
            scored: cursor(&takedown.scored_store, &takedown.scored),
            curated: cursor(&takedown.curated_store, &takedown.curated),
            statistics: cursor(&takedown.curated_store, &takedown.statistics),
            takedown,
            corpus: None,
            snapshots: Vec::new(),
        }
    }

    /// For takedowns that will be appended: what comes of them stands behind the present ends. What
    /// is published of the documents may stand anywhere before.
    pub fn from_here(takedown: &'a Takedown) -> Result<Self, EngineError> {
        partitions(takedown)?;
        let mut track = Track::new(takedown);
        for cursor in [&mut track.documents, &mut track.scored] {
            cursor.read = end(cursor.store.as_ref(), &cursor.log)?.unwrap_or_default();
        }
        Ok(track)
    }

    /// Where the ids are now.
    pub fn report(&mut self) -> Result<TakedownReport, EngineError> {
        // The positions first: what they are past is in the logs when these are read.
        let [scored, curated] = self.committed()?;
        self.snapshots = kept_offsets(&self.takedown.snapshots)?;
        self.read_on()?;
        let ids = self.takedown.ids.iter();
        let documents = ids.map(|id| self.taken(id, &scored, &curated)).collect();
        Ok(TakedownReport::new(documents))
    }

    /// How far score and curate have committed.
    fn committed(&self) -> Result<[Offsets; 2], EngineError> {
        let Takedown {
            scored_store,
            scored,
            curated_store,
            curated,
            ..
        } = self.takedown;
        let by_score = score::committed(scored_store.as_ref(), scored)?;
        let partitions = scored_store.partitions(scored)?;
        let by_curate = match partitions {
            Some(partitions) => {
                curate::last_progress(curated_store.as_ref(), curated, scored, partitions)?
            }
            None => None,
        };
        let by_curate = by_curate.map(|progress| progress.offsets);
        Ok([by_score, by_curate].map(Option::unwrap_or_default))
    }

    fn read_on(&mut self) -> Result<(), LogError> {
        let Takedown { ids, stop, .. } = self.takedown;
        for cursor in [&mut self.documents, &mut self.scored, &mut self.curated] {
            cursor.read_on(stop, |last, place, record| {
                let key = record.key.unwrap_or_default();
                if std::str::from_utf8(&key).is_ok_and(|key| ids.contains(key)) {
                    let is_tombstone = record.value.is_none();
                    last.insert(
                        key,
                        Last {
                            place,
                            is_tombstone,
                        },
                    );
                }
            })?;
        }
        let corpus = &mut self.corpus;
        self.statistics.read_on(stop, |_, _, record| {
            if record.key.as_deref() == Some(b"corpus") {
                let value = record.value.unwrap_or_default();
                let told: Option<Corpus> = serde_json::from_slice(&value).ok();
                *corpus = told.map(|told| told.scored_offsets).or(corpus.take());
            }
        })
    }

    fn taken(&self, id: &str, scored: &Offsets, curated: &Offsets) -> Taken {
        let id_of = id.to_owned();
        let (found, place) = match self.documents.last.get(id.as_bytes()) {
            None => (Found::Unknown, None),
            Some(last) if last.is_tombstone => (Found::TakenDown, Some(last.place)),
            Some(last) => (Found::Live, Some(last.place)),
        };
        let stages = match (found, place) {
            (Found::TakenDown, Some(place)) => self.stages(id, place, scored, curated),
            _ => Stages::default(),
        };
        Taken {
            id: id_of,
            found,
            place,
            stages,
        }
    }

    /// The stages that a takedown at this place of the documents log has come through.
    fn stages(&self, id: &str, place: Position, scored: &Offsets, curated: &Offsets) -> Stages {
        if !is_past(scored, place) {
            return Stages::default();
        }
        let in_scored = self.scored.last.get(id.as_bytes()).map(|last| last.place);
        // Retention may have removed the record, long after it was read.
        let is_past = |offsets: &Offsets| in_scored.is_none_or(|place| is_past(offsets, place));
        let published = self.curated.last.get(id.as_bytes());
        let is_published = published.is_some_and(|last| !last.is_tombstone);
        Stages {
            scored: true,
            curated: is_past(curated) && !is_published,
            statistics: self.corpus.as_ref().is_some_and(is_past),
            snapshots: self.snapshots.iter().all(is_past),
        }
    }
}

/// How far each snapshot that is kept had read the scored log.
fn kept_offsets(snapshots: &Path) -> Result<Vec<Offsets>, EngineError> {
    let kept = curate::kept(snapshots).map_err(|source| EngineError::Snapshots {
        path: snapshots.to_owned(),
        source,
    })?;
    Ok(kept.into_iter().map(|snapshot| snapshot.offsets).collect())
}

/// Whether a log has been read past this place.
fn is_past(offsets: &Offsets, place: Position) -> bool {
    let read = offsets.0.get(usize::from(place.partition()));
    read.is_some_and(|read| *read > place.offset())
}

impl Cursor {
    /// Reads to the log's present end; a log that is not there yet has none.
    fn read_on(
        &mut self,
        stop: &std::sync::atomic::AtomicBool,
        mut each: impl FnMut(&mut BTreeMap<Vec<u8>, Last>, Position, Record),
    ) -> Result<(), LogError> {
        let Some(end) = end(self.store.as_ref(), &self.log)? else {
            return Ok(());
        };
        if self.read.reaches(&end) {
            return Ok(());
        }
        let range = [&self.read, &end];
        let last = &mut self.last;
        let done = scan(self.store.as_ref(), &self.log, range, stop, |received| {
            each(last, received.position, received.record);
            Ok::<_, LogError>(())
        })?;
        if done {
            self.read = end;
        }
        Ok(())
    }
}
