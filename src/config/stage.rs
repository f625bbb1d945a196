//! The selection stages: `[[select]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{FieldPath, Rate};

/// The rate of a stage that names none.
const RATE_PPM: u32 = 500_000;

/// One selection stage: in each group, documents stand in an order, and a band of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "StageTable", into = "StageTable")]
pub enum Stage {
    /// Ordered by perplexity.
    Perplexity {
        /// Which end or the middle of the order is kept.
        keep: Keep,
        /// The part of each group's mass that is kept.
        rate: Rate,
        /// The field whose values make the groups; one group when absent.
        group_by: Option<FieldPath>,
        /// What the rate is a part of.
        mass: Mass,
    },
    /// Ordered by a hash of the seed and the document's id.
    Random {
        /// The part of each group's mass that is kept.
        rate: Rate,
        /// Another seed gives another, independent order.
        seed: u64,
        /// The field whose values make the groups; one group when absent.
        group_by: Option<FieldPath>,
        /// What the rate is a part of.
        mass: Mass,
    },
}

/// Which part of the order by perplexity a stage keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The documents that the model predicts best.
    Low,
    /// The middle.
    #[default]
    Medium,
    /// The documents that the model predicts worst.
    High,
}

/// What a rate is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mass {
    /// Each document counts 1.
    #[default]
    Documents,
    /// Each document counts its tokens.
    Tokens,
}

impl Stage {
    /// The part of each group's mass that is kept.
    pub fn rate(&self) -> Rate {
        match self {
            Stage::Perplexity { rate, .. } | Stage::Random { rate, .. } => *rate,
        }
    }

    /// What the rate is a part of.
    pub fn mass(&self) -> Mass {
        match self {
            Stage::Perplexity { mass, .. } | Stage::Random { mass, .. } => *mass,
        }
    }

    /// The field whose values make the groups; one group when absent.
    pub fn group_by(&self) -> Option<&FieldPath> {
        match self {
            Stage::Perplexity { group_by, .. } | Stage::Random { group_by, .. } => {
                group_by.as_ref()
            }
        }
    }
}

impl Default for Stage {
    /// The middle half by perplexity.
    fn default() -> Self {
        Stage::Perplexity {
            keep: Keep::default(),
            rate: half(),
            group_by: None,
            mass: Mass::default(),
        }
    }
}

fn half() -> Rate {
    Rate::from_ppm(RATE_PPM).expect("500,000 parts per million are a rate")
}

/// A stage as it is written. It stands between the file and [`Stage`] because serde's tagged enums
/// forget where inside a stage an error is.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StageTable {
    /// What documents are ordered by.
    by: By,
    /// Which part of the order is kept; perplexity only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep: Option<Keep>,
    /// The part of each group's mass that is kept: greater than 0, at most 1, at most 6 decimals.
    #[serde(default = "half")]
    rate: Rate,
    /// The field whose values make the groups, "source" or "metadata.<path>"; one group when absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "group_by"
    )]
    group_by: Option<FieldPath>,
    /// What the rate is a part of.
    #[serde(default)]
    mass: Mass,
    /// Another seed gives another, independent order; random only.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "seed"
    )]
    seed: Option<u64>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum By {
    Perplexity,
    Random,
}

impl TryFrom<StageTable> for Stage {
    type Error = &'static str;

    fn try_from(table: StageTable) -> Result<Self, Self::Error> {
        let StageTable {
            by,
            keep,
            rate,
            group_by,
            mass,
            seed,
        } = table;
        match by {
            By::Perplexity if seed.is_some() => Err("seed is for by = \"random\" only"),
            By::Perplexity => {
                let keep = keep.unwrap_or_default();
                Ok(Stage::Perplexity {
                    keep,
                    rate,
                    group_by,
                    mass,
                })
            }
            By::Random if keep.is_some() => Err("keep is for by = \"perplexity\" only"),
            By::Random => {
                let seed = seed.unwrap_or_default();
                Ok(Stage::Random {
                    rate,
                    seed,
                    group_by,
                    mass,
                })
            }
        }
    }
}

impl From<Stage> for StageTable {
    fn from(stage: Stage) -> StageTable {
        match stage {
            Stage::Perplexity {
                keep,
                rate,
                group_by,
                mass,
            } => StageTable {
                by: By::Perplexity,
                keep: Some(keep),
                rate,
                group_by,
                mass,
                seed: None,
            },
            Stage::Random {
                rate,
                seed,
                group_by,
                mass,
            } => StageTable {
                by: By::Random,
                keep: None,
                rate,
                group_by,
                mass,
                seed: Some(seed),
            },
        }
    }
}

fn group_by<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FieldPath>, D::Error> {
    let path = FieldPath::deserialize(deserializer)?;
    if path.as_str() == "source" || path.as_str().starts_with("metadata.") {
        return Ok(Some(path));
    }
    Err(de::Error::custom(format_args!(
        "documents are grouped by \"source\" or by a field \"metadata.<path>\", not by {:?}",
        path.as_str()
    )))
}

fn seed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    super::values::within::<0, { i64::MAX }, _, _>(deserializer).map(Some)
}
