//! Logs in a Kafka cluster, through librdkafka.
//!
//! A log is a topic. Writers are transactional producers: what they append to several topics, and
//! their position in the topic [`PROGRESS_TOPIC`], becomes visible in one transaction. Readers read
//! committed records of assigned partitions and keep their own offsets; consumer groups say which
//! partitions these are, where several share a topic (`group/`).

mod client;
mod fetcher;
mod group;
mod message;
mod progress;
mod reader;
mod topics;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use client::Cluster;
use fetcher::KafkaFetcher;
use group::KafkaGroup;
use reader::KafkaReader;
use writer::KafkaWriter;

use super::{
    Fetcher, Group, Kept, Layout, LogError, Offsets, Position, Reader, Result, Store, Writer,
};

/// The compacted topic that holds every writer's position, under the writer's name.
pub const PROGRESS_TOPIC: &str = "riffle-progress";

/// How topics are made, and how long the cluster may take to answer.
#[derive(Clone, Copy, Debug)]
pub struct TopicOptions {
    /// How many brokers hold each partition.
    pub replication_factor: u16,
    /// After this time without an answer the cluster counts as unavailable; for what is done at
    /// the start. Readers and commits wait for a broker that goes away later.
    pub timeout: Duration,
}

impl Default for TopicOptions {
    fn default() -> Self {
        TopicOptions {
            replication_factor: 1,
            timeout: Duration::from_secs(15),
        }
    }
}

/// Logs in a Kafka cluster.
pub struct KafkaStore {
    cluster: Arc<Cluster>,
    options: TopicOptions,
}

impl KafkaStore {
    /// The cluster that librdkafka's `properties` lead to. Nothing is asked of it yet.
    ///
    /// All properties pass through, except those that the exactly-once protocol needs.
    ///
    /// # Errors
    /// [`LogError::Property`] where `bootstrap.servers` is missing, or librdkafka refuses a
    /// property or its value, [`LogError::Client`] where they do not go together.
    pub fn new(properties: BTreeMap<String, String>, options: TopicOptions) -> Result<Self> {
        let cluster = Arc::new(Cluster::new(properties)?);
        Ok(KafkaStore { cluster, options })
    }

    fn known(&self, log: &str) -> Result<u16> {
        topics::known(&self.cluster, log, self.options.timeout)
    }

    /// How many partitions each of the logs has.
    fn layouts(&self, logs: &[&str]) -> Result<BTreeMap<String, u16>> {
        let layout = |log: &&str| Ok(((*log).to_owned(), self.known(log)?));
        logs.iter().map(layout).collect()
    }
}

impl fmt::Debug for KafkaStore {
    /// Names the brokers only: properties hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KafkaStore({})", self.cluster)
    }
}

impl Store for KafkaStore {
    fn partitions(&self, log: &str) -> Result<Option<u16>> {
        topics::partitions(&self.cluster, log, self.options.timeout)
    }

    fn create(&self, log: &str, layout: Layout) -> Result<u16> {
        if let Some(partitions) = self.partitions(log)? {
            return Ok(partitions);
        }
        let policy = [("cleanup.policy", "compact")];
        let config = if layout.compacted { &policy[..] } else { &[] };
        topics::create(&self.cluster, log, layout.partitions, &self.options, config)
    }

    fn ends(&self, log: &str) -> Result<Offsets> {
        let partitions = self.known(log)?;
        let bounds = topics::bounds(&self.cluster, log, 0..partitions, self.options.timeout)?;
        Ok(Offsets(
            bounds.into_iter().map(|bounds| bounds.end).collect(),
        ))
    }

    fn reader(&self, log: &str, from: &Offsets) -> Result<Box<dyn Reader>> {
        let partitions = self.known(log)?;
        let mut offsets = Offsets::start(partitions);
        for (offset, from) in offsets.0.iter_mut().zip(&from.0) {
            *offset = *from;
        }
        let here = |p: &u16| offsets.0[usize::from(*p)] != Offsets::ELSEWHERE;
        let here: Vec<u16> = (0..partitions).filter(here).collect();
        let bounds = topics::bounds(&self.cluster, log, here.clone(), self.options.timeout)?;
        for (partition, bounds) in here.into_iter().zip(bounds) {
            let from = offsets.0[usize::from(partition)];
            if from > bounds.end {
                let position = Position::new(partition, from);
                return Err(LogError::Gone {
                    log: log.to_owned(),
                    position,
                });
            }
            if from > 0 && from < bounds.start {
                let removed = bounds.start - from;
                tracing::error!(
                    log,
                    partition,
                    from,
                    removed,
                    "retention removed unread records"
                );
            }
            offsets.0[usize::from(partition)] = from.max(bounds.start);
        }
        Ok(Box::new(KafkaReader::new(&self.cluster, log, offsets)?))
    }

    fn fetcher(&self, log: &str) -> Result<Box<dyn Fetcher>> {
        let partitions = self.known(log)?;
        Ok(Box::new(KafkaFetcher::new(&self.cluster, log, partitions)?))
    }

    fn writer(&self, name: &str, logs: &[&str]) -> Result<Box<dyn Writer>> {
        let logs = self.layouts(logs)?;
        progress::create_topic(&self.cluster, &self.options)?;
        let (timeout, patience) = (self.options.timeout, progress::PATIENCE);
        let producer = writer::patient_producer(&self.cluster, name, timeout, patience)?;
        // After the producer's start, which ends whatever a predecessor of this name left open.
        let position = progress::read(&self.cluster, name, self.options.timeout)?;
        Ok(Box::new(KafkaWriter::new(
            &self.cluster,
            producer,
            name,
            logs,
            position,
        )))
    }

    fn position(&self, writer: &str) -> Result<Option<Vec<u8>>> {
        match self.partitions(PROGRESS_TOPIC)? {
            None => Ok(None),
            Some(_) => progress::read(&self.cluster, writer, self.options.timeout),
        }
    }

    fn kept(&self, group: &str) -> Result<Kept> {
        match self.partitions(PROGRESS_TOPIC)? {
            None => Ok(Kept::default()),
            Some(_) => group::kept_of(&self.cluster, self.options, group),
        }
    }

    fn group(&self, name: &str, log: &str, outputs: &[&str]) -> Result<Option<Box<dyn Group>>> {
        self.known(log)?;
        let outputs = self.layouts(outputs)?;
        progress::create_topic(&self.cluster, &self.options)?;
        let group = KafkaGroup::join(&self.cluster, self.options, name, log, outputs)?;
        Ok(Some(Box::new(group)))
    }
}
