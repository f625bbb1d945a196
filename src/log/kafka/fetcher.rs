//! Reading single records of a topic back, by seeking to them.
//!
//! A seek costs about a millisecond whatever the settings, so records that stand close to each
//! other are read in passing; many records far apart are the mirror's business.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Cluster, Context, Role, code, is_outage};
use super::message::{position_of, record};
use crate::log::{Fetcher, LogError, Position, Record, Result};

/// Up to this many offsets ahead, reading on is faster than a seek.
const READ_ON_MAX: u64 = 200;
/// After this long without the record, the cluster counts as unavailable.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fetches a topic's records.
pub struct KafkaFetcher {
    consumer: BaseConsumer<Context>,
    log: String,
    brokers: String,
    partitions: u16,
    /// What the consumer returns next, unless it is sent elsewhere.
    next: Option<Position>,
}

impl KafkaFetcher {
    /// A fetcher of the topic's records.
    pub fn new(cluster: &Cluster, log: &str, partitions: u16) -> Result<Self> {
        let consumer = cluster.consumer(Role::Fetcher)?;
        let (log, brokers) = (log.to_owned(), cluster.brokers().to_owned());
        Ok(KafkaFetcher {
            consumer,
            log,
            brokers,
            partitions,
            next: None,
        })
    }

    /// Sends the consumer to the position unless it comes there by itself.
    fn go_to(&mut self, position: Position) -> Result<()> {
        let (partition, offset) = (i32::from(position.partition()), position.offset());
        let same = self
            .next
            .filter(|next| next.partition() == position.partition());
        let near = same
            .is_some_and(|next| next.offset() <= offset && offset - next.offset() <= READ_ON_MAX);
        if near {
            return Ok(());
        }
        let to = Offset::Offset(offset as i64);
        let moved = same.is_some()
            && self
                .consumer
                .seek(&self.log, partition, to, Duration::from_secs(5))
                .is_ok();
        if !moved {
            let mut assignment = TopicPartitionList::new();
            assignment
                .add_partition_offset(&self.log, partition, to)
                .map_err(|e| self.kafka(e))?;
            self.consumer
                .assign(&assignment)
                .map_err(|e| self.kafka(e))?;
        }
        self.next = Some(position);
        Ok(())
    }

    /// The record at the position; the consumer is on its way there.
    fn take(&mut self, position: Position) -> Result<Record> {
        let start = Instant::now();
        // Wherever this ends but at the record, the consumer's place is not worth knowing.
        self.next = None;
        while start.elapsed() < PATIENCE {
            let gone = || LogError::Gone {
                log: self.log.clone(),
                position,
            };
            match self.consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(message)) => {
                    self.consumer.context().answered();
                    let at = position_of(&message);
                    // Others were queued before the seek.
                    if at == position {
                        self.next = Some(Position::new(at.partition(), at.offset() + 1));
                        return Ok(record(&message));
                    }
                    if at.partition() == position.partition() && at > position {
                        return Err(gone());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition)))
                    if partition == i32::from(position.partition()) =>
                {
                    return Err(gone());
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => self.failed(error, position)?,
            }
        }
        let reason = format!("no record of {} came in {} s", self.log, PATIENCE.as_secs());
        Err(LogError::Unavailable {
            brokers: self.brokers.clone(),
            reason,
        })
    }

    /// Waits out what passes; all else is the caller's.
    fn failed(&self, error: KafkaError, position: Position) -> Result<()> {
        match code(&error) {
            code if is_outage(code) => {
                self.consumer.context().outage(&error.to_string());
                Ok(())
            }
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                Err(LogError::Gone {
                    log: self.log.clone(),
                    position,
                })
            }
            _ => Err(self.kafka(error)),
        }
    }

    fn kafka(&self, source: KafkaError) -> LogError {
        let action = format!("fetching from topic {}", self.log);
        LogError::Kafka {
            action,
            source,
            abort: false,
            fatal: true,
        }
    }
}

impl Fetcher for KafkaFetcher {
    fn fetch(
        &mut self,
        positions: &[Position],
        each: &mut dyn FnMut(Position, Record),
    ) -> Result<()> {
        for same in positions.chunk_by(|a, b| a == b) {
            let position = same[0];
            if position.partition() >= self.partitions {
                return Err(LogError::Gone {
                    log: self.log.clone(),
                    position,
                });
            }
            self.go_to(position)?;
            let record = self.take(position)?;
            same.iter()
                .for_each(|position| each(*position, record.clone()));
        }
        Ok(())
    }
}
