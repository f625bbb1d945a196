//! Topics: whether they are there, their making, and where their partitions begin and end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::TopicOptions;
use super::client::{Cluster, Context, Role};
use crate::log::{LogError, Result};

/// How many partitions the topic has, or `None` where there is none.
pub fn partitions(cluster: &Cluster, topic: &str, timeout: Duration) -> Result<Option<u16>> {
    let action = format!("looking for topic {topic}");
    let metadata = cluster.asker().fetch_metadata(Some(topic), timeout);
    let metadata = metadata.map_err(|e| cluster.error(&action, e))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(None);
    };
    let error = found.error().map(RDKafkaErrorCode::from);
    match error {
        None | Some(RDKafkaErrorCode::LeaderNotAvailable) => {
            let count = found.partitions().len();
            let many = || LogError::TooManyPartitions {
                log: topic.to_owned(),
                partitions: count,
            };
            Ok(Some(u16::try_from(count).map_err(|_| many())?).filter(|count| *count > 0))
        }
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok(None)
        }
        Some(code) => Err(cluster.error(&action, KafkaError::MetadataFetch(code))),
    }
}

/// Makes the topic unless another was faster, waits till it is known, and says how many
/// partitions it has.
pub fn create(
    cluster: &Cluster,
    topic: &str,
    partitions: u16,
    options: &TopicOptions,
    config: &[(&str, &str)],
) -> Result<u16> {
    let action = format!("creating topic {topic}");
    let admin: AdminClient<Context> = cluster.client(Role::Asker)?;
    let replication = TopicReplication::Fixed(i32::from(options.replication_factor.max(1)));
    let new = NewTopic::new(topic, i32::from(partitions.max(1)), replication);
    let new = config
        .iter()
        .fold(new, |new, (key, value)| new.set(key, value));
    let admin_options = AdminOptions::new()
        .request_timeout(Some(options.timeout))
        .operation_timeout(Some(options.timeout));
    let results = block_on(admin.create_topics(&[new], &admin_options));
    for result in results.map_err(|e| cluster.error(&action, e))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(cluster.error(&action, KafkaError::AdminOp(code))),
        }
    }
    let start = Instant::now();
    while start.elapsed() < options.timeout {
        if let Some(partitions) = self::partitions(cluster, topic, options.timeout)? {
            return Ok(partitions);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(cluster.unavailable(&action, "it was created, but does not appear"))
}

/// The offsets that a partition spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of the first record that retention has left.
    pub start: u64,
    /// After the last record, open transactions included.
    pub end: u64,
}

/// The bounds of each of these partitions, in the same order.
pub fn bounds(
    cluster: &Cluster,
    topic: &str,
    partitions: impl IntoIterator<Item = u16>,
    timeout: Duration,
) -> Result<Vec<Bounds>> {
    let deadline = Instant::now() + timeout;
    let of = |partition: u16| loop {
        let asked = cluster
            .asker()
            .fetch_watermarks(topic, i32::from(partition), timeout);
        match asked.map_err(|e| cluster.error(&format!("asking for the ends of {topic}"), e)) {
            Ok((start, end)) => {
                return Ok(Bounds {
                    start: start as u64,
                    end: end as u64,
                });
            }
            // A topic just made has no leaders yet.
            Err(LogError::Unavailable { .. }) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(error),
        }
    };
    partitions.into_iter().map(of).collect()
}

/// The result of a future whose work is done elsewhere: librdkafka's threads.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}
