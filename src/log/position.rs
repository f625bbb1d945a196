//! Places in a log: one record's, and how far each partition has been read.

use std::fmt;

use serde::{Deserialize, Serialize};

const OFFSET_BITS: u32 = 48;

/// The place of a record in its log: partition and offset in 64 bits, ordered by both.
///
/// Operators keep one for every live document, so it is packed: 2^16 partitions, 2^48 offsets.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(u64);

impl Position {
    /// The place of the record at `offset` of `partition`.
    ///
    /// # Panics
    /// If the offset needs more than 48 bits: at a million records a second, after nine years.
    pub fn new(partition: u16, offset: u64) -> Self {
        assert!(
            offset >> OFFSET_BITS == 0,
            "offset {offset} needs more than {OFFSET_BITS} bits"
        );
        Position(u64::from(partition) << OFFSET_BITS | offset)
    }

    /// The partition, counted from 0.
    pub fn partition(self) -> u16 {
        (self.0 >> OFFSET_BITS) as u16
    }

    /// The offset in the partition, counted from 0.
    pub fn offset(self) -> u64 {
        self.0 & ((1 << OFFSET_BITS) - 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition(), self.offset())
    }
}

/// How far a log has been read: for each partition, the offset of the next record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets(pub Vec<u64>);

impl Offsets {
    /// In place of an offset: the partition is read by others. It lies behind every end.
    pub const ELSEWHERE: u64 = u64::MAX;

    /// The start of a log of this many partitions.
    pub fn start(partitions: u16) -> Self {
        Offsets(vec![0; usize::from(partitions)])
    }

    /// Whether every partition has been read at least as far as in `other`.
    ///
    /// A partition that only one of the two knows counts as read up to 0 in the other.
    pub fn reaches(&self, other: &Offsets) -> bool {
        other
            .0
            .iter()
            .enumerate()
            .all(|(p, end)| self.0.get(p).copied().unwrap_or(0) >= *end)
    }

    /// Records between `self` and `end`, over all partitions.
    pub fn distance(&self, end: &Offsets) -> u64 {
        let here = |p: usize| self.0.get(p).copied().unwrap_or(0);
        end.0
            .iter()
            .enumerate()
            .map(|(p, end)| end.saturating_sub(here(p)))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_keep_partition_and_offset_and_order_by_both() {
        let last = Position::new(u16::MAX, (1 << OFFSET_BITS) - 1);
        assert_eq!(
            (last.partition(), last.offset()),
            (u16::MAX, (1 << OFFSET_BITS) - 1)
        );
        assert!(Position::new(0, 9) < Position::new(1, 0));
        assert!(Position::new(1, 0) < Position::new(1, 1));
    }
}
