//! Writing for a share: the group's offsets commit in the transaction, and are kept beside.

use std::time::Duration;

use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};

use super::super::writer::KafkaWriter;
use super::kept::Places;
use super::membership::Held;
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
        // Whoever comes after learns from it under which id something may have been left open.
        let id = share.partitions[0].to_string();
        let mut list = TopicPartitionList::new();
        for partition in &share.partitions {
            let offset = Offset::Offset(offsets.0[usize::from(*partition)] as i64);
            let mut element = list.add_partition(&self.topic, i32::from(*partition));
            element.set_offset(offset).expect("it is an offset");
            element.set_metadata(&id);
        }
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
