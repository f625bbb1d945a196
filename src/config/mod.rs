//! The configuration: one struct a section, with a default for every key.
//!
//! What the engine gets is a [`Config`] of plain values within their limits. Where each value came
//! from is kept beside it, in [`Loaded`], for errors and `config show` to say.

mod checks;
mod epsilon;
mod error;
mod field_path;
mod kafka;
mod keys;
mod layers;
mod load;
mod nearest;
mod origin;
mod properties;
mod rate;
mod redact;
mod show;
mod sketch;
mod skills;
mod stage;
mod stage_table;
mod tree;
mod values;

use std::path::PathBuf;

use kernels::DeviceChoice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use epsilon::Epsilon;
pub use error::{ConfigError, Problem};
pub use field_path::{FieldPath, FieldPathError};
pub use kafka::KafkaProperties;
pub use load::{FILE, Loaded, Sources, load};
pub use rate::{Rate, RateError};
pub use show::{DEFAULT_TOML, schema};
pub use sketch::Sketch;
pub use skills::{Mixture, MixtureMethod, Skills};
pub use stage::{Budget, Keep, Mass, Over, SKILL, Stage};
pub use values::{FieldOf, LogKind, PerplexityFrom};

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Local logs.
    pub local: Local,
    /// Properties handed to librdkafka as they are.
    pub kafka: KafkaProperties,
    /// How logs are made when they are missing.
    pub topics: Topics,
    /// The log that documents come from.
    pub documents: Documents,
    /// The log between score and curate.
    pub scored: Scored,
    /// The log of the curated set.
    pub curated: Curated,
    /// Scoring.
    pub score: Score,
    /// How embeddings become the codes that density is counted by.
    pub sketch: Sketch,
    /// Where a document's skill comes from.
    pub skills: Skills,
    /// The mixture of skills.
    pub mixture: Mixture,
    /// Curating.
    pub curate: Curate,
    /// The selection stages, in order; each sees what survived the one before. With none of them
    /// every document is kept.
    pub select: Vec<Stage>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            local: Local::default(),
            kafka: KafkaProperties::default(),
            topics: Topics::default(),
            documents: Documents::default(),
            scored: Scored::default(),
            curated: Curated::default(),
            score: Score::default(),
            sketch: Sketch::default(),
            skills: Skills::default(),
            mixture: Mixture::default(),
            curate: Curate::default(),
            select: vec![Stage::default()],
        }
    }
}

impl Config {
    /// The kinds of the documents, scored and curated logs, with the key that sets each.
    pub fn log_kinds(&self) -> [(&'static str, LogKind); 3] {
        [
            ("documents.log", self.documents.log),
            ("scored.log", self.scored.log),
            ("curated.log", self.curated.log),
        ]
    }

    /// All topics: the key that names each, its name, and the kind of log it is in.
    pub fn all_topics(&self) -> [(&'static str, &str, LogKind); 8] {
        let (scored, curated, mixture) = (&self.scored, &self.curated, &self.mixture);
        [
            ("documents.topic", &self.documents.topic, self.documents.log),
            ("scored.topic", &scored.topic, scored.log),
            (
                "scored.dead_letters_topic",
                &scored.dead_letters_topic,
                scored.log,
            ),
            ("curated.topic", &curated.topic, curated.log),
            (
                "curated.statistics_topic",
                &curated.statistics_topic,
                curated.log,
            ),
            ("mixture.losses_topic", &mixture.losses_topic, curated.log),
            ("mixture.topic", &mixture.topic, curated.log),
            (
                "mixture.dead_letters_topic",
                &mixture.dead_letters_topic,
                curated.log,
            ),
        ]
    }

    /// Where snapshots of the live documents lie: a directory for each curated log.
    pub fn snapshots_dir(&self) -> PathBuf {
        let kind = match self.curated.log {
            LogKind::Local => "local",
            LogKind::Kafka => "kafka",
        };
        let name = format!("{kind}-{}", self.curated.topic);
        self.local.dir.join("snapshots").join(name)
    }

    /// Where the mirror of scored records lies, if there is one.
    pub fn mirror_dir(&self) -> PathBuf {
        self.local.dir.join("mirror")
    }

    /// Whether any log is of this kind.
    pub fn uses(&self, kind: LogKind) -> bool {
        self.log_kinds().iter().any(|(_, used)| *used == kind)
    }
}

/// Where local logs live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Local {
    /// The directory of the local logs, of the mirror of scored records, and of snapshots.
    #[serde(deserialize_with = "values::path")]
    pub dir: PathBuf,
}

impl Default for Local {
    fn default() -> Self {
        Local {
            dir: PathBuf::from("riffle-data"),
        }
    }
}

/// How a log is made when it is missing; one that is there keeps its own layout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Partitions of a log, local or Kafka.
    #[serde(deserialize_with = "values::within::<1, 10_000, _, _>")]
    #[schemars(range(min = 1, max = 10_000))]
    pub partitions: u16,
    /// On how many brokers a Kafka topic's records lie.
    #[serde(deserialize_with = "values::within::<1, 1_000, _, _>")]
    #[schemars(range(min = 1, max = 1_000))]
    pub replication_factor: u16,
}

impl Default for Topics {
    fn default() -> Self {
        Topics {
            partitions: 1,
            replication_factor: 1,
        }
    }
}

/// The log that documents come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Documents {
    /// The kind of log.
    pub log: LogKind,
    /// The log's name: its Kafka topic, or its folder in `local.dir`.
    #[serde(deserialize_with = "values::topic")]
    pub topic: String,
}

