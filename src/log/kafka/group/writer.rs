//! Writing for a share: the group's offsets commit in the transaction, and are kept beside.

use std::time::Duration;

use rdkafka::Offset;
use rdkafka::producer::Producer;

use super::super::writer::KafkaWriter;
use super::kept::Places;
use super::membership::{Held, list};
use crate::log::{Offsets, Record, Result, ShareWriter, Writer};

/// For what the broker answers at once; without an answer it is done again.
const ANSWER: Duration = Duration::from_secs(30);

/// Appends to topics, and commits with how far the share was read.
pub struct KafkaShareWriter {
    /// Before `held`: what is open is ended before the partitions are given back.
    writer: KafkaWriter,
    topic: String,
    places: Places,
    held: Held,
}

impl KafkaShareWriter {
    /// A writer for what is held of the topic.
    pub fn new(writer: KafkaWriter, topic: String, places: Places, held: Held) -> Self {
        KafkaShareWriter {
            writer,
            topic,
            places,
            held,
        }
    }
}

impl ShareWriter for KafkaShareWriter {
    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
        self.writer.append(log, partition, record)
    }

    fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        let share = &self.held.assigned;
        let of = |p: &u16| (*p, Offset::Offset(offsets.0[usize::from(*p)] as i64));
        let list = list(&self.topic, share.partitions.iter().map(of));
        let list = list.expect("the partitions are the group's");
        let moved = self.places.moved(&share.partitions, offsets);
        self.writer.commit_with(moved, |producer| {
            producer.send_offsets_to_transaction(&list, &share.metadata, ANSWER)
        })?;
        self.places.committed(offsets);
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        self.writer.abort()
    }
}
