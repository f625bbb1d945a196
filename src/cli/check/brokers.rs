//! The Kafka cluster: whether it answers, and which of the topics it has.

use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::Metadata;

use super::finding::{Finding, Status};
use crate::config::{Config, LogKind};

/// How long the cluster has to answer.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// How many events of a client are looked through for the reason of its failure; each connection
/// tried makes two or three.
const EVENTS_MAX: usize = 32;

/// A finding for the cluster, and one for each topic in it; none when all logs are local.
pub(super) fn check(config: &Config, offline: bool) -> Vec<Finding> {
    if !config.uses(LogKind::Kafka) {
        return Vec::new();
    }
    let servers = config.kafka.get("bootstrap.servers").unwrap_or_default();
    if offline {
        return vec![Finding::new(
            Status::Skipped,
            "brokers",
            format!("{servers} (--offline)"),
        )];
    }
    match metadata(config) {
        Err(reason) => vec![
            Finding::new(Status::Fail, "brokers", format!("{servers}: {reason}"))
                .fix("start the cluster, or correct the properties under [kafka]"),
        ],
        Ok(metadata) => {
            let count = metadata.brokers().len();
            let found = format!("{servers}: answers, {}", counted(count, "broker"));
            let topics = config
                .all_topics()
                .into_iter()
                .filter(|log| log.2 == LogKind::Kafka);
            let topics = topics.map(|(key, name, _)| topic(config, &metadata, key, name));
            std::iter::once(Finding::new(Status::Ok, "brokers", found))
                .chain(topics)
                .collect()
        }
    }
}

/// A client that asks, and neither reads nor writes; it keeps the first reason of a failure.
pub(super) fn client(config: &Config) -> KafkaResult<BaseConsumer<Quiet>> {
    let mut client = ClientConfig::new();
    for (name, value) in config.kafka.iter() {
        client.set(name, value);
    }
    BaseConsumer::from_config_and_context(&client, Quiet::default())
}

/// What the cluster says about all its topics. All, since asking for one by name would make it on
/// clusters that make topics on their own.
fn metadata(config: &Config) -> Result<Metadata, String> {
    let consumer = client(config).map_err(|error| format!("no client can be made: {error}"))?;
    consumer
        .fetch_metadata(None, ANSWER_TIME_MAX)
        .map_err(|error| {
            for _ in 0..EVENTS_MAX {
                consumer.poll(Duration::ZERO);
            }
            let reason = consumer.context().reason.get().cloned();
            let reason = reason.unwrap_or_else(|| error.to_string());
            format!("no answer within {} s: {reason}", ANSWER_TIME_MAX.as_secs())
        })
}

fn topic(config: &Config, metadata: &Metadata, key: &str, name: &str) -> Finding {
    let what = format!("topic {name}");
    let present = metadata.topics().iter().find(|topic| topic.name() == name);
    if let Some(topic) = present {
        return match topic.error() {
            None => Finding::new(
                Status::Ok,
                what,
                counted(topic.partitions().len(), "partition"),
            ),
            Some(error) => {
                let error = KafkaError::MetadataFetch(error.into());
                Finding::new(Status::Fail, what, error.to_string())
                    .fix(format!("let this user read and write it, or set {key}"))
            }
        };
    }
    let (wanted, brokers) = (config.topics.replication_factor, metadata.brokers().len());
    if usize::from(wanted) > brokers {
        let reason = format!(
            "cannot be made: topics.replication_factor is {wanted}, and there are {}",
            counted(brokers, "broker")
        );
        return Finding::new(Status::Fail, what, reason).fix(format!(
            "set topics.replication_factor to {brokers} or less"
        ));
    }
    let partitions = counted(usize::from(config.topics.partitions), "partition");
    Finding::new(Status::Ok, what, format!("will be made, with {partitions}"))
}

pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A client that prints nothing and keeps its first complaint: the ones after it say that all
/// brokers are down.
#[derive(Default)]
pub(super) struct Quiet {
    reason: OnceLock<String>,
}

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
    }
}

impl ConsumerContext for Quiet {}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn topics_are_there_or_will_be_made_or_cannot_be() {
        let cluster = MockCluster::new(3).unwrap();
        cluster.create_topic("documents", 4, 3).unwrap();
        let mut config = Config::default();
        config
            .kafka
            .set("bootstrap.servers", cluster.bootstrap_servers());
        config.documents.log = LogKind::Kafka;
        config.scored.log = LogKind::Kafka;

        let findings = check(&config, false);
        let found: Vec<_> = findings
            .iter()
            .map(|it| (it.status, it.what.as_str()))
            .collect();
        let expected = [
            "brokers",
            "topic documents",
            "topic scored",
            "topic dead-letters",
        ];
        assert_eq!(
            found,
            expected.map(|what| (Status::Ok, what)),
            "{findings:?}"
        );
        assert!(
            findings[0].found.ends_with("answers, 3 brokers"),
            "{findings:?}"
        );
        assert_eq!(findings[1].found, "4 partitions");
        assert_eq!(findings[2].found, "will be made, with 1 partition");

        config.topics.replication_factor = 4;
        let statuses: Vec<_> = check(&config, false).iter().map(|it| it.status).collect();
        assert_eq!(
            statuses,
            [Status::Ok, Status::Ok, Status::Fail, Status::Fail]
        );
    }

    #[test]
    fn local_logs_need_no_brokers() {
        assert!(check(&Config::default(), false).is_empty());
    }
}