impl Default for Documents {
    fn default() -> Self {
        Documents {
            log: LogKind::Local,
            topic: "documents".into(),
        }
    }
}

/// The log between score and curate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scored {
    /// The kind of log; that of the documents unless given.
    pub log: LogKind,
    /// The log's name: its Kafka topic, or its folder in `local.dir`.
    #[serde(deserialize_with = "values::topic")]
    pub topic: String,
    /// Where documents go that cannot be scored.
    #[serde(deserialize_with = "values::topic")]
    pub dead_letters_topic: String,
    /// The largest size of the mirror of scored records under `local.dir`, in bytes; with Kafka
    /// only.
    #[serde(deserialize_with = "values::within::<0, { i64::MAX }, _, _>")]
    pub mirror_bytes_max: u64,
}

impl Default for Scored {
    fn default() -> Self {
        Scored {
            log: LogKind::Local,
            topic: "scored".into(),
            dead_letters_topic: "dead-letters".into(),
            mirror_bytes_max: 10 << 30,
        }
    }
}

/// The log of the curated set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Curated {
    /// The kind of log; that of the scored records unless given.
    pub log: LogKind,
    /// The log's name: its Kafka topic, or its folder in `local.dir`.
    #[serde(deserialize_with = "values::topic")]
    pub topic: String,
    /// Where the cuts and counts of every epoch go.
    #[serde(deserialize_with = "values::topic")]
    pub statistics_topic: String,
}

impl Default for Curated {
    fn default() -> Self {
        Curated {
            log: LogKind::Local,
            topic: "curated".into(),
            statistics_topic: "statistics".into(),
        }
    }
}

/// Scoring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Score {
    /// The reference model: a GGUF file or a Hugging Face directory.
    #[serde(deserialize_with = "values::path")]
    pub model: PathBuf,
    /// Where a document's perplexity comes from.
    pub perplexity: PerplexityFrom,
    /// The field that holds a document's number of tokens; only with perplexity from a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<FieldOf>,
    /// The text encoder that density is measured by: a Hugging Face directory of the BERT family;
    /// "" for none.
    #[serde(
        deserialize_with = "values::path_or_none",
        serialize_with = "values::path_or_empty"
    )]
    #[schemars(with = "String")]
    pub encoder: Option<PathBuf>,
    /// Whether scored records carry the embedding beside its codes; only with an encoder.
    pub embeddings: bool,
    /// Where the models run: "auto" takes the first GPU if it can be used, else the CPU;
    /// "cpu"; or the GPU "cuda:0" and so on, and nothing else.
    #[serde(
        deserialize_with = "values::device",
        serialize_with = "values::device_name"
    )]
    #[schemars(with = "String", regex(pattern = "^(auto|cpu|cuda:[0-9]+)$"))]
    pub device: DeviceChoice,
    /// Threads that score on the CPU; 0 for all cores.
    #[serde(deserialize_with = "values::within::<0, 1024, _, _>")]
    #[schemars(range(max = 1024))]
    pub threads: u16,
    /// How many of a document's first tokens are scored; an encoder has a limit of its own.
    #[serde(deserialize_with = "values::within::<1, 1_048_576, _, _>")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_tokens: u32,
    /// The largest batch, in tokens; the memory that scoring takes on a GPU follows from it. 0 for
    /// what suits the device: 16,384 on the CPU, up to 65,536 on a GPU.
    #[serde(deserialize_with = "values::within::<0, 16_777_216, _, _>")]
    #[schemars(range(max = 16_777_216))]
    pub batch_tokens_max: u32,
    /// The largest document, in bytes of its JSON; larger ones go to the dead letters.
    #[serde(deserialize_with = "values::within::<1, 1_073_741_824, _, _>")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub document_bytes_max: u32,
    /// How long documents are gathered before their scores are committed, in milliseconds.
    #[serde(deserialize_with = "values::within::<1, 3_600_000, _, _>")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub epoch_ms: u32,
}

impl Default for Score {
    fn default() -> Self {
        Score {
            model: PathBuf::from("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
            perplexity: PerplexityFrom::Model,
            tokens: None,
            encoder: None,
            embeddings: false,
            device: DeviceChoice::Auto,
            threads: 0,
            max_tokens: 1024,
            batch_tokens_max: 0,
            document_bytes_max: 16 << 20,
            epoch_ms: 1000,
        }
    }
}

/// Curating.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Curate {
    /// Timely workers, each a thread with a share of the documents.
    #[serde(deserialize_with = "values::within::<1, 256, _, _>")]
    #[schemars(range(min = 1, max = 256))]
    pub workers: u16,
    /// How long scored records are gathered before the changed set is committed, in milliseconds.
    #[serde(deserialize_with = "values::within::<1, 3_600_000, _, _>")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub epoch_ms: u32,
    /// Whether snapshots of the live documents are kept under `local.dir`: a restart then reads only
    /// the scored log behind the last one.
    pub snapshots: bool,
    /// After how long a snapshot is made if anything has come since the last, in seconds.
    #[serde(deserialize_with = "values::within::<1, 31_536_000, _, _>")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub snapshot_interval_s: u32,
    /// How many scored records at least must have come for a snapshot before that time; and a
    /// quarter of the live documents.
    #[serde(deserialize_with = "values::within::<1, { i64::MAX }, _, _>")]
    #[schemars(range(min = 1))]
    pub snapshot_records_min: u64,
}

impl Default for Curate {
    fn default() -> Self {
        Curate {
            workers: 1,
            epoch_ms: 1000,
            snapshots: true,
            snapshot_interval_s: 600,
            snapshot_records_min: 100_000,
        }
    }
}
