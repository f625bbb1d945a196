//! The chained selection stages: `select` with an order of each stage's own, groups that share a
//! budget by a mixture, and at most one stage that samples by density.

use std::ops::Range;

use mixtures::LiveMixture;
use operators::density::Sampling;
use operators::{
    Band, Change, Quota, Rate, Selected, View, Weights, sample_by_density, select,
    select_by_mixture, select_stratified, sum_by_group,
};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::vec::Map;

use super::changes::Kept;
use super::coded::{Coded, Codes, part, with};
use super::drawn::{Staged, Weighed, weigh};
use super::facts::Facts;
use super::groups::{GroupCode, NO_GROUP};
use super::mixture::{self, Reported, once};
use super::publish::Outcome;
use super::rules::{Mixing, Rules};
use super::settings::{quota, sampling, shared, view};
use super::skills::{Of, SkillChange, SkillSums, sums, sums_of_live};
use super::statistics::{StageSummary, Told};
use crate::config::{SKILL, Stage};

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
