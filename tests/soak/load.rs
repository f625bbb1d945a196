//! A producer that knows nothing of the engine: documents, changes, takedowns and poison, at a rate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::dice::Dice;
use crate::ledger::{Ledger, document, id};

/// How often a batch of records is handed over.
const TICK: Duration = Duration::from_millis(10);
/// The broker is away for less than this.
const PATIENCE: Duration = Duration::from_secs(120);

/// What goes to the broker.
struct Line {
    key: Option<String>,
    value: Option<Vec<u8>>,
}

impl Line {
    fn new(key: &str, value: impl Into<Vec<u8>>) -> Self {
        let (key, value) = (Some(key.to_owned()), Some(value.into()));
        Line { key, value }
    }
}

/// Produces to `topic` until `stop`, at `rate` records a second; `ledger` is ahead of the broker by
/// what is on its way, and agrees with it on return.
pub fn produce(
    bootstrap: &str,
    topic: &str,
    rate: u64,
    dice: &mut Dice,
    ledger: &Mutex<Ledger>,
    stop: &AtomicBool,
) {
    let producer = producer(bootstrap);
    let (start, mut sent) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = start.elapsed().as_millis() as u64 * rate / 1000;
        while sent < due {
            let line = next(
                &mut ledger.lock().unwrap_or_else(PoisonError::into_inner),
                dice,
            );
            send(&producer, topic, &line);
            sent += 1;
        }
        thread::sleep(TICK);
    }
    producer
        .flush(PATIENCE)
        .expect("the broker takes what is produced");
}

/// A producer whose records come through once and in order, however often the broker dies.
fn producer(bootstrap: &str) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", PATIENCE.as_millis().to_string())
        // As the engine and Kafka's Java clients do it.
        .set("partitioner", "murmur2_random")
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    config.create().unwrap()
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, line: &Line) {
    let mut record = BaseRecord::<str, [u8]>::to(topic);
    record.key = line.key.as_deref();
    record.payload = line.value.as_deref();
    while let Err((error, refused)) = producer.send(record) {
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        assert_eq!(error, full);
        record = refused;
        thread::sleep(TICK);
    }
}

/// The next record, which the ledger then holds.
fn next(ledger: &mut Ledger, dice: &mut Dice) -> Line {
    let write = ledger.records;
    ledger.records += 1;
    let known = ledger.documents();
    match dice.below(100) {
        0..3 => poison(ledger, write, dice),
        3..13 if known > 0 => takedown(ledger, dice.below(known.into()) as u32),
        13..43 if known > 0 => written(ledger, dice.below(known.into()) as u32, write),
        _ => written(ledger, known, write),
    }
}

fn written(ledger: &mut Ledger, n: u32, write: u32) -> Line {
    let writes = ledger.writes.entry(n).or_default();
    ledger.updates += u64::from(*writes > 0);
    *writes += 1;
    ledger.live.insert(n, write);
    Line::new(&id(n), document(n, write).to_string())
}

fn takedown(ledger: &mut Ledger, n: u32) -> Line {
    *ledger.writes.entry(n).or_default() += 1;
    ledger.takedowns += 1;
    ledger.live.remove(&n);
    let key = Some(id(n));
    Line { key, value: None }
}

fn poison(ledger: &mut Ledger, write: u32, dice: &mut Dice) -> Line {
    let key = format!("poison-{write}");
    let whole = document(0, write).to_string();
    let value = match dice.below(6) {
        0 => whole.as_bytes()[..whole.len() / 2].to_vec(),
        1 => [
            &whole.as_bytes()[..20],
            b"\xff\xfe",
            &whole.as_bytes()[20..],
        ]
        .concat(),
        2 => b"[1, 2, 3]".to_vec(),
        3 => Vec::new(),
        4 => {
            ledger.poison_without_key += 1;
            let value = Some(whole.into_bytes());
            return Line { key: None, value };
        }
        _ => whole.into_bytes(), // of a document that goes by another key
    };
    ledger.poison.insert(key.clone());
    Line::new(&key, value)
}
