//! What exactly-once costs on a real broker: throughput and latency by the length of an epoch.
//!
//! ```text
//! cargo bench --bench kafka              # 100,000 documents; `make kafka` has fetched the broker
//! cargo bench --bench kafka -- 300000    # another number
//! ```
//!
//! Documents are those of the bench `run`, in 8 partitions. For epochs of 100 ms, 1 s and 10 s:
//!
//! - `score` and `curate` catch up with them, one after the other, each record in a transaction.
//!   Documents are counted from the first commit to the last, so that joining the group, seconds in
//!   which nothing else happens, is not in the rate; it is in `score_starts`.
//! - Then both run as a service, and a document a tenth of a second arrives: how long it takes from
//!   the producer's commit until a reader of committed records has it from the curated topic. It
//!   waits for two epochs to end, those of `score` and of `curate`.
//!
//! And a transaction of 1, 100, 1,000 and 10,000 records alone. The broker shares the cores.
#![allow(clippy::unwrap_used)] // a figure that cannot be had is a failure

#[allow(dead_code, reason = "tests need the rest")]
#[path = "../tests/support/broker.rs"]
mod broker;
#[allow(dead_code, reason = "the bench `run` needs the rest")]
#[path = "run/corpus.rs"]
mod corpus;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use riffle::config::{Config, FieldPath, LogKind, PerplexityFrom, Stage};
use riffle::engine::{Halves, RunOptions, Stores, run};
use riffle::log::{Layout, Offsets, Record, Store};

const PARTITIONS: u16 = 8;
const EPOCHS_MS: [u32; 3] = [100, 1_000, 10_000];
/// Documents that arrive one by one.
const ARRIVALS: usize = 100;
const APART: Duration = Duration::from_millis(100);

fn main() {
    let documents = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next()
        .unwrap_or(100_000);
    let config = config(broker::shared().bootstrap());
    let store = Stores::new(&config).of(LogKind::Kafka).unwrap();
    produce(store.as_ref(), &config.documents.topic, documents);
    for epoch_ms in EPOCHS_MS {
        let mut config = config.clone();
        config.score.epoch_ms = epoch_ms;
        config.curate.epoch_ms = epoch_ms;
        config.scored.topic = format!("scored-{epoch_ms}");
        config.scored.dead_letters_topic = format!("dead-letters-{epoch_ms}");
        config.curated.topic = format!("curated-{epoch_ms}");
        config.curated.statistics_topic = format!("statistics-{epoch_ms}");
        catch_up(&config, store.as_ref(), "score", Halves::Score, documents);
        catch_up(&config, store.as_ref(), "curate", Halves::Curate, documents);
        arrivals(&config, store.as_ref());
    }
    transactions(store.as_ref());
}

/// All logs on the broker; scores from a field, and every document kept.
fn config(bootstrap: &str) -> Config {
    let mut config = Config::default();
    config.local.dir = tempfile::tempdir().unwrap().keep();
    config.kafka.set("bootstrap.servers", bootstrap);
    config.topics.partitions = PARTITIONS;
    for log in [
        &mut config.documents.log,
        &mut config.scored.log,
        &mut config.curated.log,
    ] {
        *log = LogKind::Kafka;
    }
    let field = FieldPath::try_from("metadata.perplexity".to_owned()).unwrap();
    config.score.perplexity = PerplexityFrom::Field(field);
    config.select = Vec::<Stage>::new();
    config
}

/// Fills the documents log, by id over its partitions.
fn produce(store: &dyn Store, log: &str, documents: usize) {
    let layout = Layout {
        partitions: PARTITIONS,
        compacted: false,
    };
    store.create(log, layout).unwrap();
    let mut writer = store.writer("bench-feed", &[log]).unwrap();
    for (n, document) in corpus::documents(documents).enumerate() {
        let partition = (blake3::hash(document.id.as_bytes()).as_bytes()[0] % 8).into();
        let record = Record {
            key: Some(document.id.into()),
            value: Some(document.json),
            headers: vec![],
        };
        writer.append(log, partition, record).unwrap();
        if n % 10_000 == 9_999 {
            writer.commit(b"").unwrap();
        }
    }
    writer.commit(b"").unwrap();
}

/// Runs one half until it has caught up, and tells how fast it was from its first commit on.
fn catch_up(config: &Config, store: &dyn Store, name: &str, half: Halves, documents: usize) {
    let log = match half {
        Halves::Score => &config.scored.topic,
        _ => &config.curated.topic,
    };
    let done = AtomicBool::new(false);
    let started = Instant::now();
    let seen = thread::scope(|scope| {
        let seen = scope.spawn(|| growth(store, log, &done));
        let options = RunOptions {
            halves: half,
            until_end: true,
        };
        run(config, options, &Arc::new(AtomicBool::new(false))).unwrap();
        done.store(true, Ordering::Release);
        seen.join().unwrap()
    });
    let (first, last) = (seen.first().unwrap(), seen.last().unwrap());
    let epoch = config.score.epoch_ms;
    let unit = |ends: &u64| *ends as f64 * documents as f64 / last.1 as f64;
    if last.0 > first.0 {
        figure(
            &format!("{name}.documents_per_second.epoch_{epoch}"),
            (unit(&last.1) - unit(&first.1)) / (last.0 - first.0).as_secs_f64(),
            "documents/s",
        );
    }
    figure(
        &format!("{name}_starts.epoch_{epoch}"),
        (first.0 - started).as_secs_f64() * 1e3,
        "ms",
    );
}

