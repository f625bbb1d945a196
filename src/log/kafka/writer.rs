//! Writing in transactions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::util::Timeout;

use super::client::{Cluster, Context, Role, code, is_outage};
use super::message::headers;
use super::{PROGRESS_TOPIC, topics};
use crate::log::{LogError, Record, Result, Writer};

/// A pause before what librdkafka calls retriable is done again.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether all records have been delivered.
const DELIVERY_STEP: Duration = Duration::from_micros(500);
/// How long a writer that is dropped tries to end its transaction; the broker does it later.
const FAREWELL: Duration = Duration::from_secs(5);

/// A producer whose thread serves its events: an abort waits for them.
pub type TransactionalProducer = ThreadedProducer<Context>;

/// The producer of this name. What its predecessor left open has ended on return, and the
/// predecessor is fenced.
///
/// # Errors
/// [`LogError::Unavailable`] where the brokers do not answer, or are not done with a transaction of
/// the predecessor, which a broker that has just started may take longer for than the timeout.
/// [`LogError::Fenced`] where another starts under this name at the same time.
pub fn producer(cluster: &Cluster, name: &str, timeout: Duration) -> Result<TransactionalProducer> {
    let producer: TransactionalProducer = cluster.client(Role::Writer(name))?;
    let action = || format!("starting writer {name}");
    let start = Instant::now();
    loop {
        let left = timeout
            .saturating_sub(start.elapsed())
            .max(Duration::from_secs(1));
        match producer.init_transactions(left) {
            Ok(()) => return Ok(producer),
            Err(KafkaError::Transaction(e)) if e.is_retriable() => {
                if start.elapsed() >= timeout {
                    return Err(cluster.unavailable(&action(), &e.to_string()));
                }
                std::thread::sleep(PAUSE);
            }
            Err(error) if is_fenced(code(&error)) => {
                let writer = name.to_owned();
                return Err(LogError::Fenced { writer });
            }
            Err(error) => return Err(cluster.error(&action(), error)),
        }
    }
}

/// As [`producer`], for one that is to work alone: while the brokers answer, it is the transaction
/// of its predecessor that is waited for, up to `patience`.
pub fn patient_producer(
    cluster: &Cluster,
    name: &str,
    timeout: Duration,
    patience: Duration,
) -> Result<TransactionalProducer> {
    let start = Instant::now();
    loop {
        match producer(cluster, name, timeout) {
            Err(LogError::Unavailable { .. })
                if start.elapsed() < patience
                    && topics::partitions(cluster, PROGRESS_TOPIC, timeout).is_ok() =>
            {
                tracing::warn!(writer = name, "waiting for its predecessor's transaction");
            }
            done => return done,
        }
    }
}

/// Appends to topics, and commits with its position.
pub struct KafkaWriter {
    producer: TransactionalProducer,
    name: String,
    store: String,
    record_bytes_max: usize,
    logs: BTreeMap<String, u16>,
    position: Option<Vec<u8>>,
    open: bool,
}

impl KafkaWriter {
    /// The writer behind a producer that has started.
    pub fn new(
        cluster: &Cluster,
        producer: TransactionalProducer,
        name: &str,
        logs: BTreeMap<String, u16>,
        position: Option<Vec<u8>>,
    ) -> Self {
        KafkaWriter {
            producer,
            name: name.to_owned(),
            store: cluster.to_string(),
            record_bytes_max: cluster.message_bytes_max(),
            logs,
            position,
            open: false,
        }
    }

    fn begin(&mut self) -> Result<()> {
        if !self.open {
            self.producer
                .begin_transaction()
                .map_err(|e| self.error("beginning", e))?;
            self.open = true;
        }
        Ok(())
    }

