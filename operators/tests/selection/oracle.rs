//! After every epoch, what is kept equals a sort of everything that is live.

use std::collections::BTreeMap;

use proptest::prelude::*;
use riffle_operators::{Amount, Band, Change, DocumentHash, Place, Quota, Rate, Summary, View};

use crate::dataflow::run;
use crate::scenario::{Facts, Live, Scenario, Weights, by_draw, by_key, cases, play, scenario};

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn oracle_after_every_epoch_the_kept_set_is_that_of_a_sort(scenario in scenario()) {
        check(&scenario);
    }
}

#[test]
fn oracle_groups_far_larger_than_a_bin_are_exact_too() {
    let quota = |band, ppm| Quota {
        band,
        rate: Rate::from_ppm(ppm).unwrap(),
    };
    check(&Scenario {
        workers: 2,
        guard: 128,
        quotas: [quota(Band::Medium, 500_000), quota(Band::High, 100_000)],
        sizes: vec![250_000, 1_000, 1_000, 50_000, 1_000, 1_000],
        population: 400_000,
        groups: 2,
        keys: 1 << 30,
        weights: Weights::Tokens,
        takedowns_percent: 20,
        seed: 1,
    });
}

/// Compares both stages with a sort after every epoch.
fn check(scenario: &Scenario) {
    let epochs = scenario.epochs();
    let mut live = Live::new();
    let mut kept = [Live::new(), Live::new()];
    let mut sums = [BTreeMap::new(), BTreeMap::new()];
    for (epoch, told) in epochs.iter().zip(run(scenario, &epochs, 0)) {
        play(&mut live, epoch);
        let one = select(&live, scenario.quotas[0], by_key).kept;
        let two = select(&one, scenario.quotas[1], by_draw).kept;
        for ((sums, changes), documents) in sums.iter_mut().zip(&told.sums).zip([&live, &one]) {
            add(sums, changes);
            assert_eq!(*sums, masses(documents));
        }
        for ((kept, changes), expected) in kept.iter_mut().zip(&told.changes).zip([one, two]) {
            apply(kept, changes);
            assert!(
                *kept == expected,
                "{} are kept, not {}",
                kept.len(),
                expected.len()
            );
        }
    }
}

/// Adds an epoch's differences to the sums by group; each of them must be one.
fn add(sums: &mut BTreeMap<u64, i64>, changes: &[(u64, i64)]) {
    for (group, mass) in changes {
        assert_ne!(*mass, 0);
        *sums.entry(*group).or_default() += mass;
    }
    sums.retain(|_, mass| *mass != 0);
}

fn masses(documents: &Live) -> BTreeMap<u64, i64> {
    let mut masses = BTreeMap::new();
    for facts in documents.values() {
        *masses.entry(u64::from(facts.group)).or_default() += i64::from(facts.mass);
    }
    masses.retain(|_, mass| *mass != 0);
    masses
}

/// What a stage should give.
pub struct Selection {
    pub kept: Live,
    pub summaries: BTreeMap<u64, Summary>,
}

/// The definition: each group sorted, and each document compared with the band.
pub fn select(live: &Live, quota: Quota, view: impl Fn(&Facts, DocumentHash) -> View) -> Selection {
    let mut groups: BTreeMap<u64, Vec<(Place, i64, Facts)>> = BTreeMap::new();
    for (&id, facts) in live {
        let View { group, key, mass } = view(facts, id);
        groups
            .entry(group)
            .or_default()
            .push((Place { key, id }, i64::from(mass), *facts));
    }
    let mut selection = Selection {
        kept: Live::new(),
        summaries: BTreeMap::new(),
    };
    for (group, mut documents) in groups {
        documents.sort();
        let total = documents.iter().map(|document| document.1).sum();
        let [start, end] = quota.ends(total);
        let live = Amount {
            documents: documents.len() as i64,
            mass: total,
        };
        let mut summary = Summary {
            group,
            live,
            quota: end - start,
            kept: Amount::default(),
            low: None,
            high: None,
        };
        let mut before = 0;
        for (place, mass, facts) in documents {
            let after = before + mass;
            if before >= start && after <= end {
                selection.kept.insert(place.id, facts);
                summary.kept.documents += 1;
                summary.kept.mass += mass;
            }
            if before >= start && quota.band != Band::Low {
                summary.low.get_or_insert(place);
            }
            if after > end && quota.band != Band::High {
                summary.high.get_or_insert(place);
            }
            before = after;
        }
        selection.summaries.insert(group, summary);
    }
    selection
}

/// Applies an epoch's changes to a kept set; each of them must make sense.
pub fn apply(kept: &mut Live, changes: &[Change<Facts>]) {
    let mut removed = Live::new();
    for change in changes {
        if change.diff < 0 {
            assert_eq!(
                kept.remove(&change.id),
                Some(change.record),
                "removes what was added"
            );
            removed.insert(change.id, change.record);
        } else {
            assert_eq!(
                kept.insert(change.id, change.record),
                None,
                "adds what is not there"
            );
            assert_ne!(
                removed.get(&change.id),
                Some(&change.record),
                "no change is told"
            );
        }
    }
}
