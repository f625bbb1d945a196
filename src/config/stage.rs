//! The selection stages: `[[select]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stage_table::StageTable;
use super::{Epsilon, FieldPath, Rate};

/// What stands for a document's skill where documents are grouped by a field.
pub const SKILL: &str = "skill";

/// The rate of a stage that names none.
const RATE_PPM: u32 = 500_000;

/// One selection stage: of the documents that it sees, a part is kept.
///
/// By perplexity and at random, documents of each group stand in an order and a band of it is kept.
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
    /// Drawn in inverse proportion to how crowded a document's neighbourhood is.
    Density {
        /// The part of the documents that is kept.
        rate: Rate,
        /// Another seed gives another, independent draw.
        seed: u64,
        /// A crowd is counted in steps of this factor, less one.
        epsilon: Epsilon,
        /// How many ways those steps are shifted against each other.
        phases: u32,
        /// Who counts as a neighbour.
        over: Over,
    },
    /// Of each skill as much as the mixture says, drawn by a hash of the seed and the id.
    Skills {
        /// How much of all skills together is kept.
        budget: Budget,
        /// Another seed gives another, independent draw.
        seed: u64,
        /// What the budget is counted in.
        mass: Mass,
    },
    /// Of each group as much as of every other, as far as there is so much of it.
    Stratified {
        /// How much of all groups together is kept.
        budget: Budget,
        /// Another seed gives another, independent draw.
        seed: u64,
        /// The field whose values make the groups; the skill when absent.
        group_by: Option<FieldPath>,
        /// What the budget is counted in.
        mass: Mass,
    },
}

/// How much all groups of a stage keep together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// This part of the mass that the stage sees.
    Share(Rate),
    /// So many documents or tokens.
    Mass(u64),
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

/// Among which documents crowding is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// All live documents, also those that earlier stages left out.
    #[default]
    Live,
    /// Those alone that the stages before have kept.
    Survivors,
}

impl Stage {
    /// Whether it draws by density, and so needs documents with codes.
    pub fn is_by_density(&self) -> bool {
        matches!(self, Stage::Density { .. })
    }

    /// What the rate is a part of, or the budget counted in.
    pub fn mass(&self) -> Mass {
        match self {
            Stage::Perplexity { mass, .. }
            | Stage::Random { mass, .. }
            | Stage::Skills { mass, .. }
            | Stage::Stratified { mass, .. } => *mass,
            Stage::Density { .. } => Mass::Documents,
        }
    }

    /// Whether it follows the mixture.
    pub fn is_by_skills(&self) -> bool {
        matches!(self, Stage::Skills { .. })
    }

    /// The field whose values make the groups, [`SKILL`] among them; one group when absent.
    pub fn group_by(&self) -> Option<&str> {
        match self {
            Stage::Perplexity { group_by, .. } | Stage::Random { group_by, .. } => {
                group_by.as_ref().map(FieldPath::as_str)
            }
            Stage::Skills { .. } => Some(SKILL),
            Stage::Stratified { group_by, .. } => {
                Some(group_by.as_ref().map_or(SKILL, FieldPath::as_str))
            }
            Stage::Density { .. } => None,
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

/// The rate of a stage that names none.
pub(super) fn half() -> Rate {
    Rate::from_ppm(RATE_PPM).expect("500,000 parts per million are a rate")
}