    /// Hands a record to librdkafka, waiting while its queue is full.
    fn send(&self, topic: &str, partition: u16, record: &Record) -> Result<()> {
        let mut message = BaseRecord::<[u8], [u8]>::to(topic).partition(i32::from(partition));
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.headers = headers(record);
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((error, refused)) => match code(&error) {
                    Some(RDKafkaErrorCode::QueueFull) => {
                        std::thread::sleep(Duration::from_millis(1));
                        message = refused;
                    }
                    Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                        return Err(self.too_large(topic, record));
                    }
                    _ => return Err(self.error("appending", error)),
                },
            }
        }
    }

    /// Waits until every record is delivered or given up, by default after a minute.
    ///
    /// The commit does that as well, but it waits in steps of 100 ms for events that the
    /// producer's own thread has taken: a commit of one record took 102 ms.
    fn deliver(&self) {
        while self.producer.in_flight_count() > 0 {
            std::thread::sleep(DELIVERY_STEP);
        }
    }

    /// Commits with these positions, each under its name, after `last` has put what else belongs to
    /// them in the transaction.
    pub fn commit_with(
        &mut self,
        positions: impl IntoIterator<Item = (String, Vec<u8>)>,
        last: impl Fn(&TransactionalProducer) -> KafkaResult<()>,
    ) -> Result<()> {
        self.begin()?;
        for (name, position) in positions {
            let record = Record {
                key: Some(name.into_bytes()),
                value: Some(position),
                headers: Vec::new(),
            };
            self.send(PROGRESS_TOPIC, 0, &record)?;
        }
        self.deliver();
        self.persist(|producer| last(producer))?;
        self.persist(|producer| producer.commit_transaction(Timeout::Never))?;
        self.producer.context().answered();
        self.open = false;
        Ok(())
    }

    /// Takes a step of a commit until it succeeds. A failure that is not fatal ends the
    /// transaction.
    fn persist(&mut self, step: impl Fn(&TransactionalProducer) -> KafkaResult<()>) -> Result<()> {
        loop {
            match step(&self.producer) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(e)) if e.is_retriable() => std::thread::sleep(PAUSE),
                Err(error) => {
                    let stale = is_stale(code(&error));
                    let error = self.error("committing", error);
                    if !error.is_fatal() || stale {
                        self.end()?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Aborts what is open.
    fn end(&mut self) -> Result<()> {
        while self.open {
            match self.producer.abort_transaction(Timeout::Never) {
                Ok(()) => self.open = false,
                Err(KafkaError::Transaction(e)) if e.is_retriable() => std::thread::sleep(PAUSE),
                Err(error) => return Err(self.error("aborting", error)),
            }
        }
        Ok(())
    }

    fn too_large(&self, topic: &str, record: &Record) -> LogError {
        let (bytes, limit) = (record.bytes(), self.record_bytes_max);
        LogError::TooLarge {
            log: topic.to_owned(),
            bytes,
            limit,
        }
    }

    /// An error of the transaction: fatal, to be aborted, or to be done again.
    fn error(&self, action: &str, source: KafkaError) -> LogError {
        let fatal_code = self.producer.client().fatal_error().map(|(code, _)| code);
        let code = fatal_code.or(code(&source));
        if is_fenced(code) || is_stale(code) {
            return LogError::Fenced {
                writer: self.name.clone(),
            };
        }
        let (abort, fatal) = match &source {
            KafkaError::Transaction(e) => (e.txn_requires_abort(), e.is_fatal()),
            source => {
                let code = self::code(source);
                // The transaction has failed while it was being appended to: librdkafka takes no
                // more for it, and says why when it is committed.
                let has_failed = code == Some(RDKafkaErrorCode::State);
                (has_failed || is_outage(code), false)
            }
        };
        let fatal = fatal || fatal_code.is_some() || !abort;
        let action = format!("{action} a transaction of writer {}", self.name);
        LogError::Kafka {
            action,
            source,
            abort,
            fatal,
        }
    }
}

impl Writer for KafkaWriter {
    fn position(&self) -> Option<&[u8]> {
        self.position.as_deref()
    }

    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
        match self.logs.get(log) {
            None => {
                return Err(LogError::Missing {
                    log: log.to_owned(),
                    store: self.store.clone(),
                });
            }
            Some(partitions) if partition >= *partitions => {
                let (log, partitions) = (log.to_owned(), *partitions);
                return Err(LogError::NoPartition {
                    log,
                    partition,
                    partitions,
                });
            }
            Some(_) => {}
        }
        self.begin()?;
        self.send(log, partition, &record)
    }

    fn commit(&mut self, position: &[u8]) -> Result<()> {
        let (name, position) = (self.name.clone(), position.to_vec());
        self.commit_with([(name, position.clone())], |_| Ok(()))?;
        self.position = Some(position);
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        if self.open {
            // Else librdkafka may end the transaction on the broker before it has begun it there,
            // which the broker takes as a fault of the producer.
            let _ = self.producer.flush(FAREWELL);
        }
        self.end()
    }
}

impl Drop for KafkaWriter {
    /// Ends an open transaction, so that readers need not wait for the broker to do it.
    fn drop(&mut self) {
        if self.open && self.producer.client().fatal_error().is_none() {
            let flushed = self.producer.flush(FAREWELL);
            let ended = flushed.and_then(|()| self.producer.abort_transaction(FAREWELL));
            if let Err(error) = ended {
                tracing::debug!(writer = %self.name, %error, "left a transaction open");
            }
        }
    }
}

/// Whether another producer of the same transactional id has started.
fn is_fenced(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
    )
}

