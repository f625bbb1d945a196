//! The chained selection stages: `select` with an order of each stage's own, and at most one stage
//! that samples by density.

use std::ops::Range;

use operators::density::{self, Sampling};
use operators::{Band, Change, DocumentHash, Quota, Rate, View, draw, sample_by_density, select};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::vec::Map;

use super::coded::{Coded, Codes, part, with};
use super::drawn::{Staged, Weighed, weigh};
use super::facts::Facts;
use super::groups::{GroupCode, Groups, NO_GROUP};
use super::publish::{Kept, Outcome};
use super::rules::Rules;
use super::statistics::{StageSummary, Told};
use crate::config::{Keep, Mass, Over, Stage};

/// The purposes of the stages' draws; see [`draw`].
const RANDOM_STAGE: u64 = 1;
const DENSITY_STAGE: u64 = 2;

/// What all stages keep, as outcomes to publish: the changes of the last one's set, and the
/// summaries of each.
///
/// Without stages every live document is kept: one `select` that keeps all turns additions and
/// removals into full changes. `first` is the number of the first epoch.
pub fn select_by<'s>(
    live: StreamVec<'s, u64, Change<Facts>>,
    rules: &Rules,
    first: u64,
) -> StreamVec<'s, u64, Outcome> {
    let mut chain = Chain::new(rules, first);
    let kept = match rules.stages.len() {
        0 => keep_all(live, first),
        stages => chain.select(live, 0..stages),
    };
    chain.tell(kept)
}

/// The same of documents with codes, with the stage by density in its place.
pub fn sample_by<'s>(
    live: StreamVec<'s, u64, Change<Coded>>,
    rules: &Rules,
    first: u64,
) -> StreamVec<'s, u64, Outcome> {
    let at = rules
        .by_density()
        .expect("codes are read for a stage by density");
    let mut chain = Chain::new(rules, first);
    let (codes, facts) = part(live);
    let survivors = chain.select(facts, 0..at);
    let drawn = chain.sample(codes, survivors, at);
    let kept = chain.select(drawn, at + 1..rules.stages.len());
    chain.tell(kept)
}

/// The stages so far, and what they tell.
struct Chain<'s, 'r> {
    rules: &'r Rules,
    first: u64,
    told: Vec<StreamVec<'s, u64, Outcome>>,
}

impl<'s, 'r> Chain<'s, 'r> {
    fn new(rules: &'r Rules, first: u64) -> Self {
        let told = Vec::new();
        Chain { rules, first, told }
    }

    /// The epoch of which the stage tells its summary alone.
    fn silent(&self, stage: usize) -> Option<u64> {
        let is_last = stage + 1 == self.rules.stages.len();
        self.rules.replayed.filter(|_| is_last)
    }

    /// What these stages keep, each a band of an order.
    fn select<R: Staged>(
        &mut self,
        mut kept: StreamVec<'s, u64, Change<R>>,
        stages: Range<usize>,
    ) -> StreamVec<'s, u64, Change<R>> {
        for index in stages {
            let stage = &self.rules.stages[index];
            let how = operators::Stage {
                silent_epoch: self.silent(index),
                ..operators::Stage::new(quota(stage), self.first)
            };
            let selected = select(kept, how, view(stage, &self.rules.groups), |_, _| ());
            self.note(index, selected.summaries.map(Told::Group));
            kept = selected.kept;
        }
        kept
    }

    /// What the stage by density draws of the survivors.
    fn sample(
        &mut self,
        live: StreamVec<'s, u64, Change<Codes>>,
        survivors: StreamVec<'s, u64, Change<Facts>>,
        index: usize,
    ) -> StreamVec<'s, u64, Change<Weighed>> {
        let sampling = Sampling {
            silent_epoch: self.silent(index),
            ..sampling(self.rules, index, self.first)
        };
        let codes = |record: &Codes, _, codes: &mut [u16]| codes.copy_from_slice(record);
        let sampled = sample_by_density(live, survivors, sampling, codes, |_, _| ());
        let (drawn, summaries) = weigh(sampled, sampling.sketch.rows());
        self.note(index, summaries.map(Told::Density));
        drawn
    }

    fn note(&mut self, stage: usize, summaries: StreamVec<'s, u64, Told>) {
        let summary = move |told| Outcome::Summary(Box::new(StageSummary { stage, told }));
        self.told.push(summaries.map(summary));
    }

    /// All that is told: of the stages, and the changes of what the last one keeps.
    fn tell<R: Staged>(
        mut self,
        kept: StreamVec<'s, u64, Change<R>>,
    ) -> StreamVec<'s, u64, Outcome> {
        let scope = kept.scope();
        self.told.push(kept.map(|change| {
            let position = change.record.facts().position;
            let draw = change.record.draw();
            Outcome::Change(with(&change, Kept { position, draw }))
        }));
        scope.concatenate(self.told)
    }
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

/// How the stage at `index`, which must be one by density, samples.
fn sampling(rules: &Rules, index: usize, first_epoch: u64) -> Sampling {
    let Stage::Density {
        rate,
        seed,
        epsilon,
        phases,
        over,
    } = rules.stages[index]
    else {
        unreachable!("the stage at {index} is the one by density");
    };
    let sketch = &rules.sketch;
    Sampling {
        sketch: density::Sketch::new(sketch.rows, sketch.cells, epsilon.ppm(), phases)
            .expect("the configuration's limits are the sketch's"),
        rate: share(rate),
        seed,
        purpose: DENSITY_STAGE,
        over: match over {
            Over::Live => density::Over::Live,
            Over::Survivors => density::Over::Survivors,
        },
        first_epoch,
        silent_epoch: None,
    }
}

fn share(rate: crate::config::Rate) -> Rate {
    Rate::from_ppm(rate.ppm()).expect("a rate is at most a million")
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
        | Stage::Random { .. }
        | Stage::Density { .. } => Band::Low,
    };
    let rate = share(stage.rate());
    Quota { band, rate }
}

/// Where a document stands in the stage.
fn view<R: Staged>(
    stage: &Stage,
    groups: &Groups,
) -> impl Fn(&R, DocumentHash) -> View + use<R> + 'static {
    let (key, group, mass) = (key(stage), group(stage, groups), stage.mass());
    move |record, id| {
        let facts = record.facts();
        View {
            group: group(facts.group),
            key: key(facts, id),
            mass: match mass {
                Mass::Documents => 1,
                Mass::Tokens => facts.tokens,
            },
        }
    }
}

/// Where documents stand in a stage's order.
type Key = Box<dyn Fn(&Facts, DocumentHash) -> i64>;

fn key(stage: &Stage) -> Key {
    match *stage {
        Stage::Perplexity { .. } => Box::new(|facts, _| facts.mean_nll),
        Stage::Random { seed, .. } => Box::new(move |_, id| key_of(draw(seed, RANDOM_STAGE, id))),
        Stage::Density { .. } => unreachable!("its order is no function of a document alone"),
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
