//! Logs: the only edge the engine has.
//!
//! A log is an ordered, partitioned, keyed record store. Logs live in a [`Store`], and what one
//! [`Writer`] appends to any of its store's logs becomes visible together with a position, in one
//! commit: a crash leaves all of it or nothing. Three kinds of store stand behind the traits: Kafka
//! for production, local files as the embedded default, and memory, a model with crashes for tests.

mod error;
mod group;
pub mod kafka;
pub mod local;
pub mod memory;
pub mod mirror;
mod position;
mod scan;

use std::time::Duration;

pub use error::LogError;
pub use group::{Given, Group, Kept, Share, ShareWriter};
pub use position::{Offsets, Position};
pub use scan::scan;
use serde::{Deserialize, Serialize};

/// The result of what a store does.
pub type Result<T> = std::result::Result<T, LogError>;

/// A record of a log. In a log of documents the key is the document's id, and a record without a
/// value takes the document down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What compaction and upserts go by; absent in logs that only grow.
    pub key: Option<Vec<u8>>,
    /// The payload; absent in a tombstone.
    pub value: Option<Vec<u8>>,
    /// Names and values beside the payload, in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// Bytes that key, value and headers take.
    pub fn bytes(&self) -> usize {
        let optional = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        optional(&self.key) + optional(&self.value) + headers
    }
}

/// A record as it was read, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where the record stands; it can be read back from there.
    pub position: Position,
    /// The record.
    pub record: Record,
}

/// How a log is laid out when it has to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How many partitions the log has; at least 1.
    pub partitions: u16,
    /// Whether only the last record of a key needs to be kept.
    pub compacted: bool,
}

/// A place that keeps logs by name: a Kafka cluster, a directory, or a model in memory.
pub trait Store: Send + Sync {
    /// How many partitions the log has, or `None` where there is no such log.
    fn partitions(&self, log: &str) -> Result<Option<u16>>;

    /// Makes the log unless it is there, and says how many partitions it has.
    ///
    /// A log that is there keeps its own layout.
    fn create(&self, log: &str, layout: Layout) -> Result<u16>;

    /// Where the log ends now: for each partition, the offset after its last record.
    ///
    /// A reader from here sees only what is committed later. Open transactions may lie before it,
    /// so a reader reaches it only once they have ended.
    fn ends(&self, log: &str) -> Result<Offsets>;

    /// A reader of the log's committed records, from the given offset of each partition on.
    ///
    /// A partition from [`Offsets::ELSEWHERE`] on is not read.
    fn reader(&self, log: &str, from: &Offsets) -> Result<Box<dyn Reader>>;

    /// A reader of single records of the log by their positions.
    fn fetcher(&self, log: &str) -> Result<Box<dyn Fetcher>>;

    /// The writer of this name, which may append to the given logs of this store.
    ///
    /// At most one writer of a name is live: a store shuts out the predecessor, or refuses the
    /// newcomer while the predecessor's process lives ([`LogError::Locked`]). What the predecessor
    /// left uncommitted never becomes visible.
    fn writer(&self, name: &str, logs: &[&str]) -> Result<Box<dyn Writer>>;

    /// The position of this name's last commit, or `None` before the first; the writer, live or
    /// not, goes on undisturbed.
    fn position(&self, writer: &str) -> Result<Option<Vec<u8>>>;

    /// How far the group of this name has read, and what the writer of its name had; its members go
    /// on undisturbed.
    fn kept(&self, group: &str) -> Result<Kept> {
        let alone = self.position(group)?;
        Ok(Kept {
            offsets: None,
            alone,
        })
    }

    /// A place in the group of this name, whose members share the partitions of `log` and append to
    /// `outputs`, all of this store; `None` where a store has no groups.
    fn group(&self, _name: &str, _log: &str, _outputs: &[&str]) -> Result<Option<Box<dyn Group>>> {
        Ok(None)
    }
}

/// Reads a log's committed records in the order of each partition.
pub trait Reader: Send {
    /// The next records, waiting at most `timeout` for the first; empty when none came.
    ///
    /// A call returns at most a few MiB, so that a caller can bound what it holds.
    fn poll(&mut self, timeout: Duration) -> Result<Vec<Received>>;

    /// For each partition, the offset before which everything committed has been returned.
    ///
    /// It may pass the last record's offset by more than one: a store keeps marks of its own.
    fn offsets(&self) -> &Offsets;
}

/// Reads single records back by position.
pub trait Fetcher: Send {
    /// Calls `each` with every asked-for record, in the order of `positions`, which must ascend.
    ///
    /// # Errors
    /// [`LogError::Gone`] where no committed record stands at a position.
    fn fetch(
        &mut self,
        positions: &[Position],
        each: &mut dyn FnMut(Position, Record),
    ) -> Result<()>;
}

/// Appends records to logs, and commits them together with a position.
///
/// Dropping a writer abandons what it has not committed.
pub trait Writer: Send {
    /// The position of this name's last commit, by whichever process; `None` before the first.
    fn position(&self) -> Option<&[u8]>;

    /// Adds a record to the open transaction, at the end of the partition.
    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()>;

    /// Makes all records appended since the last commit visible at once, with `position`.
    ///
    /// On return they are durable. After an error that [`LogError::is_fatal`] the writer is of no
    /// more use, and whether the commit took place shows in its successor's [`Writer::position`].
    fn commit(&mut self, position: &[u8]) -> Result<()>;

    /// Drops all records appended since the last commit.
    fn abort(&mut self) -> Result<()>;
}

/// The partition of a key among `partitions`: murmur2, as Kafka's Java clients choose it, so that
/// documents of other producers and our own stand in the same partition.
pub fn partition_of(key: &[u8], partitions: u16) -> u16 {
    let positive = murmur2(key) & 0x7fff_ffff;
    (positive % u32::from(partitions.max(1))) as u16
}

/// Kafka's variant of murmur2, with its fixed seed.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("a chunk of four bytes"));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own UtilsTest.
    #[test]
    fn murmur2_gives_the_hashes_of_kafkas_clients() {
        let expected: [(&[u8], i32); 5] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in expected {
            assert_eq!(
                murmur2(key) as i32,
                hash,
                "{}",
                String::from_utf8_lossy(key)
            );
        }
    }
}
