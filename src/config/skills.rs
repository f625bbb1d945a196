//! Which skill a document has, and the mixture of skills: `[skills]` and `[mixture]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mixtures::{Setting, SkillIt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FieldPath, Rate, values};

/// Where a document's skill comes from; without either no document has one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Skills {
    /// The field of the document that names its skill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<FieldPath>,
    /// A file of centroids, as `riffle skills fit` writes it: a document has the skill of the
    /// nearest to its embedding. Empty for none.
    #[serde(
        deserialize_with = "values::path_or_none",
        serialize_with = "values::path_or_empty"
    )]
    #[schemars(with = "String")]
    pub centroids: Option<PathBuf>,
}

impl Skills {
    /// Whether documents have skills.
    pub fn are_known(&self) -> bool {
        self.field.is_some() || self.centroids.is_some()
    }
}

/// The mixture of skills that training should have next; without `graph` and `skills` there is
/// none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mixture {
    /// The skills graph A, in JSON or, with the extension csv, in CSV. Empty for none.
    #[serde(
        deserialize_with = "values::path_or_none",
        serialize_with = "values::path_or_empty"
    )]
    #[schemars(with = "String")]
    pub graph: Option<PathBuf>,
    /// The skills, where there is no graph: each then helps itself alone.
    pub skills: Vec<String>,
    /// How the mixture is found.
    pub method: MixtureMethod,
    /// How training and evaluation skills lie to each other: "continual-pre-training",
    /// "fine-tuning" or "out-of-domain".
    #[schemars(with = "String")]
    pub setting: Setting,
    /// Skill-It: the step size η.
    pub eta: f64,
    /// Skill-It: how many complete evaluations count.
    #[serde(deserialize_with = "values::within::<1, 10_000, _, _>")]
    #[schemars(range(min = 1, max = 10_000))]
    pub window: u16,
    /// Skill-It: whether the step is η / (Σ L_t / Σ L₀).
    pub eta_schedule: bool,
    /// Skill-It: whether each loss counts as a share of the same skill's in the first evaluation.
    pub normalise_losses: bool,
    /// Skill-It: whether edges between different skills count ½ in a graph of zeros and ones.
    pub halve_ones: bool,
    /// Fixed: the weight of each skill, in any unit.
    pub weights: BTreeMap<String, f64>,
    /// The least share that a skill gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Rate>,
    /// The trainer's run whose losses count: what its reports say as "run".
    pub run: String,
    /// The log of losses, of the same kind as the curated one.
    #[serde(deserialize_with = "values::topic")]
    pub losses_topic: String,
    /// Where the mixture is published.
    #[serde(deserialize_with = "values::topic")]
    pub topic: String,
    /// Where records of the losses log go that are no reports, with the reason and their place.
    #[serde(deserialize_with = "values::topic")]
    pub dead_letters_topic: String,
}

/// How a mixture is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MixtureMethod {
    /// By the trainer's losses, through the graph.
    #[default]
    SkillIt,
    /// Equal shares.
    Stratified,
    /// The given weights.
    Fixed,
    /// In proportion to the live tokens of each skill.
    Proportional,
}

impl Default for Mixture {
    fn default() -> Self {
        let SkillIt {
            eta,
            window,
            eta_schedule,
            normalise_losses,
            halve_ones,
        } = SkillIt::default();
        Mixture {
            graph: None,
            skills: Vec::new(),
            method: MixtureMethod::default(),
            setting: Setting::default(),
            eta,
            window: window as u16,
            eta_schedule,
            normalise_losses,
            halve_ones,
            weights: BTreeMap::new(),
            floor: None,
            run: String::new(),
            losses_topic: "losses".into(),
            topic: "mixture".into(),
            dead_letters_topic: "losses-dead-letters".into(),
        }
    }
}

impl Mixture {
    /// Whether there is one.
    pub fn is_configured(&self) -> bool {
        self.graph.is_some() || !self.skills.is_empty()
    }
}
