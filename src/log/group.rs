//! Groups: several processes read a log together, each some of its partitions, and each commits how
//! far it has read with what it writes. Who reads what may change at any time.
//!
//! Nothing is lost or doubled because a commit says which share it belongs to, and a store refuses
//! it once the partitions have been given to others, however late it comes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Offsets, Record, Result};

/// A member of a group; dropping it leaves the group.
pub trait Group: Send {
    /// What the member has been given to read, waiting at most `timeout` for it.
    ///
    /// `None` when nothing was given in that time, or was taken back at once. May be called again
    /// after a share's writer has failed: then it is the same share with a writer of its own, and
    /// where to go on. The share before must have been dropped.
    ///
    /// # Errors
    /// [`super::LogError::Unavailable`] when the store does not answer; it may be asked again.
    fn share(&mut self, timeout: Duration) -> Result<Option<Given>>;

    /// How far the group has read each partition of the log; `None` where nobody has committed.
    fn committed(&mut self) -> Result<Vec<Option<u64>>>;

    /// What is kept beside the group's offsets, for partitions where the group knows none: the store
    /// has forgotten them, or there was no group before.
    fn kept(&mut self) -> Result<Kept>;
}

/// How far a log was read, apart from a group's offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How far the group had read, with as many partitions as the log had then; `None` if it never
    /// committed.
    pub offsets: Option<Offsets>,
    /// The last position of the [`super::Writer`] of the group's name.
    pub alone: Option<Vec<u8>>,
}

/// What a member has been given.
pub enum Given {
    /// Partitions to read.
    Share(Share),
    /// None: there are more members than partitions.
    ///
    /// The flag is set when this changes.
    Nothing(Arc<AtomicBool>),
}

/// Partitions that nobody else reads, until they are given back.
pub struct Share {
    /// The partitions, in order; at least one.
    pub partitions: Vec<u16>,
    /// How far the group has read each of them; `None` where nobody has committed.
    pub committed: Vec<Option<u64>>,
    /// Set when the partitions are wanted back.
    pub revoked: Arc<AtomicBool>,
    /// Writes for this share. Dropping it gives the partitions back; the group waits for that.
    pub writer: Box<dyn ShareWriter>,
}

/// Appends records to logs, and commits them together with how far a share was read.
///
/// Dropping it abandons what it has not committed, and gives the share back.
pub trait ShareWriter: Send {
    /// Adds a record to the open transaction, at the end of the partition.
    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()>;

    /// Makes all records appended since the last commit visible at once, with the share's
    /// partitions read up to `offsets`.
    ///
    /// # Errors
    /// [`super::LogError::Fenced`] when the partitions are others' by now: nothing has become
    /// visible, and nothing will.
    fn commit(&mut self, offsets: &Offsets) -> Result<()>;

    /// Drops all records appended since the last commit.
    fn abort(&mut self) -> Result<()>;
}
