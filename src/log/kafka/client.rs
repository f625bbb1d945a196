//! The cluster and its clients: properties, what librdkafka reports, and its errors as ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::log::{LogError, Result};

/// After this time without a heartbeat a member of a group counts as dead, unless it is set.
const SESSION_TIMEOUT_MS: &str = "10000";
/// A pause before the brokers are asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// Asks for metadata and the ends of partitions, open transactions included.
    Asker,
    /// Reads committed records in order.
    Reader,
    /// Reads single records.
    Fetcher,
    /// Writes transactions under this name.
    Writer(&'a str),
    /// Takes part in this group, so as to be given partitions; reads none of them itself.
    Member(&'a str),
}

impl Role<'_> {
    /// What the user's properties override.
    fn defaults(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Role::Asker => &[("group.id", "riffle")],
            // A full queue stops fetching for this long; the default is a second.
            Role::Reader => &[
                ("group.id", "riffle"),
                ("fetch.queue.backoff.ms", "20"),
                ("queued.max.messages.kbytes", "65536"),
            ],
            Role::Fetcher => &[("group.id", "riffle")],
            // Level 1: the default level halves the rate at which one producer appends.
            Role::Writer(_) => &[
                ("compression.type", "zstd"),
                ("compression.level", "1"),
                ("linger.ms", "5"),
                ("queue.buffering.max.kbytes", "65536"),
            ],
            // A member that is killed is missed after this time, librdkafka's default being 45 s;
            // the others hear of a rebalance with their next heartbeat.
            Role::Member(_) => &[("session.timeout.ms", SESSION_TIMEOUT_MS)],
        }
    }

    /// What correctness, or the fetcher's speed, rests on.
    fn requirements(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Role::Asker => &[
                ("isolation.level", "read_uncommitted"),
                ("enable.auto.commit", "false"),
            ],
            Role::Reader => &[
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("enable.partition.eof", "true"),
            ],
            Role::Fetcher => &[
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("enable.partition.eof", "true"),
                ("fetch.queue.backoff.ms", "1"),
                ("fetch.wait.max.ms", "1"),
                ("queued.max.messages.kbytes", "4096"),
            ],
            Role::Writer(_) => &[("enable.idempotence", "true")],
            // Offsets are read once pending transactions have ended: isolation.level asks for it.
            Role::Member(_) => &[
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"),
                ("group.protocol", "classic"),
                ("partition.assignment.strategy", "range"),
            ],
        }
    }
}

/// A Kafka cluster and the properties of its clients.
pub struct Cluster {
    properties: BTreeMap<String, String>,
    brokers: String,
    /// Of all clients, so that an outage is told once, and its end.
    context: Context,
    asker: BaseConsumer<Context>,
    /// The topics that have been there.
    seen: Mutex<BTreeSet<String>>,
}

impl Cluster {
    /// Checks the properties by making a client, which connects in the background.
    pub fn new(properties: BTreeMap<String, String>) -> Result<Cluster> {
        let properties: BTreeMap<String, String> = properties
            .into_iter()
            .map(|(key, value)| (canonical(key), value))
            .collect();
        let brokers = properties
            .get("bootstrap.servers")
            .cloned()
            .ok_or_else(|| LogError::Property {
                key: "bootstrap.servers".to_owned(),
                reason: "it is missing: name at least one broker, as host:port".to_owned(),
            })?;
        let context = Context::new(&brokers);
        let asker = config(&properties, Role::Asker).create_with_context(context.clone());
        Ok(Cluster {
            properties,
            brokers,
            context,
            asker: asker.map_err(refused)?,
            seen: Mutex::default(),
        })
    }

    /// The bootstrap servers, as configured.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The client for questions.
    pub fn asker(&self) -> &BaseConsumer<Context> {
        &self.asker
    }

    /// The largest record that the producers take; librdkafka's default unless it is set.
    pub fn message_bytes_max(&self) -> usize {
        let set = self.properties.get("message.max.bytes");
        set.and_then(|bytes| bytes.parse().ok())
            .unwrap_or(1_000_000)
    }