/// Whether the group has given the member's partitions to others.
fn is_stale(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId)
    )
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rdkafka::ClientContext;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    fn cluster_at(mock: &MockCluster<'_, impl ClientContext>) -> Cluster {
        let servers = ("bootstrap.servers".to_owned(), mock.bootstrap_servers());
        Cluster::new([servers].into()).unwrap()
    }

    const BUSY: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;

    #[test]
    fn fault_a_start_before_the_predecessors_transaction_has_ended_may_pass() {
        let mock = MockCluster::new(1).unwrap();
        mock.request_errors(RDKafkaApiKey::InitProducerId, &[BUSY; 200]);
        let cluster = cluster_at(&mock);
        let Err(error) = producer(&cluster, "late", Duration::from_secs(1)) else {
            panic!("it has started");
        };
        assert!(error.may_pass(), "{error}");
        assert!(
            error.to_string().contains("starting writer late"),
            "{error}"
        );
    }

    #[test]
    fn fault_who_works_alone_waits_for_the_predecessors_transaction_while_brokers_answer() {
        let mock = MockCluster::new(1).unwrap();
        mock.request_errors(RDKafkaApiKey::InitProducerId, &[BUSY; 200]);
        let cluster = cluster_at(&mock);
        let (timeout, start) = (Duration::from_secs(1), Instant::now());
        let given_up = patient_producer(&cluster, "alone", timeout, 2 * timeout);
        assert!(matches!(given_up, Err(LogError::Unavailable { .. })));
        assert!(start.elapsed() >= 2 * timeout, "{:?}", start.elapsed());
        let started = thread::scope(|scope| {
            let patient = || patient_producer(&cluster, "alone", timeout, 60 * timeout);
            let started = scope.spawn(patient);
            thread::sleep(2 * timeout);
            mock.clear_request_errors(RDKafkaApiKey::InitProducerId);
            started.join().unwrap()
        });
        assert!(started.is_ok());
    }

    #[test]
    fn fault_a_start_beside_another_of_its_name_is_fenced() {
        let mock = MockCluster::new(1).unwrap();
        let fenced = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_PRODUCER_FENCED];
        mock.request_errors(RDKafkaApiKey::InitProducerId, &fenced);
        let started = producer(&cluster_at(&mock), "twin", Duration::from_secs(5));
        let error = started.err().expect("the broker has refused it");
        assert!(matches!(error, LogError::Fenced { .. }), "{error}");
    }

    #[test]
    fn fault_a_transaction_that_fails_while_it_is_appended_to_is_done_again() {
        let mock = MockCluster::new(1).unwrap();
        for topic in ["log", PROGRESS_TOPIC] {
            mock.create_topic(topic, 1, 1).unwrap();
        }
        let cluster = cluster_at(&mock);
        let started = producer(&cluster, "again", Duration::from_secs(5)).unwrap();
        let logs = [("log".to_owned(), 1)].into();
        let mut writer = KafkaWriter::new(&cluster, started, "again", logs, None);
        let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
        mock.request_errors(RDKafkaApiKey::AddPartitionsToTxn, &refused);
        let error = (0..1000).find_map(|_| {
            thread::sleep(Duration::from_millis(10));
            writer.append("log", 0, Record::default()).err()
        });
        let error = error.expect("the transaction has failed");
        assert!(error.may_pass(), "{error}");
        writer.abort().unwrap();
        writer.append("log", 0, Record::default()).unwrap();
        writer.commit(b"place").unwrap();
        assert_eq!(writer.position(), Some(&b"place"[..]));
    }
}
