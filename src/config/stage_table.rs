//! A selection stage as it is written: one table with the keys of all kinds of stages.
//!
//! It stands between the file and [`Stage`] because serde's tagged enums forget where inside a stage
//! an error is.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::stage::half;
use super::stage::{Budget, SKILL};
use super::{Epsilon, FieldPath, Keep, Mass, Over, Rate, Stage, values};

/// The phases of a stage that names none, and the most that there can be.
const PHASES: u32 = 16;
const PHASES_MAX: u32 = 64;

/// The values of `by`.
pub(super) const KINDS: [&str; 5] = ["perplexity", "random", "density", "skills", "stratified"];

/// The keys that not every stage has, each with the values of `by` that it is for.
pub(super) const KEYS_OF: [(&str, &[&str]); 8] = [
    ("keep", &["perplexity"]),
    ("group_by", &["perplexity", "random", "stratified"]),
    ("mass", &["perplexity", "random", "skills", "stratified"]),
    ("seed", &["random", "density", "skills", "stratified"]),
    ("epsilon", &["density"]),
    ("phases", &["density"]),
    ("over", &["density"]),
    ("budget", &["skills", "stratified"]),
];

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StageTable {
    /// What documents are kept by.
    by: By,
    /// Which part of the order is kept; perplexity only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep: Option<Keep>,
    /// The part that is kept of each group's mass, or by skills and stratified of all groups'
    /// together: greater than 0, at most 1, at most 6 decimals. The default is 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
    /// In place of a rate, how many documents or tokens are kept of all groups together; skills and
    /// stratified only.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "budget"
    )]
    budget: Option<u64>,
    /// The field whose values make the groups, "source" or "metadata.<path>"; one group when
    /// absent, and by stratified the skill. Perplexity, random and stratified only.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "group_by"
    )]
    group_by: Option<FieldPath>,
    /// What the rate is a part of, and the budget counted in. Not for density.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mass: Option<Mass>,
    /// Another seed gives another, independent draw. Not for perplexity.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "seed"
    )]
    seed: Option<u64>,
    /// A crowd is counted in steps of a factor of 1 + epsilon: from 0.1 to 10, at most 6 decimals.
    /// Smaller steps take more time. Density only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epsilon: Option<Epsilon>,
    /// How many ways the steps of different cells are shifted against each other, so that they do
    /// not line up: a power of two up to 64. Density only.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "phases"
    )]
    #[schemars(range(min = 1, max = PHASES_MAX))]
    phases: Option<u32>,
    /// Who counts as a neighbour: every live document, or the survivors of the stages before.
    /// Density only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum By {
    Perplexity,
    Random,
    Density,
    Skills,
    Stratified,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            By::Perplexity => KINDS[0],
            By::Random => KINDS[1],
            By::Density => KINDS[2],
            By::Skills => KINDS[3],
            By::Stratified => KINDS[4],
        }
    }
}

/// Values of `by` as they are written, joined for a sentence.
pub(super) fn any_of(kinds: &[&str]) -> String {
    let quoted: Vec<String> = kinds.iter().map(|kind| format!("{kind:?}")).collect();
    quoted.join(" or ")
}

impl StageTable {
    /// A table of this kind without a key.
    fn new(by: By) -> Self {
        StageTable {
            by,
            keep: None,
            rate: None,
            budget: None,
            group_by: None,
            mass: None,
            seed: None,
            epsilon: None,
            phases: None,
            over: None,
        }
    }

    /// Refuses a key that stages of its kind do not have.
    fn check_keys(&self) -> Result<(), String> {
        let given = [
            self.keep.is_some(),
            self.group_by.is_some(),
            self.mass.is_some(),
            self.seed.is_some(),
            self.epsilon.is_some(),
            self.phases.is_some(),
            self.over.is_some(),
            self.budget.is_some(),
        ];
        let by = self.by.name();
        let mut keys = KEYS_OF.iter().zip(given);
        match keys.find(|((_, kinds), given)| *given && !kinds.contains(&by)) {
            Some(((key, kinds), _)) => Err(format!("{key} is for by = {} only", any_of(kinds))),
            None if self.rate.is_some() && self.budget.is_some() => {
                Err("a stage has a rate or a budget, not both".to_owned())
            }
            None => Ok(()),
        }
    }

