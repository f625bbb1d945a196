//! Where a scorer's epochs go, and how a commit says how far the documents log was read.

use crate::engine::Transaction;
use crate::log::{Offsets, Record, Result, ShareWriter, Writer};
use crate::records::Progress;

/// Where epochs are appended.
pub enum Output {
    /// The place in the documents log is this writer's position: there is no other scorer.
    Alone(Box<dyn Writer>),
    /// The place is the group's, and the scorer one of its members.
    Member(Box<dyn ShareWriter>),
}

impl Output {
    /// Adds a record to the open transaction.
    pub fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
        match self {
            Output::Alone(writer) => writer.append(log, partition, record),
            Output::Member(writer) => writer.append(log, partition, record),
        }
    }

    /// Commits what was appended, with the documents log read up to `offsets`.
    pub fn commit(&mut self, epoch: u64, offsets: &Offsets) -> Result<()> {
        match self {
            Output::Alone(writer) => {
                let progress = Progress::new(epoch, offsets.clone(), String::new());
                writer.commit(&progress.encode())
            }
            Output::Member(writer) => writer.commit(offsets),
        }
    }
}

impl Transaction for Output {
    fn abort(&mut self) -> Result<()> {
        match self {
            Output::Alone(writer) => writer.abort(),
            Output::Member(writer) => writer.abort(),
        }
    }
}
