//! The chained selection stages, each the one operator `select` with its own order.

use operators::{Band, Change, DocumentHash, Quota, Rate, View, draw, select};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::vec::Map;

use super::facts::Facts;
use super::groups::{GroupCode, Groups, NO_GROUP};
use super::publish::Outcome;
use super::statistics::StageSummary;
use crate::config::{Keep, Mass, Stage};

/// What is kept of the live documents.
#[derive(Clone)]
pub struct Selection {
    /// The selection stages, in order.
    pub stages: Vec<Stage>,
    /// The fields that they group by.
    pub groups: Groups,
    /// The epoch whose changes are published already, because it is read again under the same
    /// rules: the stages tell its summaries alone.
    pub replayed: Option<u64>,
}

impl Selection {
    /// What these stages keep.
    pub fn new(stages: Vec<Stage>) -> Self {
        Selection {
            groups: groups_of(&stages),
            stages,
            replayed: None,
        }
    }

    /// What a progress record keeps of the rules: text that [`Selection::from_text`] reads back.
    pub fn to_text(&self) -> String {
        serde_json::to_string(&self.stages).expect("stages can be written as JSON")
    }

    /// The rules of an earlier run.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Selection::new(serde_json::from_str(text)?))
    }
}

/// The purpose of the draws of random stages; see [`draw`].
const RANDOM_STAGE: u64 = 1;

/// The fields that the stages group by.
fn groups_of(stages: &[Stage]) -> Groups {
    let fields = stages.iter().filter_map(Stage::group_by);
    Groups::new(fields.map(|field| field.as_str().to_owned()))
}

/// What all stages keep, as outcomes to publish: the changes of the last one's set, and the
/// summaries of each.
///
/// Without stages every live document is kept: one `select` that keeps all turns additions and
/// removals into full changes. `first` is the number of the first epoch.
pub fn select_by<'s>(
    live: StreamVec<'s, u64, Change<Facts>>,
    Selection {
        stages,
        groups,
        replayed,
    }: &Selection,
    first: u64,
) -> StreamVec<'s, u64, Outcome> {
    if stages.is_empty() {
        return keep_all(live, first).map(Outcome::Change);
    }
    let scope = live.scope();
    let mut kept = live;
    let mut told = Vec::with_capacity(stages.len() + 1);
    for (index, stage) in stages.iter().enumerate() {
        let is_last = index + 1 == stages.len();
        let how = operators::Stage {
            silent_epoch: replayed.filter(|_| is_last),
            ..operators::Stage::new(quota(stage), first)
        };
        let selected = select(kept, how, view(stage, groups), |_, _| ());
        told.push(selected.summaries.map(move |summary| {
            Outcome::Summary(Box::new(StageSummary {
                stage: index,
                summary,
            }))
        }));
        kept = selected.kept;
    }
    told.push(kept.map(Outcome::Change));
    scope.concatenate(told)
}

fn keep_all<'s>(
    live: StreamVec<'s, u64, Change<Facts>>,
    first: u64,
) -> StreamVec<'s, u64, Change<Facts>> {
    let all = Quota {
        band: Band::Low,
        rate: Rate::ALL,
    };
    let view = |_: &Facts, _| View {
        group: NO_GROUP,
        key: 0,
        mass: 1,
    };
    select(live, operators::Stage::new(all, first), view, |_, _| ()).kept
}

fn quota(stage: &Stage) -> Quota {
    let band = match stage {
        Stage::Perplexity {
            keep: Keep::Medium, ..
        } => Band::Medium,
        Stage::Perplexity {
            keep: Keep::High, ..
        } => Band::High,
        Stage::Perplexity {
            keep: Keep::Low, ..
        }
        | Stage::Random { .. } => Band::Low,
    };
    let rate = Rate::from_ppm(stage.rate().ppm()).expect("a rate is at most a million");
    Quota { band, rate }
}

/// Where a document stands in the stage.
fn view(stage: &Stage, groups: &Groups) -> impl Fn(&Facts, DocumentHash) -> View + 'static {
    let (key, group, mass) = (key(stage), group(stage, groups), stage.mass());
    move |facts, id| View {
        group: group(facts.group),
        key: key(facts, id),
        mass: match mass {
            Mass::Documents => 1,
            Mass::Tokens => facts.tokens,
        },
    }
}

/// Where documents stand in a stage's order.
type Key = Box<dyn Fn(&Facts, DocumentHash) -> i64>;

fn key(stage: &Stage) -> Key {
    match *stage {
        Stage::Perplexity { .. } => Box::new(|facts, _| facts.mean_nll),
        Stage::Random { seed, .. } => Box::new(move |_, id| key_of(draw(seed, RANDOM_STAGE, id))),
    }
}

fn group(stage: &Stage, groups: &Groups) -> Box<dyn Fn(GroupCode) -> u64> {
    match stage.group_by() {
        None => Box::new(|_| NO_GROUP),
        Some(field) => {
            let index = groups
                .index(field.as_str())
                .expect("the groups are of these stages");
            Box::new(groups.of_field(index))
        }
    }
}

/// A draw as a key: the same order, in signed numbers.
fn key_of(draw: u64) -> i64 {
    (draw ^ 1 << 63) as i64
}

/// The draw behind a key, in [0, 1).
pub fn draw_of(key: i64) -> f64 {
    (key as u64 ^ 1 << 63) as f64 / 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_draws_do() {
        let draws = [0, 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX];
        assert!(
            draws
                .windows(2)
                .all(|pair| key_of(pair[0]) < key_of(pair[1]))
        );
        assert_eq!((draw_of(key_of(0)), draw_of(key_of(1 << 63))), (0.0, 0.5));
    }
}
