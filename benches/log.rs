//! Rates of the logs: appending, reading in order, and fetching single records.
//!
//! `cargo bench --bench log -- [RECORDS] [PROPERTY=VALUE ...]`, with BOOTSTRAP=host:port for
//! Kafka's figures too, which the properties are for. Records are 1.5 KB of text-like noise under a
//! key. Reading and fetching are measured with the files in the page cache, so they tell the
//! processor's part; a cold disk adds its own. Single positions far apart are the case in which a
//! Kafka log is slow by nature: the mirror is for them.
#![allow(clippy::unwrap_used)] // a figure that cannot be had is a failure

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use riffle::log::kafka::{KafkaStore, TopicOptions};
use riffle::log::local::{LocalOptions, LocalStore};
use riffle::log::mirror::MirroredStore;
use riffle::log::{Layout, Offsets, Position, Record, Store};

const VALUE_BYTES: usize = 1500;
const COMMIT_EVERY: usize = 10_000;

/// A generator without a library: xorshift.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Words of a vocabulary of 4,096 with a skewed distribution compress by about half, as text.
    fn record(&mut self, number: usize) -> Record {
        let mut value = Vec::with_capacity(VALUE_BYTES + 16);
        while value.len() < VALUE_BYTES {
            let (a, b) = (self.next() % 4096, self.next() % 4096);
            let mut word = Noise(a.min(b).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let letters = 3 + word.next() % 7;
            value.extend((0..letters).map(|_| b'a' + (word.next() % 26) as u8));
            value.push(b' ');
        }
        value.truncate(VALUE_BYTES);
        Record {
            key: Some(format!("document-{number}").into()),
            value: Some(value),
            headers: vec![],
        }
    }
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("figure\t{name}\t{value:.0}\t{unit}");
}

fn append(store: &dyn Store, kind: &str, log: &str, records: &[Record]) {
    store
        .create(
            log,
            Layout {
                partitions: 1,
                compacted: false,
            },
        )
        .unwrap();
    let mut writer = store.writer(log, &[log]).unwrap();
    let (start, mut commits) = (Instant::now(), Duration::ZERO);
    for batch in records.chunks(COMMIT_EVERY) {
        for record in batch {
            writer.append(log, 0, record.clone()).unwrap();
        }
        let commit = Instant::now();
        writer.commit(b"position").unwrap();
        commits += commit.elapsed();
    }
    let rate = records.len() as f64 / start.elapsed().as_secs_f64();
    figure(
        &format!("log.{kind}.append_records_per_second"),
        rate,
        "1/s",
    );
    let start = Instant::now();
    let small = 200;
    for record in &records[..small] {
        writer.append(log, 0, record.clone()).unwrap();
        writer.commit(b"position").unwrap();
    }
    let micros = start.elapsed().as_secs_f64() * 1e6 / small as f64;
    figure(&format!("log.{kind}.commit_of_one_record"), micros, "us");
}

fn read(store: &dyn Store, kind: &str, log: &str) -> Vec<Position> {
    let ends = store.ends(log).unwrap();
    let mut reader = store.reader(log, &Offsets::default()).unwrap();
    let (start, mut bytes, mut positions) = (Instant::now(), 0, Vec::new());
    while !reader.offsets().reaches(&ends) {
        for received in reader.poll(Duration::from_millis(100)).unwrap() {
            bytes += received.record.bytes();
            positions.push(received.position);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    figure(
        &format!("log.{kind}.read_bytes_per_second"),
        bytes as f64 / seconds,
        "B/s",
    );
    figure(
        &format!("log.{kind}.read_records_per_second"),
        positions.len() as f64 / seconds,
        "1/s",
    );
    positions
}

fn fetch(store: &dyn Store, kind: &str, log: &str, all: &[Position], count: usize) {
    let mut noise = Noise(7);
    let mut random: Vec<Position> = (0..count)
        .map(|_| all[noise.next() as usize % all.len()])
        .collect();
    random.sort_unstable();
    // Every fourth record of stretches of 400, as the documents beside a moving cut.
    let stretches = (count / 100).max(1);
    let mut clustered: Vec<Position> = (0..stretches)
        .map(|_| noise.next() as usize % (all.len() - 400))
        .flat_map(|from| all[from..from + 400].iter().step_by(4).copied())
        .collect();
    clustered.sort_unstable();
    clustered.dedup();
    let mut fetcher = store.fetcher(log).unwrap();
    for (name, positions) in [("random", random), ("clustered", clustered)] {
        let (start, mut bytes) = (Instant::now(), 0);
        fetcher
            .fetch(&positions, &mut |_, record| bytes += record.bytes())
            .unwrap();
        assert!(bytes > positions.len() * VALUE_BYTES / 2);
        let rate = positions.len() as f64 / start.elapsed().as_secs_f64();
        figure(
            &format!("log.{kind}.fetch_{name}_records_per_second"),
            rate,
            "1/s",
        );
    }
}

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(200_000);
    let mut noise = Noise(1);
    let records: Vec<Record> = (0..count).map(|number| noise.record(number)).collect();
    let dir = tempfile::tempdir().unwrap();
    let local = LocalStore::open(&dir.path().join("local"), LocalOptions::default()).unwrap();
    append(&local, "local", "bench", &records);
    let all = read(&local, "local", "bench");
    fetch(&local, "local", "bench", &all, count / 10);
    let mirrored = |store: Arc<dyn Store>, log: &str| {
        MirroredStore::new(store, log, &dir.path().join("mirror"), 10 << 30).unwrap()
    };
    let mirror = mirrored(Arc::new(local), "bench");
    let all = read(&mirror, "mirror", "bench");
    fetch(&mirror, "mirror", "bench", &all, count / 10);
    drop(mirror);
    let Ok(bootstrap) = std::env::var("BOOTSTRAP") else {
        return;
    };
    let mut properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap)]);
    properties.extend(std::env::args().filter_map(|argument| {
        argument
            .split_once('=')
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
    }));
    let kafka = KafkaStore::new(properties, TopicOptions::default()).unwrap();
    let log = format!("bench-{}", std::process::id());
    append(&kafka, "kafka", &log, &records);
    let all = read(&kafka, "kafka", &log);
    fetch(&kafka, "kafka", &log, &all, 1000);
}
