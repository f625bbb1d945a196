//! What follows a source beside its dataflow.

use crate::log::Offsets;

/// Is told what a source's thread sends, in the same order, and what of it is committed.
///
/// It is called on that thread, so what it waits for, the stream waits for.
pub trait Follower<D>: Send {
    /// Records of the open epoch.
    fn records(&mut self, records: &[D]);

    /// The open epoch ends, with each of the logs read up to here; the next one opens.
    fn end(&mut self, offsets: &[Offsets]);

    /// All epochs below this one are committed.
    fn durable(&mut self, before: u64);
}