    fn budget(&self) -> Budget {
        match self.budget {
            Some(mass) => Budget::Mass(mass),
            None => Budget::Share(self.rate.unwrap_or_else(half)),
        }
    }

    fn with_rate(self, rate: Rate) -> Self {
        let rate = Some(rate);
        StageTable { rate, ..self }
    }

    fn with_budget(self, budget: Budget) -> Self {
        let (rate, budget) = match budget {
            Budget::Share(rate) => (Some(rate), None),
            Budget::Mass(mass) => (None, Some(mass)),
        };
        StageTable {
            rate,
            budget,
            ..self
        }
    }
}

impl TryFrom<StageTable> for Stage {
    type Error = String;

    fn try_from(table: StageTable) -> Result<Self, Self::Error> {
        table.check_keys()?;
        let (rate, budget) = (table.rate.unwrap_or_else(half), table.budget());
        let group_by = table.group_by;
        let (mass, seed) = (
            table.mass.unwrap_or_default(),
            table.seed.unwrap_or_default(),
        );
        Ok(match table.by {
            By::Perplexity => Stage::Perplexity {
                keep: table.keep.unwrap_or_default(),
                rate,
                group_by,
                mass,
            },
            By::Random => Stage::Random {
                rate,
                seed,
                group_by,
                mass,
            },
            By::Density => Stage::Density {
                rate,
                seed,
                epsilon: table.epsilon.unwrap_or_default(),
                phases: table.phases.unwrap_or(PHASES),
                over: table.over.unwrap_or_default(),
            },
            By::Skills => Stage::Skills {
                budget,
                seed,
                mass: table.mass.unwrap_or(Mass::Tokens),
            },
            By::Stratified => Stage::Stratified {
                budget,
                seed,
                group_by,
                mass: table.mass.unwrap_or(Mass::Tokens),
            },
        })
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
                keep: Some(keep),
                group_by,
                mass: Some(mass),
                ..StageTable::new(By::Perplexity).with_rate(rate)
            },
            Stage::Random {
                rate,
                seed,
                group_by,
                mass,
            } => StageTable {
                group_by,
                mass: Some(mass),
                seed: Some(seed),
                ..StageTable::new(By::Random).with_rate(rate)
            },
            Stage::Density {
                rate,
                seed,
                epsilon,
                phases,
                over,
            } => StageTable {
                seed: Some(seed),
                epsilon: Some(epsilon),
                phases: Some(phases),
                over: Some(over),
                ..StageTable::new(By::Density).with_rate(rate)
            },
            Stage::Skills { budget, seed, mass } => StageTable {
                seed: Some(seed),
                mass: Some(mass),
                ..StageTable::new(By::Skills).with_budget(budget)
            },
            Stage::Stratified {
                budget,
                seed,
                group_by,
                mass,
            } => StageTable {
                seed: Some(seed),
                group_by,
                mass: Some(mass),
                ..StageTable::new(By::Stratified).with_budget(budget)
            },
        }
    }
}

fn group_by<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FieldPath>, D::Error> {
    let path = FieldPath::deserialize(deserializer)?;
    if ["source", SKILL].contains(&path.as_str()) || path.as_str().starts_with("metadata.") {
        return Ok(Some(path));
    }
    Err(de::Error::custom(format_args!(
        "documents are grouped by \"source\", by \"skill\" or by a field \"metadata.<path>\", not by {:?}",
        path.as_str()
    )))
}

fn seed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    values::within::<0, { i64::MAX }, _, _>(deserializer).map(Some)
}

fn budget<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    values::within::<1, { i64::MAX }, _, _>(deserializer).map(Some)
}

fn phases<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let phases: u32 = values::within::<1, { PHASES_MAX as i64 }, _, _>(deserializer)?;
    if phases.is_power_of_two() {
        return Ok(Some(phases));
    }
    Err(de::Error::custom(format_args!(
        "phases are a power of two from 1 to {PHASES_MAX}, not {phases}"
    )))
}
