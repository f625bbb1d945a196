//! The Kafka store keeps the contract of logs, and waits for a broker that goes away.
//!
//! Runs against a real broker: transactions are not what Kafka's mocks model.
#![allow(clippy::unwrap_used)] // a test that unwraps has failed

#[path = "support/broker.rs"]
#[allow(dead_code, reason = "other tests stop and resume brokers")]
mod broker;
#[path = "support/contract/mod.rs"]
#[macro_use]
mod contract;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use riffle::log::kafka::{KafkaStore, TopicOptions};
use riffle::log::mirror::MirroredStore;
use riffle::log::{Layout, LogError, Offsets, Position, Received, Record, Store};

use broker::Broker;
use contract::Fixture;

fn properties(bootstrap: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())])
}

fn open(broker: &Broker) -> KafkaStore {
    KafkaStore::new(properties(broker.bootstrap()), TopicOptions::default()).unwrap()
}

const PATIENCE: Duration = Duration::from_secs(60);

/// The shared broker, with names of its own for each test.
struct Kafka(u32);

impl Kafka {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Kafka(COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Fixture for Kafka {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(open(broker::shared()))
    }

    fn name(&self, stem: &str) -> String {
        format!("{stem}-{}", self.0)
    }

    fn record_bytes_max(&self) -> Option<usize> {
        Some(1_000_000)
    }
}

contract! { Kafka::new() }

fn record(text: &str) -> Record {
    Record {
        key: Some(text.into()),
        value: Some(text.into()),
        headers: Vec::new(),
    }
}

#[test]
fn a_mirror_serves_what_was_read_while_the_broker_is_away() {
    let (broker, dir) = (Broker::start(), tempfile::tempdir().unwrap());
    let store = Arc::new(open(&broker));
    let store = MirroredStore::new(store, "log", dir.path(), 1 << 30).unwrap();
    store
        .create(
            "log",
            Layout {
                partitions: 2,
                compacted: true,
            },
        )
        .unwrap();
    let mut writer = store.writer("w", &["log"]).unwrap();
    for number in 0..3000u16 {
        writer
            .append("log", number % 2, record(&number.to_string()))
            .unwrap();
        if number % 100 == 99 {
            if number % 300 == 99 {
                writer.abort().unwrap()
            } else {
                writer.commit(b"").unwrap()
            }
        }
    }
    let ends = store.ends("log").unwrap();
    let mut reader = store.reader("log", &Offsets::default()).unwrap();
    let mut records = Vec::new();
    while !reader.offsets().reaches(&ends) {
        records.extend(reader.poll(Duration::from_millis(100)).unwrap());
    }
    records.sort_by_key(|received| received.position);
    let mut fetcher = store.fetcher("log").unwrap();
    drop((writer, reader));
    broker.stop();
    let positions: Vec<Position> = records.iter().map(|r| r.position).collect();
    let mut fetched = Vec::new();
    let mut each = |position, record| fetched.push(Received { position, record });
    fetcher.fetch(&positions, &mut each).unwrap();
    assert_eq!((fetched.len(), fetched), (2000, records));
}

#[test]
fn a_broker_that_restarts_is_waited_for() {
    let broker = Broker::start();
    let store = open(&broker);
    store
        .create(
            "log",
            Layout {
                partitions: 1,
                compacted: true,
            },
        )
        .unwrap();
    let mut writer = store.writer("w", &["log"]).unwrap();
    let mut reader = store.reader("log", &Offsets::default()).unwrap();
    let mut keys = Vec::new();
    let mut read = |count: usize, patience: Duration| {
        let start = Instant::now();
        while keys.len() < count && start.elapsed() < patience {
            let records = reader.poll(Duration::from_millis(200)).unwrap();
            keys.extend(records.into_iter().map(|r| r.record.key.unwrap()));
        }
        keys.clone()
    };
    writer.append("log", 0, record("before")).unwrap();
    writer.commit(b"1").unwrap();
    assert_eq!(read(1, PATIENCE), [b"before"]);
    broker.stop();
    assert_eq!(read(2, Duration::from_secs(3)), [b"before"], "and no error");
    broker.resume();
    writer.append("log", 0, record("after")).unwrap();
    writer.commit(b"2").unwrap();
    assert_eq!(read(2, PATIENCE), [b"before".to_vec(), b"after".to_vec()]);
    drop(writer);
    assert_eq!(
        store.writer("w", &["log"]).unwrap().position(),
        Some(&b"2"[..])
    );
}

#[test]
fn a_cluster_that_does_not_answer_is_unavailable() {
    let options = TopicOptions {
        timeout: Duration::from_secs(2),
        ..TopicOptions::default()
    };
    // Port 9 discards, and nobody runs it.
    let store = KafkaStore::new(properties("127.0.0.1:9"), options).unwrap();
    let start = Instant::now();
    let error = store.partitions("documents").unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(matches!(error, LogError::Unavailable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("127.0.0.1:9") && text.contains("Connection refused"),
        "{text}"
    );
}

#[test]
fn errors_do_not_tell_secrets() {
    let refuse = |key: &str, value: &str| {
        let mut properties = properties("127.0.0.1:9");
        properties.insert(key.to_owned(), value.to_owned());
        KafkaStore::new(properties, TopicOptions::default()).unwrap_err()
    };
    for (key, value) in [("sasl.pasword", "hunter2"), ("linger.ms", "hunter2")] {
        let error = refuse(key, value);
        assert!(
            matches!(&error, LogError::Property { key: k, .. } if k == key),
            "{error:?}"
        );
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
    let mut properties = properties("127.0.0.1:9");
    properties.insert("ssl.key.password".to_owned(), "hunter2".to_owned());
    let store = KafkaStore::new(properties, TopicOptions::default());
    assert!(!format!("{store:?}").contains("hunter2"));
    let error = KafkaStore::new(BTreeMap::new(), TopicOptions::default()).unwrap_err();
    assert!(error.to_string().contains("bootstrap.servers"), "{error}");
}

#[cfg(not(feature = "ssl"))]
#[test]
fn tls_without_its_feature_is_refused_at_the_start() {
    let mut properties = properties("127.0.0.1:9");
    properties.insert("security.protocol".to_owned(), "ssl".to_owned());
    let error = KafkaStore::new(properties, TopicOptions::default()).unwrap_err();
    assert!(matches!(&error, LogError::Property { .. }), "{error:?}");
    assert!(error.to_string().contains("--features ssl"), "{error}");
}
