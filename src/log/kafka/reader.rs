//! Sequential reading of a topic's committed records.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Cluster, Context, Role, code, is_outage};
use super::message::{message_bytes, received};
use crate::log::{LogError, Offsets, Position, Reader, Received, Result};

/// A poll stops after this many bytes of records.
const POLL_BYTES: usize = 2 << 20;

/// Reads assigned partitions; librdkafka fetches ahead in the background, and finds the brokers
/// again when they have been away.
pub struct KafkaReader {
    consumer: BaseConsumer<Context>,
    log: String,
    store: String,
    offsets: Offsets,
}

impl KafkaReader {
    /// A reader of all partitions from these offsets on, but for those that are read elsewhere.
    pub fn new(cluster: &Cluster, log: &str, offsets: Offsets) -> Result<Self> {
        let consumer = cluster.consumer(Role::Reader)?;
        let action = || format!("reading topic {log}");
        let mut assignment = TopicPartitionList::new();
        let here = (0..).zip(&offsets.0);
        for (partition, offset) in here.filter(|(_, offset)| **offset != Offsets::ELSEWHERE) {
            assignment
                .add_partition_offset(log, partition, Offset::Offset(*offset as i64))
                .map_err(|e| cluster.error(&action(), e))?;
        }
        consumer
            .assign(&assignment)
            .map_err(|e| cluster.error(&action(), e))?;
        Ok(KafkaReader {
            consumer,
            log: log.to_owned(),
            store: cluster.to_string(),
            offsets,
        })
    }

    /// What is in the queue until the poll is full, waiting at most `timeout` for the first.
    fn take(&mut self, timeout: Duration) -> Result<Vec<Received>> {
        let deadline = Instant::now() + timeout;
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < POLL_BYTES {
            let wait = match records.is_empty() {
                true => deadline.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    self.consumer.context().answered();
                    bytes += message_bytes(&message);
                    records.push(received(&message));
                }
                // The caller may be waiting to reach just this end.
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.consumer.context().answered();
                    break;
                }
                Some(Err(error)) => self.failed(error)?,
            }
        }
        Ok(records)
    }

    /// Waits out what passes; all else is the caller's.
    fn failed(&self, error: KafkaError) -> Result<()> {
        let (log, code) = (self.log.clone(), code(&error));
        match code {
            code if is_outage(code) => {
                self.consumer.context().outage(&error.to_string());
                Ok(())
            }
            Some(
                RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition,
            ) => Err(LogError::Missing {
                log,
                store: self.store.clone(),
            }),
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                // librdkafka does not say which; the first partition stands for it.
                let position = Position::new(0, self.offsets.0.first().copied().unwrap_or(0));
                Err(LogError::Gone { log, position })
            }
            _ => {
                let action = format!("reading topic {log}");
                Err(LogError::Kafka {
                    action,
                    source: error,
                    abort: false,
                    fatal: true,
                })
            }
        }
    }

    /// Follows the consumer's position, which also passes the marks of transactions.
    fn follow(&mut self) {
        let Ok(positions) = self.consumer.position() else {
            return;
        };
        for element in positions.elements_for_topic(&self.log) {
            let offset = self.offsets.0.get_mut(element.partition() as usize);
            if let (Some(offset), Offset::Offset(position)) = (offset, element.offset()) {
                *offset = (*offset).max(position as u64);
            }
        }
    }
}

impl Reader for KafkaReader {
    fn poll(&mut self, timeout: Duration) -> Result<Vec<Received>> {
        let records = self.take(timeout)?;
        self.follow();
        Ok(records)
    }

    fn offsets(&self) -> &Offsets {
        &self.offsets
    }
}
