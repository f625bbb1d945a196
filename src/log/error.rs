//! What can go wrong with a log, and what that means for its user.

use std::io;
use std::path::PathBuf;

use super::Position;

/// A failure of a store, reader or writer.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no such log.
    #[error("there is no log named {log:?} in {store}")]
    Missing {
        /// The log asked for.
        log: String,
        /// Where it was looked for.
        store: String,
    },
    /// No committed record stands at the position.
    #[error("log {log:?} holds no record at {position}: it was removed, or never committed")]
    Gone {
        /// The log read from.
        log: String,
        /// The place asked for.
        position: Position,
    },
    /// A log or writer may not be called so.
    #[error(
        "{name:?} cannot name a log: use 1 to 249 of the letters a-z and A-Z, digits, '.', '_', '-'"
    )]
    BadName {
        /// The name asked for.
        name: String,
    },
    /// The log has fewer partitions.
    #[error("log {log:?} has {partitions} partitions and thus no partition {partition}")]
    NoPartition {
        /// The log appended to.
        log: String,
        /// The partition asked for.
        partition: u16,
        /// How many there are.
        partitions: u16,
    },
    /// A log has more partitions than positions can tell apart.
    #[error("log {log:?} has {partitions} partitions, more than the 65535 that are supported")]
    TooManyPartitions {
        /// The log asked for.
        log: String,
        /// How many there are.
        partitions: usize,
    },
    /// A property of the Kafka client is missing or refused. Its value is left out: it may be a
    /// secret.
    #[error("the Kafka property {key:?} cannot be used: {reason}")]
    Property {
        /// The property.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The Kafka client does not start with these properties.
    #[error("the Kafka client does not start: {reason}")]
    Client {
        /// The client library's reason.
        reason: String,
    },
    /// Another process writes here.
    #[error("{path} is in use by another process: stop it first, or choose another local.dir")]
    Locked {
        /// The file that is locked.
        path: PathBuf,
    },
    /// A newer writer of the same name has taken over.
    #[error("another writer named {writer:?} has taken over")]
    Fenced {
        /// The name of both writers.
        writer: String,
    },
    /// A record is larger than the store takes.
    #[error("a record of {bytes} bytes is over the limit of {limit} bytes of log {log:?}")]
    TooLarge {
        /// The log appended to.
        log: String,
        /// The record's size.
        bytes: usize,
        /// The largest size that is taken.
        limit: usize,
    },
    /// Committed data do not read back as they were written.
    #[error("{path} is damaged at byte {byte}: {reason}")]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Where the damage begins.
        byte: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A file operation failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The broker could not be reached, or did not answer in time.
    #[error("Kafka at {brokers} is unavailable: {reason}")]
    Unavailable {
        /// The configured bootstrap servers.
        brokers: String,
        /// The client library's reason.
        reason: String,
    },
    /// The broker refused, or the client library failed.
    #[error("Kafka: {action}: {source}")]
    Kafka {
        /// What was tried.
        action: String,
        /// The client library's error.
        source: rdkafka::error::KafkaError,
        /// Whether the transaction must be aborted and done again.
        abort: bool,
        /// Whether the writer is of no more use.
        fatal: bool,
    },
    /// The model in memory crashed here, as the test had it planned.
    #[error("planned crash")]
    Crash,
}

impl LogError {
    /// Whether the writer that met the error can do nothing more.
    pub fn is_fatal(&self) -> bool {
        match self {
            LogError::Kafka { fatal, .. } => *fatal,
            LogError::Unavailable { .. } | LogError::TooLarge { .. } => false,
            _ => true,
        }
    }

    /// Whether the same call may succeed later, after an abort.
    pub fn may_pass(&self) -> bool {
        !self.is_fatal() && !matches!(self, LogError::TooLarge { .. })
    }
}