    /// A client that consumes.
    pub fn consumer(&self, role: Role<'_>) -> Result<BaseConsumer<Context>> {
        self.client(role)
    }

    /// A client of another kind.
    pub fn client<C: FromClientConfigAndContext<Context>>(&self, role: Role<'_>) -> Result<C> {
        let config = config(&self.properties, role);
        config.create_with_context(self.context()).map_err(refused)
    }

    /// A consumer that takes part in a group, and is told of it through `context`.
    pub fn member<C: ConsumerContext>(&self, group: &str, context: C) -> Result<BaseConsumer<C>> {
        let config = config(&self.properties, Role::Member(group));
        config.create_with_context(context).map_err(refused)
    }

    /// What a client reports to.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// How long a member of a group may be busy before it is put out.
    pub fn member_busy_max(&self) -> Duration {
        let set = self.properties.get("max.poll.interval.ms");
        let set = set.and_then(|ms| ms.parse().ok());
        Duration::from_millis(set.unwrap_or(300_000))
    }

    /// Notes that the topic is there; brokers that have not heard of it yet will.
    pub fn saw(&self, topic: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(topic) {
            seen.insert(topic.to_owned());
        }
    }

    /// Whether the topic has been there.
    pub fn has_seen(&self, topic: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.contains(topic)
    }

    /// What the brokers answer to a question, or do, as at a start: `action` may be "creating
    /// topic x". What passes is waited for, up to `patience`: a broker that goes away, or has not
    /// heard of a topic yet. `question` is told how much of it is left.
    ///
    /// # Errors
    /// As [`Cluster::error`], of the last answer.
    pub fn ask<T>(
        &self,
        action: &str,
        patience: Duration,
        mut question: impl FnMut(Duration) -> KafkaResult<T>,
    ) -> Result<T> {
        use RDKafkaErrorCode as Code;
        let start = Instant::now();
        loop {
            let left = patience.saturating_sub(start.elapsed()).max(PAUSE);
            let error = match question(left) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let code = code(&error);
            let is_unheard_of = matches!(
                code,
                Some(Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition)
            );
            if !is_outage(code) && !is_unheard_of || start.elapsed() >= patience {
                return Err(self.error(action, error));
            }
            thread::sleep(PAUSE);
        }
    }

    /// An error of something that was `action`, such as "creating topic x".
    ///
    /// Silence of the brokers becomes [`LogError::Unavailable`].
    pub fn error(&self, action: &str, source: KafkaError) -> LogError {
        if is_outage(code(&source)) {
            return self.unavailable(action, &source.to_string());
        }
        LogError::Kafka {
            action: action.to_owned(),
            source,
            abort: false,
            fatal: true,
        }
    }

    /// The cluster did not answer while `action` was being done.
    pub fn unavailable(&self, action: &str, reason: &str) -> LogError {
        // The reasons of failed connections wait to be polled.
        while let Some(event) = self.asker.poll(Duration::ZERO) {
            drop(event);
        }
        let last = self
            .asker
            .context()
            .last_reason()
            .unwrap_or_else(|| reason.to_owned());
        let reason = format!(
            "{action}: {last}; check that it runs, bootstrap.servers, and the security settings"
        );
        LogError::Unavailable {
            brokers: self.brokers.clone(),
            reason,
        }
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kafka at {}", self.brokers)
    }
}

/// A client's configuration.
fn config(properties: &BTreeMap<String, String>, role: Role<'_>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("client.id", "riffle");
    for (key, value) in role.defaults() {
        config.set(*key, *value);
    }
    for (key, value) in properties {
        config.set(key, value);
    }
    for (key, value) in role.requirements() {
        config.set(*key, *value);
    }
    match role {
        Role::Writer(name) => {
            config.set("transactional.id", format!("riffle-{name}"));
        }
        Role::Member(name) => {
            config.set("group.id", format!("riffle-{name}"));
            if !properties.contains_key("heartbeat.interval.ms") {
                let session = config
                    .get("session.timeout.ms")
                    .and_then(|ms| ms.parse().ok());
                let heartbeat_ms = session.map_or(1_000, |ms: u64| (ms / 10).max(1));
                config.set("heartbeat.interval.ms", heartbeat_ms.to_string());
            }
        }
        _ => {}
    }
    config
}

