//! The chained selection stages: `select` with an order of each stage's own, groups that share a
//! budget by a mixture, and at most one stage that samples by density.

use std::ops::Range;

use mixtures::LiveMixture;
use operators::density::{self, Sampling};
use operators::{
    Band, Change, DocumentHash, Quota, Rate, Selected, View, Weights, draw, sample_by_density,
    select, select_by_mixture, select_stratified, sum_by_group,
};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::vec::Map;

use super::coded::{Coded, Codes, part, with};
use super::drawn::{Staged, Weighed, weigh};
use super::facts::Facts;
use super::groups::{GroupCode, Groups, NO_GROUP};
use super::mixture::{self, Reported, once};
use super::publish::{Kept, Outcome};
use super::rules::{Mixing, Rules};
use super::skills::{Of, SkillChange, SkillSums, sums, sums_of_live};
use super::statistics::{StageSummary, Told};
use crate::config::{Budget, Keep, Mass, Over, SKILL, Stage};

/// The purposes of the stages' draws; see [`draw`].
const RANDOM_STAGE: u64 = 1;
const DENSITY_STAGE: u64 = 2;
const SKILLS_STAGE: u64 = 3;
const STRATIFIED_STAGE: u64 = 4;

/// What all stages keep, as outcomes to publish: the changes of the last one's set, and the
/// summaries of each.
///
/// Without stages every live document is kept: one `select` that keeps all turns additions and
/// removals into full changes. `first` is the number of the first epoch.
pub fn select_by<'s>(
    live: StreamVec<'s, u64, Change<Facts>>,
    reports: StreamVec<'s, u64, Reported>,
    rules: &Rules,
    first: u64,
) -> StreamVec<'s, u64, Outcome> {
    let mut chain = Chain::new(rules, first);
    chain.mix(&live, reports);
    let kept = match rules.stages.len() {
        0 => keep_all(live, first),
        stages => chain.select(live, 0..stages),
    };
    chain.tell(kept)
}

/// The same of documents with codes, with the stage by density in its place.
pub fn sample_by<'s>(
    live: StreamVec<'s, u64, Change<Coded>>,
    reports: StreamVec<'s, u64, Reported>,
    rules: &Rules,
    first: u64,
) -> StreamVec<'s, u64, Outcome> {
    let at = rules
        .by_density()
        .expect("codes are read for a stage by density");
    let mut chain = Chain::new(rules, first);
    let (codes, facts) = part(live);
    chain.mix(&facts, reports);
    let survivors = chain.select(facts, 0..at);
    let drawn = chain.sample(codes, survivors, at);
    let kept = chain.select(drawn, at + 1..rules.stages.len());
    chain.tell(kept)
}

/// The stages so far, and what they tell.
struct Chain<'s, 'r> {
    rules: &'r Rules,
    first: u64,
    /// The mixture that stages by skills follow.
    weights: Option<StreamVec<'s, u64, Weights>>,
    told: Vec<StreamVec<'s, u64, Outcome>>,
}

impl<'s, 'r> Chain<'s, 'r> {
    fn new(rules: &'r Rules, first: u64) -> Self {
        Chain {
            rules,
            first,
            weights: None,
            told: Vec::new(),
        }
    }

    /// Sums the live documents by skill, and finds the mixture.
    fn mix(
        &mut self,
        live: &StreamVec<'s, u64, Change<Facts>>,
        reports: StreamVec<'s, u64, Reported>,
    ) {
        let scope = live.scope();
        let skills = &self.rules.skills;
        let sums = match skills.are_known {
            true => sums_of_live(live.clone(), self.skill()),
            false => empty(scope),
        };
        self.note_skills(Of::Live, sums.clone());
        self.weights = match &skills.mixture {
            Mixing::None => None,
            Mixing::Was(weights) => Some(once(scope, self.first, weights.clone())),
            Mixing::Follow { start, .. } => {
                let start = LiveMixture::clone(start);
                let told = mixture::mixtures(reports, sums, start, self.first);
                self.told.push(told.clone().map(Outcome::Mixture));
                Some(told.flat_map(mixture::Told::weights))
            }
        };
    }