/// When the log was seen to have grown, and to what end, markers of transactions included.
fn growth(store: &dyn Store, log: &str, done: &AtomicBool) -> Vec<(Instant, u64)> {
    let mut seen: Vec<(Instant, u64)> = Vec::new();
    loop {
        let last = done.load(Ordering::Acquire);
        // Before the first commit there may be no such log.
        let end = store.ends(log).map_or(0, |ends| ends.0.iter().sum());
        if end > seen.last().map_or(0, |seen| seen.1) {
            seen.push((Instant::now(), end));
        }
        if last {
            return seen;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs both halves as a service, and tells how long single documents take.
fn arrivals(config: &Config, store: &dyn Store) {
    let log = &config.curated.topic;
    let from = store.ends(log).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let service = thread::spawn({
        let (config, stop) = (config.clone(), Arc::clone(&stop));
        let options = RunOptions {
            halves: Halves::Both,
            until_end: false,
        };
        move || run(&config, options, &stop).unwrap()
    });
    // One that is not counted tells that all stands.
    let name = |n: usize| format!("arrival-{}-{n}", config.score.epoch_ms);
    let mut took: Vec<f64> = thread::scope(|scope| {
        let arrived = scope.spawn(|| follow(store, log, &from, &name(0), ARRIVALS));
        let mut writer = store.writer("bench-arrivals", &[&config.documents.topic]);
        let writer = writer.as_mut().unwrap();
        let mut arrive = |n: usize| {
            let json = format!(
                r#"{{"id":"{}","text":"It has come.","metadata":{{"perplexity":20}}}}"#,
                name(n)
            );
            let record = Record {
                key: Some(name(n).into()),
                value: Some(json.into()),
                headers: vec![],
            };
            let topic = &config.documents.topic;
            writer.append(topic, 0, record).unwrap();
            writer.commit(b"").unwrap();
            Instant::now()
        };
        arrive(0);
        thread::sleep(Duration::from_millis(
            3_000 + 3 * u64::from(config.score.epoch_ms),
        ));
        let sent: Vec<Instant> = (1..=ARRIVALS)
            .map(|n| {
                thread::sleep(APART);
                arrive(n)
            })
            .collect();
        let arrived = arrived.join().unwrap();
        sent.iter()
            .zip(arrived)
            .map(|(sent, arrived)| (arrived - *sent).as_secs_f64() * 1e3)
            .collect()
    });
    stop.store(true, Ordering::Release);
    service.join().unwrap();
    took.sort_by(f64::total_cmp);
    for (share, at) in [("median", 50), ("p99", 99)] {
        figure(
            &format!(
                "from_producer_to_curated.{share}.epoch_{}",
                config.score.epoch_ms
            ),
            took[(took.len() * at).div_ceil(100) - 1],
            "ms",
        );
    }
}

/// When so many documents came to the log after that of the key `first`.
fn follow(
    store: &dyn Store,
    log: &str,
    from: &Offsets,
    first: &str,
    documents: usize,
) -> Vec<Instant> {
    let mut reader = store.reader(log, from).unwrap();
    let (mut begun, mut arrived) = (false, Vec::new());
    while arrived.len() < documents {
        for received in reader.poll(Duration::from_millis(10)).unwrap() {
            if begun {
                arrived.push(Instant::now());
            }
            begun |= received.record.key.as_deref() == Some(first.as_bytes());
        }
    }
    arrived
}

/// Tells how long a transaction takes, by its records.
fn transactions(store: &dyn Store) {
    let layout = Layout {
        partitions: 1,
        compacted: false,
    };
    store.create("bench-transactions", layout).unwrap();
    let mut writer = store
        .writer("bench-transactions", &["bench-transactions"])
        .unwrap();
    for (records, times) in [(1, 100), (100, 50), (1_000, 20), (10_000, 5)] {
        let started = Instant::now();
        for n in 0..times * records {
            let record = Record {
                key: Some(format!("document-{n}").into()),
                value: Some(vec![b'a' + (n % 26) as u8; 1_000]),
                headers: vec![],
            };
            writer.append("bench-transactions", 0, record).unwrap();
            if n % records == records - 1 {
                writer.commit(b"position").unwrap();
            }
        }
        let millis = started.elapsed().as_secs_f64() * 1e3 / times as f64;
        figure(&format!("transaction.records_{records}"), millis, "ms");
    }
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("figure\tkafka.{name}\t{value:.1}\t{unit}");
}
