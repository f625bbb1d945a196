//! What stops the engine.

use std::io;
use std::path::PathBuf;

use super::mixing::MixtureError;
use crate::cluster::ClusterError;
use crate::log::{LogError, Position};
use crate::records::{ProgressError, ScoredError};
use crate::skills::CentroidsError;
use kernels::{ModelError, ScoreError};

/// A failure that the stream cannot go on after.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The reference model, or the encoder, could not be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The centroids of skills cannot be used.
    #[error("skills.centroids: {0}")]
    Centroids(#[from] CentroidsError),
    /// There can be no mixture.
    #[error(transparent)]
    Mixture(#[from] MixtureError),
    /// A model failed on a batch.
    #[error("scoring failed: {0}")]
    Score(#[from] ScoreError),
    /// What the last commit said does not read.
    #[error("the position of the last commit of {writer:?} does not read: {source}")]
    Progress {
        /// Whose commit.
        writer: String,
        /// Why it does not read.
        source: ProgressError,
    },
    /// A log ends before what was committed of it.
    #[error(
        "log {log:?} is shorter than what was last read under its setting: it was deleted or \
         truncated, or another log was configured in its place (scored.topic, \
         mixture.losses_topic); restore it, or set that back, or start anew with output logs of \
         other names (curated.topic, curated.statistics_topic)"
    )]
    LogShrank {
        /// The log that is read.
        log: String,
    },
    /// A log has another number of partitions than when it was last read.
    #[error(
        "log {log:?} has {now} partitions and had {then} when it was last read: keys have moved \
         between partitions; make the output logs anew"
    )]
    Repartitioned {
        /// The log that is read.
        log: String,
        /// Partitions now.
        now: usize,
        /// Partitions at the last commit.
        then: usize,
    },
    /// There is nothing to read from.
    #[error("there is no documents log {log:?}: feed documents first, or create the topic")]
    NoDocuments {
        /// The log asked for.
        log: String,
    },
    /// The scored log cannot keep the order of the documents log.
    #[error(
        "log {scored:?} has {of_scored} partitions and log {documents:?} has {of_documents}: \
         they must agree, so that versions of a document stay in order"
    )]
    Partitions {
        /// The documents log.
        documents: String,
        /// Its partitions.
        of_documents: u16,
        /// The scored log.
        scored: String,
        /// Its partitions.
        of_scored: u16,
    },
    /// The dataflow's workers could not be started.
    #[error("the workers could not be started: {0}")]
    Workers(String),
    /// The cluster cannot work, or cannot go on.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A record between our own processes does not read.
    #[error("a scored record read back does not decode: {0}")]
    Scored(#[from] ScoredError),
    /// Density is to be sampled by, and nothing makes the codes that it is counted in.
    #[error(
        "a stage selects by density, and there is no encoder to measure it with: name one, \
         score.encoder = \"models/all-MiniLM-L6-v2\", or remove the stage"
    )]
    NoEncoder,
    /// The directory of snapshots cannot be read.
    #[error("{path}: {source}")]
    Snapshots {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A scored record has no codes, or codes of another sketch.
    #[error("{}", codes_text(log, *position, *found, *wanted))]
    Codes {
        /// The log of scored records.
        log: String,
        /// Where the record stands.
        position: Position,
        /// The fingerprint of its codes; 0 without codes.
        found: u64,
        /// The fingerprint of the configured sketch.
        wanted: u64,
    },
    /// The last commit sampled by density in another sketch.
    #[error(
        "what is curated was sampled by density in sketch {then}, and [sketch] is {now}: set \
         [sketch] back to what it was, or name logs of their own for other codes (scored.topic, \
         curated.topic, curated.statistics_topic)"
    )]
    SketchChanged {
        /// The fingerprint of the last commit's sketch.
        then: String,
        /// The fingerprint of the configured one.
        now: String,
    },
    /// A thread is gone without having said why; its panic message stands above.
    #[error("a thread of the engine ended unexpectedly")]
    ThreadEnded,
}

fn codes_text(log: &str, position: Position, found: u64, wanted: u64) -> String {
    let again = "score the documents again into a log of its own (scored.topic)";
    match found {
        0 => format!(
            "record {position} of log {log:?} has no codes to sample by density with: with \
             score.encoder set, {again}; or remove the stage by density"
        ),
        _ => format!(
            "record {position} of log {log:?} has codes of sketch {found:016x}, and [sketch] is \
             {wanted:016x}: set [sketch] to what it was when the log was scored, or {again}"
        ),
    }
}
