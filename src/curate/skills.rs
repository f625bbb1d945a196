//! What there is of each skill: documents, tokens and losses, live and curated.

use std::ops::{AddAssign, SubAssign};

use operators::{Change, in_full, sum_by_group};
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;

use super::facts::{Facts, NANO};
use super::groups::GroupCode;

/// Sums over documents of a skill. Integers, so that what is taken off leaves nothing behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillSums {
    /// How many documents.
    pub documents: i64,
    /// Their scored tokens.
    pub tokens: i64,
    /// Their negative log-likelihood, in billionths of a nat.
    pub nll: i128,
}

impl AddAssign for SkillSums {
    fn add_assign(&mut self, other: Self) {
        self.documents += other.documents;
        self.tokens += other.tokens;
        self.nll += other.nll;
    }
}

impl SubAssign for SkillSums {
    fn sub_assign(&mut self, other: Self) {
        self.documents -= other.documents;
        self.tokens -= other.tokens;
        self.nll -= other.nll;
    }
}

/// Which documents are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Of {
    /// Those that are live.
    Live,
    /// Those that are curated.
    Curated,
}

/// A skill's difference in an epoch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SkillChange {
    /// What was summed.
    pub of: Of,
    /// The skill.
    pub skill: u64,
    /// By how much it changed.
    pub by: SkillSums,
}

/// What is kept of a live document for the sums: 16 bytes and a flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    mean_nll: i64,
    tokens: u32,
    group: GroupCode,
}

/// The differences, by skill, of the sums over the live documents.
pub fn sums_of_live<'s>(
    live: StreamVec<'s, u64, Change<Facts>>,
    skill: impl Fn(GroupCode) -> u64 + 'static,
) -> StreamVec<'s, u64, (u64, SkillSums)> {
    let counted = |facts: &Facts| Counted {
        mean_nll: facts.mean_nll,
        tokens: facts.tokens,
        group: facts.group,
    };
    sum_by_group(in_full(live, counted), move |counted| {
        let sums = sums(counted.mean_nll, counted.tokens);
        (skill(counted.group), sums)
    })
}

/// What one document adds.
pub fn sums(mean_nll: i64, tokens: u32) -> SkillSums {
    SkillSums {
        documents: 1,
        tokens: tokens.into(),
        nll: i128::from(mean_nll) * i128::from(tokens),
    }
}

/// The numbers of a skill, as they are published.
#[derive(Serialize)]
pub struct Published {
    documents: i64,
    tokens: i64,
    nll_nats: f64,
    /// Per token; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_nll_nats: Option<f64>,
}

impl From<SkillSums> for Published {
    fn from(sums: SkillSums) -> Self {
        let nll_nats = sums.nll as f64 * NANO;
        Published {
            documents: sums.documents,
            tokens: sums.tokens,
            nll_nats,
            mean_nll_nats: (sums.tokens > 0).then(|| nll_nats / sums.tokens as f64),
        }
    }
}