    /// A function from codes to skills.
    fn skill(&self) -> impl Fn(GroupCode) -> u64 + 'static {
        let index = self.rules.groups.index(SKILL);
        self.rules.groups.of_field(index.expect("skills are known"))
    }

    fn note_skills(&mut self, of: Of, sums: StreamVec<'s, u64, (u64, SkillSums)>) {
        let change = move |(skill, by)| Outcome::Skill(Box::new(SkillChange { of, skill, by }));
        self.told.push(sums.map(change));
    }

    /// The epoch of which the stage tells its summary alone.
    fn silent(&self, stage: usize) -> Option<u64> {
        let is_last = stage + 1 == self.rules.stages.len();
        // The statistics of skills need the changes.
        let is_needed = self.rules.skills.are_known;
        self.rules.replayed.filter(|_| is_last && !is_needed)
    }

    /// What these stages keep.
    fn select<R: Staged>(
        &mut self,
        mut kept: StreamVec<'s, u64, Change<R>>,
        stages: Range<usize>,
    ) -> StreamVec<'s, u64, Change<R>> {
        for index in stages {
            let selected = self.stage(kept, index);
            self.note(index, selected.summaries.map(Told::Group));
            kept = selected.kept;
        }
        kept
    }

    /// What the stage at `index` keeps.
    fn stage<R: Staged>(
        &self,
        items: StreamVec<'s, u64, Change<R>>,
        index: usize,
    ) -> Selected<'s, R> {
        let stage = &self.rules.stages[index];
        let view = view(stage, &self.rules.groups);
        match stage {
            Stage::Skills { budget, .. } => {
                let weights = self
                    .weights
                    .clone()
                    .expect("a stage by skills has a mixture");
                let how = self.how(index, shared(*budget));
                select_by_mixture(items, weights, how, view, |_, _| ())
            }
            Stage::Stratified { budget, .. } => {
                select_stratified(items, self.how(index, shared(*budget)), view, |_, _| ())
            }
            _ => select(items, self.how(index, quota(stage)), view, |_, _| ()),
        }
    }

    fn how<Q>(&self, index: usize, quota: Q) -> operators::Stage<Q> {
        operators::Stage {
            silent_epoch: self.silent(index),
            ..operators::Stage::new(quota, self.first)
        }
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
        let mut kept = kept;
        if self.rules.skills.are_known {
            let skill = self.skill();
            let sums = sum_by_group(kept.clone(), move |record: &R| {
                let facts = record.facts();
                (skill(facts.group), sums(facts.mean_nll, facts.tokens))
            });
            self.note_skills(Of::Curated, sums);
            let published = self
                .rules
                .replayed
                .filter(|_| !self.rules.stages.is_empty());
            kept = without(kept, published);
        }
        self.told.push(kept.map(|change| {
            let position = change.record.facts().position;
            let draw = change.record.draw();
            Outcome::Change(with(&change, Kept { position, draw }))
        }));
        scope.concatenate(self.told)
    }
}

/// The changes but for those of one epoch.
fn without<'s, R: Staged>(
    changes: StreamVec<'s, u64, Change<R>>,
    epoch: Option<u64>,
) -> StreamVec<'s, u64, Change<R>> {
    changes.unary(Pipeline, "Without", move |_, _| {
        move |input, output| {
            input.for_each(|stamp, data| {
                if stamp.least() != epoch.as_ref() {
                    output.session(&stamp).give_container(data);
                }
            });
        }
    })
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

fn shared(budget: Budget) -> operators::Budget {
    match budget {
        Budget::Share(rate) => operators::Budget::Share(share(rate)),
        Budget::Mass(mass) => operators::Budget::Mass(mass),
    }
}

/// What a stage keeps of each group for itself.
fn quota(stage: &Stage) -> Quota {
    let (band, rate) = match stage {
        Stage::Perplexity { keep, rate, .. } => match keep {
            Keep::Low => (Band::Low, rate),
            Keep::Medium => (Band::Medium, rate),
            Keep::High => (Band::High, rate),
        },
        Stage::Random { rate, .. } => (Band::Low, rate),
        Stage::Density { .. } | Stage::Skills { .. } | Stage::Stratified { .. } => {
            unreachable!("what it keeps of a group depends on others")
        }
    };
    let rate = share(*rate);
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
        Stage::Random { seed, .. } => drawn(seed, RANDOM_STAGE),
        Stage::Skills { seed, .. } => drawn(seed, SKILLS_STAGE),
        Stage::Stratified { seed, .. } => drawn(seed, STRATIFIED_STAGE),
        Stage::Density { .. } => unreachable!("its order is no function of a document alone"),
    }
}

fn drawn(seed: u64, purpose: u64) -> Key {
    Box::new(move |_, id| key_of(draw(seed, purpose, id)))
}

fn group(stage: &Stage, groups: &Groups) -> Box<dyn Fn(GroupCode) -> u64> {
    match stage.group_by() {
        None => Box::new(|_| NO_GROUP),
        Some(field) => {
            let index = groups.index(field).expect("the groups are of these stages");
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