/// librdkafka's second names for what we set ourselves: under two names, either could win.
fn canonical(key: String) -> String {
    match key.as_str() {
        "metadata.broker.list" => "bootstrap.servers".to_owned(),
        "compression.codec" => "compression.type".to_owned(),
        "queue.buffering.max.ms" => "linger.ms".to_owned(),
        _ => key,
    }
}

/// What librdkafka refused, without the value: it may be a secret in the wrong place.
fn refused(error: KafkaError) -> LogError {
    match error {
        KafkaError::ClientConfig(_, reason, key, value) => {
            let reason = if value.is_empty() {
                reason
            } else {
                reason.replace(&value, "***")
            };
            let built_without = reason.contains("not available at build time");
            let hint = if built_without {
                "; build with --features ssl"
            } else {
                ""
            };
            LogError::Property {
                key,
                reason: reason + hint,
            }
        }
        KafkaError::ClientCreation(reason) => LogError::Client { reason },
        source => {
            let action = "starting the client".to_owned();
            LogError::Kafka {
                action,
                source,
                abort: false,
                fatal: true,
            }
        }
    }
}

/// What librdkafka reports beside the answers to calls. An outage is logged once, and its end.
#[derive(Clone)]
pub struct Context(Arc<Reports>);

struct Reports {
    brokers: String,
    down: AtomicBool,
    last: Mutex<Option<String>>,
}

impl Context {
    fn new(brokers: &str) -> Self {
        let (brokers, down) = (brokers.to_owned(), AtomicBool::new(false));
        Context(Arc::new(Reports {
            brokers,
            down,
            last: Mutex::new(None),
        }))
    }

    /// The last reason that a connection failed for.
    pub fn last_reason(&self) -> Option<String> {
        self.0
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes that the brokers do not answer.
    pub fn outage(&self, reason: &str) {
        if !self.0.down.swap(true, Ordering::Relaxed) {
            tracing::warn!(brokers = %self.0.brokers, reason, "kafka does not answer; waiting for it");
        }
    }

    /// Notes that they do.
    pub fn answered(&self) {
        if self.0.down.swap(false, Ordering::Relaxed) {
            tracing::info!(brokers = %self.0.brokers, "kafka answers again");
        }
    }
}

impl ClientContext for Context {
    /// The reasons of failed connections come here only, and again with each attempt.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, message);
        if level as i32 <= RDKafkaLogLevel::Error as i32 {
            let after_thread = message
                .strip_prefix("[thrd:")
                .and_then(|m| m.split_once("]: "));
            let reason = after_thread.map_or(message, |(_, reason)| reason);
            *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
        if code(&error) == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.outage(reason);
        }
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    /// A record that cannot be delivered makes the transaction fail, which the commit tells.
    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: ()) {}
}

/// The code of an error, where it has one.
pub fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        // The binding has none for these, though the broker has told it.
        KafkaError::AdminOp(code) => Some(*code),
        error => error.rdkafka_error_code(),
    }
}

/// Whether the brokers are silent, or busy with themselves: it passes without our doing.
pub fn is_outage(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::MessageTimedOut
                | Code::TimedOutQueue
                | Code::RequestTimedOut
                | Code::BrokerNotAvailable
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::ReplicaNotAvailable
                | Code::NetworkException
                | Code::WaitingForCoordinator
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
                | Code::NotController
                | Code::NotEnoughReplicas
                | Code::NotEnoughReplicasAfterAppend
                | Code::KafkaStorageError
                | Code::ListenerNotFound
                | Code::OffsetNotAvailable
                | Code::PreferredLeaderNotAvailable
                | Code::EligibleLeadersNotAvailable
                | Code::ConcurrentTransactions
                | Code::ThrottlingQuotaExceeded
        )
    )
}
