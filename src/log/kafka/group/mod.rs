//! Groups: librdkafka's consumer groups say who reads what, and a member's commits carry its
//! generation, so that the broker refuses what comes from a member that has been replaced.
//!
//! A share's transactional id is that of its lowest partition, and each offset is committed with the
//! name of that id. Whoever is given partitions starts those ids among theirs that were in use: what
//! a dead member left open ends at once, and not by the broker's clock a minute later. That is for
//! speed; the generation alone makes it right. To start the ids of all partitions would be simpler,
//! and took 37 s for 256 of them on a loaded machine.

mod kept;
mod membership;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Cluster, code, is_outage};
use super::writer::{KafkaWriter, producer};
use super::{TopicOptions, progress, topics};
use crate::log::{Given, Group, Kept, LogError, Result, Share};
use kept::Places;
use membership::{Assignments, Events};
use writer::KafkaShareWriter;

/// How long the polling thread waits for an event before it looks whether to leave.
const TICK: Duration = Duration::from_millis(50);
/// Transactional ids that are started at a time.
const STARTED_AT_ONCE: usize = 16;
/// How long pending transactions may take to end before they count as left open.
const AT_ONCE: Duration = Duration::from_millis(500);

/// What a group has committed of a partition.
#[derive(Clone)]
struct Committed {
    offset: u64,
    /// The lowest partition of the share that it was read in, as text.
    writer: String,
}

fn offsets(committed: Vec<Option<Committed>>) -> Vec<Option<u64>> {
    let offset = |it: Option<Committed>| it.map(|it| it.offset);
    committed.into_iter().map(offset).collect()
}

/// A member of a consumer group.
pub struct KafkaGroup {
    cluster: Arc<Cluster>,
    options: TopicOptions,
    name: String,
    topic: String,
    outputs: BTreeMap<String, u16>,
    consumer: Arc<BaseConsumer<Events>>,
    assignments: Assignments,
    leaving: Arc<AtomicBool>,
    polling: Option<JoinHandle<Option<KafkaError>>>,
    /// Whether a writer from before there was a group has been shut out.
    alone_fenced: bool,
}

impl KafkaGroup {
    /// Joins the group; what it gives is known later.
    pub fn join(
        cluster: &Arc<Cluster>,
        options: TopicOptions,
        name: &str,
        topic: &str,
        outputs: BTreeMap<String, u16>,
    ) -> Result<Self> {
        // Half of what is allowed, so that the member is back in time.
        let assignments = Assignments::new(topic, cluster.member_busy_max() / 2);
        let events = Events {
            client: cluster.context(),
            assignments: assignments.clone(),
        };
        let consumer = Arc::new(cluster.member(name, events)?);
        let joined = consumer.subscribe(&[topic]);
        joined.map_err(|e| cluster.error(&format!("joining group riffle-{name}"), e))?;
        let leaving = Arc::new(AtomicBool::new(false));
        let polling = poll(
            Arc::clone(&consumer),
            assignments.clone(),
            Arc::clone(&leaving),
        );
        Ok(KafkaGroup {
            cluster: Arc::clone(cluster),
            options,
            name: name.to_owned(),
            topic: topic.to_owned(),
            outputs,
            consumer,
            assignments,
            leaving,
            polling: Some(polling),
            alone_fenced: false,
        })
    }

    /// What ended the membership for good, if anything has.
    fn check_member(&mut self) -> Result<()> {
        let Some(polling) = self.polling.take_if(|polling| polling.is_finished()) else {
            return Ok(());
        };
        let action = format!("taking part in group riffle-{}", self.name);
        match polling.join() {
            Ok(Some(source)) => Err(LogError::Kafka {
                action,
                source,
                abort: false,
                fatal: true,
            }),
            _ => Err(LogError::Client {
                reason: format!("the thread that is {action} has ended"),
            }),
        }
    }

    /// The name that a share with this lowest partition is written under.
    fn writer_of(&self, partition: u16) -> String {
        // No topic has a slash in its name, so no other group's writer is called so.
        format!("{}/p{partition}", self.name)
    }

    /// Starts the transactional ids of these partitions: what others left open under them has ended
    /// on return.
    fn end_others(&self, partitions: &[u16]) -> Result<()> {
        let timeout = self.options.timeout;
        let start = |partition| producer(&self.cluster, &self.writer_of(partition), timeout);
        for some in partitions.chunks(STARTED_AT_ONCE) {
            thread::scope(|scope| {
                let start = |partition: &u16| {
                    let partition = *partition;
                    scope.spawn(move || start(partition).map(drop))
                };
                let threads: Vec<_> = some.iter().map(start).collect();
                let mut ended = threads.into_iter().map(|it| it.join());
                ended.try_for_each(|it| it.expect("it does not panic"))
            })?;
        }
        Ok(())
    }

    /// How far the group has read these partitions, with what others left open in them ended.
    fn take_over(&self, partitions: &[u16]) -> Result<Vec<Option<u64>>> {
        let others = &partitions[1..];
        let committed = match self.committed_of(partitions, AT_ONCE) {
            Ok(committed) => committed,
            // Something is pending, perhaps for ever: whose it is cannot be read.
            Err(LogError::Unavailable { .. }) => {
                self.end_others(others)?;
                return Ok(offsets(
                    self.committed_of(partitions, self.options.timeout)?,
                ));
            }
            Err(error) => return Err(error),
        };
        let in_use = partitions.iter().zip(&committed).skip(1);
        let in_use = in_use.filter(|(p, committed)| {
            committed
                .as_ref()
                .is_some_and(|it| it.writer == p.to_string())
        });
        let in_use: Vec<u16> = in_use.map(|(p, _)| *p).collect();
        self.end_others(&in_use)?;
        Ok(offsets(committed))
    }

