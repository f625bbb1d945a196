//! Random histories of a corpus and of the mixture that it is selected by.

use proptest::prelude::*;
use riffle_operators::{Budget, Rate, Weights};

use crate::scenario::{Epoch, Random, Scenario, scenario};

/// A history of documents, in which the quotas of its stages do not count, and one of mixtures.
#[derive(Clone, Debug)]
pub struct Mixed {
    pub documents: Scenario,
    pub budgets: [Budget; 2],
    /// In how many of a hundred epochs weights come.
    pub changes_percent: u64,
}

/// One epoch's upserts, and the sets of weights that come in it.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub upserts: Epoch,
    pub weights: Vec<Weights>,
}

pub fn budget() -> impl Strategy<Value = Budget> {
    let share = prop_oneof![
        Just(0),
        Just(1_000),
        Just(500_000),
        Just(1_000_000),
        0..=1_000_000u32,
    ];
    prop_oneof![
        share.prop_map(|ppm| Budget::Share(Rate::from_ppm(ppm).unwrap())),
        prop_oneof![Just(0), 1..2_000u64, 0..4_000_000u64, Just(u64::MAX)].prop_map(Budget::Mass),
    ]
}

pub fn mixed() -> impl Strategy<Value = Mixed> {
    let changes = prop_oneof![Just(5), Just(30), Just(100)];
    (scenario(), [budget(), budget()], changes).prop_map(|(documents, budgets, changes_percent)| {
        Mixed {
            documents,
            budgets,
            changes_percent,
        }
    })
}

impl Mixed {
    pub fn steps(&self) -> Vec<Step> {
        let mut random = Random {
            seed: !self.documents.seed,
            drawn: 0,
        };
        let epochs = self.documents.epochs().into_iter().enumerate();
        let step = |(i, upserts)| {
            let come = random.below(100) < self.changes_percent || i == 0 && random.below(4) > 0;
            let sets = if come { 1 + random.below(2) } else { 0 };
            let weights = (0..sets).map(|_| self.weights(&mut random)).collect();
            Step { upserts, weights }
        };
        epochs.map(step).collect()
    }

    /// Weights for some groups, also for some that never come, and none for others.
    fn weights(&self, random: &mut Random) -> Weights {
        let (named, largest) = match random.below(5) {
            0 => (0, 1),
            1 => (100, 1),
            2 => (100, 1_000_000_000),
            3 => (50, 4),
            _ => (90, u64::from(u32::MAX)),
        };
        let groups = 0..self.documents.groups + 2;
        let groups: Vec<u64> = groups.filter(|_| random.below(100) < named).collect();
        Weights::new(groups.into_iter().map(|group| {
            // Orders of magnitude apart, and some of them 0.
            let weight = random.below(largest + 1) >> random.below(20);
            (group, u32::try_from(weight).unwrap())
        }))
    }
}
