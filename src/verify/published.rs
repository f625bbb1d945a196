//! What the curated log publishes as of an epoch: of each id the last record counts.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::content::content;
use super::digest::{Digest, SetDigest, digest};
use super::{Verify, VerifyError};
use crate::log::{Offsets, Position, Received, Record, scan};

/// A document as it is published: 24 bytes.
#[derive(Clone, Copy)]
pub struct Standing {
    /// Where its last record stands.
    pub position: Position,
    /// The digest of what that holds.
    pub content: Digest,
}

/// The documents that are published, by the hash of their ids.
#[derive(Default)]
pub struct Published {
    by_id: HashMap<Digest, Standing>,
    /// Documents that stand in one partition more: consumers see them twice.
    elsewhere: HashMap<(Digest, u16), Standing>,
    /// Records without a key: no consumer knows what they are of.
    unkeyed: Vec<Position>,
    /// Ids with records of later epochs. Compaction may have removed an earlier one for them.
    later: HashSet<Digest>,
    /// Records read.
    pub records: u64,
}

impl Published {
    /// Everything that the log publishes by records of epochs up to `epoch`, and by records that
    /// do not say of which epoch they are.
    pub fn read(verify: &Verify, epoch: u64) -> Result<Self, VerifyError> {
        let (store, log) = (verify.curated_store.as_ref(), &verify.curated);
        let ends = store.ends(log)?;
        verify
            .steps
            .begin("reading what is published", ends.0.iter().sum());
        let start = Offsets::start(ends.0.len() as u16);
        let mut published = Published::default();
        let done = scan(store, log, [&start, &ends], &verify.stop, |received| {
            verify.steps.read();
            published.take(&received, epoch);
            Ok::<_, VerifyError>(())
        })?;
        if !done {
            return Err(VerifyError::Stopped);
        }
        published.settle();
        Ok(published)
    }

    fn take(&mut self, Received { position, record }: &Received, epoch: u64) {
        self.records += 1;
        let Some(key) = &record.key else {
            self.unkeyed.push(*position);
            return;
        };
        let id = digest(key);
        let of = epoch_of(record);
        if of.is_some_and(|of| of > epoch) {
            self.later.insert(id);
            return;
        }
        let standing = record.value.as_deref().map(|value| Standing {
            position: *position,
            content: content(value, of),
        });
        self.put(id, position.partition(), standing);
    }

    /// Within a partition the last record counts; between partitions there is no order.
    fn put(&mut self, id: Digest, partition: u16, standing: Option<Standing>) {
        let held = self.by_id.get(&id).map(|held| held.position.partition());
        let is_elsewhere = self.elsewhere.contains_key(&(id, partition));
        match standing {
            Some(standing) if held.is_none_or(|it| it == partition) && !is_elsewhere => {
                self.by_id.insert(id, standing);
            }
            Some(standing) => {
                self.elsewhere.insert((id, partition), standing);
            }
            None if held == Some(partition) => {
                self.by_id.remove(&id);
            }
            None => {
                self.elsewhere.remove(&(id, partition));
            }
        }
    }

    /// What stands in one partition only is no more elsewhere.
    fn settle(&mut self) {
        let by_id = &mut self.by_id;
        self.elsewhere
            .retain(|(id, _), standing| match by_id.entry(*id) {
                Entry::Vacant(place) => {
                    place.insert(*standing);
                    false
                }
                Entry::Occupied(_) => true,
            });
    }

    /// How many documents are published, and the digest of them all.
    pub fn sum(&self) -> (u64, SetDigest) {
        let mut set = SetDigest::default();
        let elsewhere = self.elsewhere.iter().map(|((id, _), it)| (id, it));
        for (id, standing) in self.by_id.iter().chain(elsewhere) {
            set.add(id, &standing.content);
        }
        (self.by_id.len() as u64 + self.doubled_len(), set)
    }

    /// Takes a document out.
    pub fn remove(&mut self, id: &Digest) -> Option<Standing> {
        self.by_id.remove(id)
    }

    /// Whether the id has a record of a later epoch.
    pub fn has_later(&self, id: &Digest) -> bool {
        self.later.contains(id)
    }

    /// Where what has not been taken out stands, and records without a key; ascending.
    pub fn left(&self) -> Vec<Position> {
        let left = self.by_id.values().map(|standing| standing.position);
        sorted(left.chain(self.unkeyed.iter().copied()))
    }

    /// Where documents stand that are published in another partition too; ascending.
    pub fn doubled(&self) -> Vec<Position> {
        sorted(self.elsewhere.values().map(|standing| standing.position))
    }

    fn doubled_len(&self) -> u64 {
        self.elsewhere.len() as u64
    }
}

fn sorted(positions: impl Iterator<Item = Position>) -> Vec<Position> {
    let mut positions: Vec<_> = positions.collect();
    positions.sort_unstable();
    positions
}

/// The epoch that a record says to be of.
fn epoch_of(record: &Record) -> Option<u64> {
    let (_, value) = record
        .headers
        .iter()
        .find(|(name, _)| name == "riffle-epoch")?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: Option<&str>, epoch: Option<u64>) -> Record {
        let header = |epoch: u64| ("riffle-epoch".to_owned(), epoch.to_string().into_bytes());
        Record {
            key: Some(key.into()),
            value: value.map(Into::into),
            headers: epoch.map(header).into_iter().collect(),
        }
    }

    fn published(records: &[(u16, Record)]) -> Published {
        let mut published = Published::default();
        for (offset, (partition, record)) in (0u64..).zip(records) {
            let position = Position::new(*partition, offset);
            let received = Received {
                position,
                record: record.clone(),
            };
            published.take(&received, 5);
        }
        published.settle();
        published
    }

    #[test]
    fn the_last_record_of_an_id_counts_and_later_epochs_do_not() {
        let published = published(&[
            (0, record("a", Some("1"), Some(1))),
            (0, record("b", Some("1"), Some(1))),
            (0, record("a", Some("2"), Some(5))),
            (0, record("b", None, Some(5))),
            (0, record("a", None, Some(6))),
            (0, record("c", None, Some(2))),
            (0, record("d", Some("1"), None)),
        ]);
        let places: Vec<_> = published.left().iter().map(|it| it.offset()).collect();
        assert_eq!((published.sum().0, places), (2, vec![2, 6]));
        assert!(published.has_later(&digest(b"a")) && !published.has_later(&digest(b"b")));
    }

    #[test]
    fn a_document_in_two_partitions_is_doubled_until_one_is_withdrawn() {
        let mut records = vec![
            (0, record("a", Some("1"), Some(1))),
            (1, record("a", Some("1"), Some(2))),
            (1, record("b", Some("1"), Some(2))),
        ];
        let two = published(&records);
        assert_eq!(
            (two.sum().0, two.doubled().len(), two.left().len()),
            (3, 1, 2)
        );
        for partition in [0, 1] {
            records.push((partition, record("a", None, Some(3))));
            let one = published(&records);
            assert_eq!((one.doubled().len(), one.sum().0), (0, 2), "{partition}");
            records.pop();
        }
        records.extend([0, 1].map(|partition| (partition, record("a", None, Some(3)))));
        assert_eq!(published(&records).sum().0, 1);
    }
}