    /// What the group has committed of these partitions, once what is pending has ended.
    fn committed_of(
        &self,
        partitions: &[u16],
        timeout: Duration,
    ) -> Result<Vec<Option<Committed>>> {
        let action = || format!("reading the offsets of group riffle-{}", self.name);
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition(&self.topic, i32::from(*partition));
        }
        let told = self.consumer.committed_offsets(asked, timeout);
        let told = told.map_err(|e| self.failed(&action(), e))?;
        let mut committed = vec![None; partitions.len()];
        for element in told.elements_for_topic(&self.topic) {
            element.error().map_err(|e| self.failed(&action(), e))?;
            let at = partitions.binary_search(&(element.partition() as u16));
            if let (Ok(at), Offset::Offset(offset)) = (at, element.offset()) {
                committed[at] = Some(Committed {
                    offset: offset as u64,
                    writer: element.metadata().to_owned(),
                });
            }
        }
        Ok(committed)
    }

    /// How many partitions the topic has.
    fn partitions(&self) -> Result<u16> {
        topics::known(&self.cluster, &self.topic, self.options.timeout)
    }

    /// A pending transaction passes like an outage.
    fn failed(&self, action: &str, error: KafkaError) -> LogError {
        match code(&error) {
            Some(RDKafkaErrorCode::UnstableOffsetCommit) => self
                .cluster
                .unavailable(action, "a transaction does not end"),
            _ => self.cluster.error(action, error),
        }
    }

    /// Shuts out the one writer that appended before there was a group, should it still live.
    fn fence_alone(&mut self) -> Result<()> {
        if !self.alone_fenced {
            drop(producer(&self.cluster, &self.name, self.options.timeout)?);
            self.alone_fenced = true;
        }
        Ok(())
    }
}

impl Group for KafkaGroup {
    fn share(&mut self, timeout: Duration) -> Result<Option<Given>> {
        self.check_member()?;
        let Some(held) = self.assignments.hold(timeout) else {
            return Ok(None);
        };
        let revoked = held.assigned.revoked.clone();
        let partitions = held.assigned.partitions.clone();
        if partitions.is_empty() {
            return Ok(Some(Given::Nothing(revoked)));
        }
        let start = Instant::now();
        let name = self.writer_of(partitions[0]);
        let producer = producer(&self.cluster, &name, self.options.timeout)?;
        let committed = self.take_over(&partitions)?;
        let took = start.elapsed();
        tracing::debug!(partitions = partitions.len(), ?took, "a share is ready");
        if committed.contains(&None) {
            self.fence_alone()?;
        }
        let outputs = self.outputs.clone();
        let writer = KafkaWriter::new(&self.cluster, producer, &name, outputs, None);
        let places = Places::new(&self.name, self.partitions()?);
        let writer = KafkaShareWriter::new(writer, self.topic.clone(), places, held);
        Ok(Some(Given::Share(Share {
            partitions,
            committed,
            revoked,
            writer: Box::new(writer),
        })))
    }

    fn committed(&mut self) -> Result<Vec<Option<u64>>> {
        let partitions: Vec<u16> = (0..self.partitions()?).collect();
        Ok(offsets(
            self.committed_of(&partitions, self.options.timeout)?,
        ))
    }

    fn kept(&mut self) -> Result<Kept> {
        kept_of(&self.cluster, self.options, &self.name)
    }
}

/// What is kept beside the offsets of the group of this name.
pub fn kept_of(cluster: &Cluster, options: TopicOptions, group: &str) -> Result<Kept> {
    let name = group.as_bytes();
    let of_group = |key: &[u8]| key == name || kept::partition_in(group, key).is_some();
    let mut read = progress::read_where(cluster, options.timeout, of_group)?;
    let alone = read.remove(name);
    let records = read
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()));
    let offsets = kept::read(group, records);
    Ok(Kept { offsets, alone })
}

impl Drop for KafkaGroup {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Release);
        if let Some(polling) = self.polling.take() {
            // A panic there ends the membership all the same.
            let _ = polling.join();
        }
    }
}

/// Serves the group's events until the member leaves; returns what ends it before.
fn poll(
    consumer: Arc<BaseConsumer<Events>>,
    assignments: Assignments,
    leaving: Arc<AtomicBool>,
) -> JoinHandle<Option<KafkaError>> {
    let serve = move || {
        while !leaving.load(Ordering::Acquire) {
            let Some(Err(error)) = consumer.poll(TICK) else {
                continue;
            };
            let is_fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
            match code(&error) {
                code if is_fatal || is_refusal(code) => {
                    assignments.revoke();
                    return Some(error);
                }
                code if is_outage(code) => {}
                // The consumer rejoins by itself, whatever it was.
                _ => tracing::warn!(%error, "the consumer group"),
            }
        }
        None
    };
    let builder = thread::Builder::new().name("group".to_owned());
    builder
        .spawn(serve)
        .expect("the operating system can start a thread")
}

/// Whether the brokers will not have this member, however often it asks.
fn is_refusal(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(
            Code::GroupAuthorizationFailed
                | Code::TopicAuthorizationFailed
                | Code::InvalidSessionTimeout
                | Code::GroupMaxSizeReached
                | Code::FencedInstanceId
                | Code::Fatal
        )
    )
}
