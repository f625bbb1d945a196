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

/// A pause before it is looked again whether a topic is there.
const PAUSE: Duration = Duration::from_millis(50);

/// How many partitions the topic has, or `None` where there is none.
pub fn partitions(cluster: &Cluster, topic: &str, timeout: Duration) -> Result<Option<u16>> {
    let action = format!("looking for topic {topic}");
    let ask = |left| cluster.asker().fetch_metadata(Some(topic), left);
    let metadata = cluster.ask(&action, timeout, ask)?;
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
            let count = u16::try_from(count).map_err(|_| many())?;
            if count == 0 {
                return Ok(None);
            }
            cluster.saw(topic);
            Ok(Some(count))
        }
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok(None)
        }
        Some(code) => Err(cluster.error(&action, KafkaError::MetadataFetch(code))),
    }
}

/// How many partitions a topic has that must be there.
///
/// A broker may not have heard yet of a topic that was made through another: one that has been
/// there is waited for, up to `timeout`.
///
/// # Errors
/// [`LogError::Missing`] where there is no such topic.
pub fn known(cluster: &Cluster, topic: &str, timeout: Duration) -> Result<u16> {
    let start = Instant::now();
    loop {
        if let Some(partitions) = partitions(cluster, topic, timeout)? {
            return Ok(partitions);
        }
        if !cluster.has_seen(topic) || start.elapsed() >= timeout {
            return Err(LogError::Missing {
                log: topic.to_owned(),
                store: cluster.to_string(),
            });
        }
        std::thread::sleep(PAUSE);
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
    cluster.ask(&action, options.timeout, |left| {
        let limits = AdminOptions::new()
            .request_timeout(Some(left))
            .operation_timeout(Some(left));
        let results = block_on(admin.create_topics([&new], &limits))?;
        let refused = results.into_iter().filter_map(|result| result.err());
        let mut codes = refused.map(|(_, code)| code);
        match codes.find(|code| *code != RDKafkaErrorCode::TopicAlreadyExists) {
            None => Ok(()),
            Some(code) => Err(KafkaError::AdminOp(code)),
        }
    })?;
    let start = Instant::now();
    while start.elapsed() < options.timeout {
        if let Some(partitions) = self::partitions(cluster, topic, options.timeout)? {
            return Ok(partitions);
        }
        std::thread::sleep(PAUSE);
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
    let action = format!("asking for the ends of {topic}");
    let of = |partition: u16| {
        let asker = cluster.asker();
        let ask = |left| asker.fetch_watermarks(topic, i32::from(partition), left);
        let (start, end) = cluster.ask(&action, timeout, ask)?;
        Ok(Bounds {
            start: start as u64,
            end: end as u64,
        })
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

#[cfg(test)]
mod tests {
    use std::thread;

    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as Error};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn cluster_at(servers: String) -> Cluster {
        Cluster::new([("bootstrap.servers".to_owned(), servers)].into()).unwrap()
    }

    #[test]
    fn fault_a_topic_that_a_broker_has_not_heard_of_yet_is_waited_for() {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("new", 3, 1).unwrap();
        let cluster = cluster_at(mock.bootstrap_servers());
        assert_eq!(partitions(&cluster, "new", TIMEOUT).unwrap(), Some(3));
        let unknown = Error::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        mock.topic_error("new", unknown).unwrap();
        assert_eq!(partitions(&cluster, "new", TIMEOUT).unwrap(), None);
        let found = thread::scope(|scope| {
            let found = scope.spawn(|| known(&cluster, "new", TIMEOUT));
            thread::sleep(Duration::from_millis(300));
            let none = Error::RD_KAFKA_RESP_ERR_NO_ERROR;
            mock.topic_error("new", none).unwrap();
            found.join().unwrap()
        });
        assert_eq!(found.unwrap(), 3);
        let start = Instant::now();
        let never = known(&cluster, "never", TIMEOUT);
        assert!(matches!(never, Err(LogError::Missing { .. })));
        assert!(start.elapsed() < TIMEOUT / 2, "{:?}", start.elapsed());
    }

    #[test]
    fn fault_brokers_that_are_busy_with_themselves_are_asked_again() {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("moved", 1, 1).unwrap();
        let cluster = cluster_at(mock.bootstrap_servers());
        let busy = [
            Error::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Error::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
            Error::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
        ];
        mock.request_errors(RDKafkaApiKey::ListOffsets, &busy);
        let bounds = bounds(&cluster, "moved", [0], TIMEOUT).unwrap();
        assert_eq!(bounds, [Bounds { start: 0, end: 0 }]);
    }

    /// The brokers of tests without a process of their own make no topics.
    #[test]
    fn fault_a_topic_is_made_as_soon_as_there_is_a_controller() {
        let cluster = cluster_at("127.0.0.1:1".to_owned());
        let mut answers = [RDKafkaErrorCode::NotController; 3].into_iter();
        let made = cluster.ask("making a topic", TIMEOUT, |_| match answers.next() {
            Some(code) => Err(KafkaError::AdminOp(code)),
            None => Ok("made"),
        });
        assert_eq!(made.unwrap(), "made");
        let refused = cluster.ask("making a topic", TIMEOUT, |_| {
            Err::<(), _>(KafkaError::AdminOp(RDKafkaErrorCode::PolicyViolation))
        });
        assert!(refused.is_err_and(|error| error.is_fatal()));
    }
}
