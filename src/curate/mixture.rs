//! The mixture of skills that follows from the losses a trainer reports.

use std::collections::BTreeMap;

use mixtures::{Applied, LiveMixture, Mark, Report, WHOLE};
use operators::Weights;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::generic::{Operator, OutputBuilderSession};
use timely::dataflow::{Scope, StreamVec};

use super::groups::group_of;
use super::skills::SkillSums;
use crate::log::Record;

/// What the losses log said: a report, or the dead letter of a record that is none.
pub type Reported = Result<Report, Record>;

/// A mixture, as it is told and published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// The weight of each skill in parts of a billion, in the graph's order.
    pub skills: Vec<(String, u64)>,
    /// The last evaluation that it depends on.
    pub follows: Option<Mark>,
}

impl Shares {
    /// The weights by group, for a selection.
    pub fn weights(&self) -> Weights {
        let group = |(skill, weight): &(String, u64)| (group_of(skill), *weight as u32);
        Weights::new(self.skills.iter().map(group))
    }

    /// The record of the mixture's log, in force from this epoch on.
    pub fn record(&self, epoch: u64, method: &str, run: &str) -> Record {
        let share =
            |(skill, weight): &(String, u64)| (skill.clone(), *weight as f64 / WHOLE as f64);
        let value = Published {
            epoch,
            method,
            run,
            follows: self.follows,
            skills: self.skills.iter().map(share).collect(),
        };
        Record {
            key: Some(b"mixture".to_vec()),
            value: Some(serde_json::to_vec(&value).expect("numbers and text become JSON")),
            headers: Vec::new(),
        }
    }
}

/// A mixture as it is published.
#[derive(Serialize)]
struct Published<'a> {
    epoch: u64,
    method: &'a str,
    run: &'a str,
    /// "round" or "step"; neither before the first evaluation.
    #[serde(flatten)]
    follows: Option<Mark>,
    /// The share of each skill.
    skills: BTreeMap<String, f64>,
}

/// What became of the reports so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportCounts {
    /// Evaluations of which every skill was reported.
    pub evaluations: u64,
    /// Evaluations of which some were.
    pub incomplete: u64,
    /// Reports of other runs.
    pub of_other_runs: u64,
    /// Reports of skills that the graph does not evaluate.
    pub of_unknown_skills: u64,
    /// Records that are no reports, and reports beyond the most that are held.
    pub unusable: u64,
}

/// What is told in an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// The mixture from this epoch on.
    Mixture(Shares),
    /// What became of the reports, this epoch's among them.
    Reports(ReportCounts),
    /// The dead letter of a record that is no report.
    Letter(Record),
}

impl Told {
    /// The weights by group of a mixture.
    pub fn weights(self) -> Option<Weights> {
        match self {
            Told::Mixture(shares) => Some(shares.weights()),
            Told::Reports(_) | Told::Letter(_) => None,
        }
    }
}

/// These weights from the epoch `first` on.
pub fn once<'s>(
    scope: Scope<'s, u64>,
    first: u64,
    weights: Weights,
) -> StreamVec<'s, u64, Weights> {
    let tells = scope.index() == 0;
    source(scope, "Weights", move |capability, _| {
        let mut waiting = tells.then(|| (capability.delayed(&first), weights));
        move |output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<Weights>>>| {
            if let Some((capability, weights)) = waiting.take() {
                output.session(&capability).give(weights);
            }
        }
    })
}

