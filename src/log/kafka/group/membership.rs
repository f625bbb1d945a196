//! Taking part in a consumer group: a consumer that is given partitions and never fetches them.
//!
//! The eager protocol: everybody gives all back before anything is given anew. It holds up members
//! that keep what they have for as long as they need to commit, and in return a share is one thing
//! that begins and ends, as a run of the dataflow does.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::super::client::Context;

/// Partitions as the group gave them, until they are revoked.
#[derive(Clone)]
pub struct Assigned {
    /// The partitions, in order.
    pub partitions: Vec<u16>,
    /// Member and generation that they were given to. Commits carry it for as long as this share
    /// lasts, and not whatever the member has become since.
    pub metadata: Arc<ConsumerGroupMetadata>,
    /// Set when the group wants them back.
    pub revoked: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    assigned: Option<Assigned>,
    held: bool,
}

/// What the consumer is given, and what is in use of it. Clones are the same.
#[derive(Clone)]
pub struct Assignments(Arc<Shared>);

struct Shared {
    topic: String,
    state: Mutex<State>,
    changed: Condvar,
    /// How long the group is made to wait for a share that is in use.
    patience: Duration,
}

/// A share in use; the group waits until it is dropped.
pub struct Held {
    pub assigned: Assigned,
    assignments: Assignments,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.assignments.state().held = false;
        self.assignments.0.changed.notify_all();
    }
}

impl Assignments {
    /// None yet, of this topic.
    pub fn new(topic: &str, patience: Duration) -> Self {
        Assignments(Arc::new(Shared {
            topic: topic.to_owned(),
            state: Mutex::default(),
            changed: Condvar::new(),
            patience,
        }))
    }

    /// What is assigned, as soon as something is, for use by one at a time; `None` after `timeout`.
    pub fn hold(&self, timeout: Duration) -> Option<Held> {
        let none = |state: &mut State| state.assigned.is_none() || state.held;
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.state(), timeout, none);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        state.held = true;
        let assigned = state.assigned.clone().expect("it was waited for");
        let assignments = self.clone();
        Some(Held {
            assigned,
            assignments,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, partitions: Vec<u16>, metadata: ConsumerGroupMetadata) {
        self.state().assigned = Some(Assigned {
            partitions,
            metadata: Arc::new(metadata),
            revoked: Arc::default(),
        });
        self.0.changed.notify_all();
    }

    /// Asks for what was assigned, and waits until nobody uses it. Returns too when that takes too
    /// long: then the group does without this member, and refuses its commits.
    pub fn revoke(&self) {
        let start = Instant::now();
        let mut state = self.state();
        let Some(assigned) = state.assigned.take() else {
            return;
        };
        assigned.revoked.store(true, Ordering::Release);
        self.0.changed.notify_all();
        while state.held {
            let left = self.0.patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                let seconds = start.elapsed().as_secs();
                tracing::warn!(
                    seconds,
                    "the work in hand takes too long to give partitions back; it will be done again"
                );
                return;
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn partitions_in(&self, list: &TopicPartitionList) -> Vec<u16> {
        let elements = list.elements_for_topic(&self.0.topic);
        let mut partitions: Vec<u16> = elements.iter().map(|it| it.partition() as u16).collect();
        partitions.sort_unstable();
        partitions
    }
}

/// What a member's consumer calls.
pub struct Events {
    pub client: Context,
    pub assignments: Assignments,
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }
}

impl ConsumerContext for Events {
    /// Answers with an empty assignment, so that the consumer fetches nothing, and stays a member.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_given = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if is_given && let Some(metadata) = metadata(consumer) {
            let partitions = self.assignments.partitions_in(partitions);
            self.assignments.assign(partitions, metadata);
        }
        if !is_given {
            self.assignments.revoke();
        }
        let answered = match is_given {
            true => consumer.assign(&TopicPartitionList::new()),
            false => consumer.unassign(),
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "answering a rebalance");
        }
    }
}

/// Who the consumer is in its group; `None` when it has been put out meanwhile.
///
/// Put out, it would have neither member id nor generation, and commits that name neither pass
/// unchecked. Until the rebalance is answered they can only be lost, not change: what is there
/// after the metadata were taken was there when they were.
fn metadata(consumer: &BaseConsumer<Events>) -> Option<ConsumerGroupMetadata> {
    let metadata = consumer.group_metadata()?;
    // SAFETY: the consumer is alive, what the first call returns is ours until it is destroyed, and
    // its member id is a string that lives as long.
    let is_member = unsafe {
        let of = native::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if of.is_null() {
            return None;
        }
        let generation = native::rd_kafka_consumer_group_metadata_generation_id(of);
        let member = CStr::from_ptr(native::rd_kafka_consumer_group_metadata_member_id(of));
        let is_member = generation >= 0 && !member.is_empty();
        native::rd_kafka_consumer_group_metadata_destroy(of);
        is_member
    };
    is_member.then_some(metadata)
}
