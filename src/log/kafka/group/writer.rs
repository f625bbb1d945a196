//! Writing for a share: the offsets commit in the transaction, to the group.

use rdkafka::Offset;
use rdkafka::producer::Producer;

use super::super::writer::KafkaWriter;
use super::membership::{Held, list};
use crate::log::{Offsets, Record, Result, ShareWriter, Writer};

/// A timeout for what the broker answers at once; without an answer it is done again.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(30);

/// Appends to topics, and commits with how far the share was read.
pub struct KafkaShareWriter {
    /// Before `held`: what is open is ended before the partitions are given back.
    writer: KafkaWriter,
    topic: String,
    held: Held,
}

impl KafkaShareWriter {
    /// A writer for what is held of the topic.
    pub fn new(writer: KafkaWriter, topic: String, held: Held) -> Self {
        KafkaShareWriter {
            writer,
            topic,
            held,
        }
    }
}

impl ShareWriter for KafkaShareWriter {
    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
        self.writer.append(log, partition, record)
    }

    fn commit(&mut self, offsets: &Offsets, position: &[u8]) -> Result<()> {
        let share = &self.held.assigned;
        let of = |p: &u16| (*p, Offset::Offset(offsets.0[usize::from(*p)] as i64));
        let offsets = list(&self.topic, share.partitions.iter().map(of));
        let offsets = offsets.expect("the partitions are the group's");
        self.writer.commit_with(position, |producer| {
            producer.send_offsets_to_transaction(&offsets, &share.metadata, ANSWER)
        })
    }

    fn abort(&mut self) -> Result<()> {
        self.writer.abort()
    }
}