/// The mixture of each epoch in which it is another, the first among them, and the counts of each
/// in which reports came.
///
/// Reports come on the first worker, and it alone tells. `sums` are the differences of the live
/// documents' sums by skill; only a mixture by what there is looks at them.
pub fn mixtures<'s>(
    reports: StreamVec<'s, u64, Reported>,
    sums: StreamVec<'s, u64, (u64, SkillSums)>,
    live: LiveMixture,
    first: u64,
) -> StreamVec<'s, u64, Told> {
    let tells = reports.scope().index() == 0;
    let to_first = Exchange::new(|_: &(u64, SkillSums)| 0);
    reports.binary_frontier(sums, Pipeline, to_first, "Mixture", move |mut held, _| {
        held.downgrade(&first);
        let mut held = tells.then_some(held);
        let mut epochs: BTreeMap<u64, Epoch> = BTreeMap::new();
        let mut current = Current::new(live);
        move |(reports, of_reports), (sums, of_sums), output| {
            reports.for_each(|stamp, data| {
                let epoch = *stamp.least().expect("a message has a time");
                epochs.entry(epoch).or_default().reports.append(data);
            });
            sums.for_each(|stamp, data| {
                let epoch = *stamp.least().expect("a message has a time");
                epochs.entry(epoch).or_default().sums.append(data);
            });
            let frontiers = [of_reports, of_sums];
            while let Some(capability) = &held
                && frontiers.iter().all(|it| !it.less_equal(capability.time()))
            {
                let epoch = epochs.remove(capability.time()).unwrap_or_default();
                let told = current.take(epoch);
                output.session(capability).give_iterator(told.into_iter());
                let waiting = epochs.first_key_value().map(|(epoch, _)| *epoch);
                let coming = frontiers
                    .iter()
                    .filter_map(|it| it.frontier().first().copied());
                held = later(capability, waiting.into_iter().chain(coming).min());
            }
        }
    })
}

fn later(held: &Capability<u64>, next: Option<u64>) -> Option<Capability<u64>> {
    next.map(|next| held.delayed(&next))
}

/// What came in an epoch.
#[derive(Default)]
struct Epoch {
    reports: Vec<Reported>,
    sums: Vec<(u64, SkillSums)>,
}

/// The mixture after the epochs so far.
struct Current {
    live: LiveMixture,
    counts: ReportCounts,
    /// Live tokens of each training skill, where the rule asks for them.
    masses: Vec<u64>,
    places: BTreeMap<u64, usize>,
    told: Option<Shares>,
}

impl Current {
    fn new(live: LiveMixture) -> Self {
        let skills = live.rule().graph().training();
        let places = skills.iter().map(|skill| group_of(skill)).zip(0..);
        Current {
            masses: vec![0; skills.len()],
            places: places.collect(),
            live,
            counts: ReportCounts::default(),
            told: None,
        }
    }

    fn take(&mut self, epoch: Epoch) -> Vec<Told> {
        let mut told = Vec::new();
        if !epoch.reports.is_empty() {
            let letters = epoch.reports.into_iter().filter_map(|it| self.report(it));
            told.extend(letters.map(Told::Letter));
            let (complete, incomplete) = self.live.losses().counts();
            self.counts.evaluations = complete as u64;
            self.counts.incomplete = incomplete as u64;
            told.push(Told::Reports(self.counts));
        }
        for (group, sums) in &epoch.sums {
            if let Some(place) = self.places.get(group) {
                let mass = &mut self.masses[*place];
                *mass = mass.wrapping_add_signed(sums.tokens);
            }
        }
        // Skill-It over a thousand skills takes milliseconds, which a worker has not for nothing.
        let weighs = self.live.rule().needs_masses() && !epoch.sums.is_empty();
        if self.told.is_some() && told.is_empty() && !weighs {
            return told;
        }
        let mixture = self.live.mixture(&self.masses);
        let shares = Shares {
            skills: mixture
                .iter()
                .map(|(skill, w)| (skill.to_owned(), w))
                .collect(),
            follows: mixture.follows(),
        };
        if self.told.as_ref() != Some(&shares) {
            self.told = Some(shares.clone());
            told.push(Told::Mixture(shares));
        }
        told
    }

    /// Takes a report in; gives back the dead letter of what is none.
    fn report(&mut self, report: Reported) -> Option<Record> {
        let report = match report {
            Ok(report) => report,
            Err(letter) => {
                self.counts.unusable += 1;
                return Some(letter);
            }
        };
        match self.live.apply(&report) {
            Ok(Applied::Changed | Applied::Unchanged) => {}
            Ok(Applied::OtherRun) => self.counts.of_other_runs += 1,
            Ok(Applied::UnknownSkill) => self.counts.of_unknown_skills += 1,
            Err(error) => {
                tracing::warn!(%error, "a report of a loss is passed over");
                self.counts.unusable += 1;
            }
        }
        None
    }
}
