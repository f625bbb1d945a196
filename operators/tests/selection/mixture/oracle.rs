//! After every epoch, what is kept and told equals a division and a sort of everything.

use std::collections::BTreeMap;

use proptest::prelude::*;
use riffle_operators::{Amount, Budget, DocumentHash, Place, Rate, Summary, View, Weights};

use crate::mixture::dataflow::run;
use crate::mixture::scenario::{Mixed, mixed};
use crate::oracle::{Selection, apply};
use crate::scenario::{Facts, Live, Scenario, by_draw, by_key, cases, play};
use crate::summaries::empty;

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn oracle_after_every_epoch_groups_keep_what_fits_in_their_part_of_the_budget(
        mixed in mixed(),
    ) {
        check(&mixed);
    }
}

#[test]
fn oracle_mixtures_that_move_the_cuts_of_large_groups_are_exact_too() {
    check(&Mixed {
        documents: Scenario {
            workers: 2,
            sizes: vec![250_000, 1_000, 0, 50_000, 0, 1_000],
            population: 400_000,
            groups: 12,
            keys: 1 << 30,
            weights: crate::scenario::Weights::Tokens,
            takedowns_percent: 20,
            seed: 1,
            ..Scenario::plain()
        },
        budgets: [
            Budget::Share(Rate::from_ppm(400_000).unwrap()),
            Budget::Mass(20_000),
        ],
        changes_percent: 100,
    });
}

/// Compares both stages, their changes and their summaries, with the definition.
fn check(mixed: &Mixed) {
    let steps = mixed.steps();
    let mut live = Live::new();
    let mut weights = Weights::default();
    let mut kept = [Live::new(), Live::new()];
    let mut told_of: [BTreeMap<u64, Summary>; 2] = Default::default();
    for (step, told) in steps.iter().zip(run(mixed, &steps, 0)) {
        play(&mut live, &step.upserts);
        weights = step.weights.last().unwrap_or(&weights).clone();
        let one = select(&live, mixed.budgets[0], by_key, |group| {
            weight(&weights, group)
        });
        let two = select(&one.kept, mixed.budgets[1], by_draw, |_| 1);
        for (stage, expected) in [one, two].into_iter().enumerate() {
            let (kept, last) = (&mut kept[stage], &mut told_of[stage]);
            apply(kept, &told.changes[stage]);
            assert!(
                *kept == expected.kept,
                "{} are kept, not {}",
                kept.len(),
                expected.kept.len()
            );
            for summary in &told.summaries[stage] {
                last.insert(summary.group, *summary);
            }
            assert!(
                expected
                    .summaries
                    .keys()
                    .all(|group| last.contains_key(group))
            );
            for (group, summary) in last {
                let state = expected.summaries.get(group).copied();
                assert_eq!(*summary, state.unwrap_or(empty(*group)));
            }
        }
    }
}

pub fn weight(weights: &Weights, group: u64) -> u64 {
    let named = weights.groups().iter().find(|named| named.0 == group);
    named.map_or(0, |named| named.1)
}

/// The definition: the budget divided, each group sorted, and its prefix taken.
pub fn select(
    live: &Live,
    budget: Budget,
    view: impl Fn(&Facts, DocumentHash) -> View,
    weight: impl Fn(u64) -> u64,
) -> Selection {
    let mut groups: BTreeMap<u64, Vec<(Place, u32, Facts)>> = BTreeMap::new();
    for (&id, facts) in live {
        let View { group, key, mass } = view(facts, id);
        let documents = groups.entry(group).or_default();
        documents.push((Place { key, id }, mass, *facts));
    }
    let mass = |documents: &Vec<(Place, u32, Facts)>| {
        documents
            .iter()
            .map(|(_, mass, _)| i128::from(*mass))
            .sum::<i128>()
    };
    let all: i128 = groups.values().map(mass).sum();
    let budget = match budget {
        Budget::Share(rate) => all * i128::from(rate.ppm()) / 1_000_000,
        Budget::Mass(mass) => mass.into(),
    };
    let wants = |(group, documents): (&u64, _)| (*group, (mass(documents), weight(*group).into()));
    let parts = divide(
        budget,
        groups
            .iter()
            .map(wants)
            .filter(|want| want.1.1 > 0)
            .collect(),
    );
    let mut selection = Selection {
        kept: Live::new(),
        summaries: BTreeMap::new(),
    };
    for (group, mut documents) in groups {
        documents.sort();
        let mut summary = Summary {
            live: Amount {
                documents: documents.len() as i64,
                mass: i64::try_from(mass(&documents)).unwrap(),
            },
            ..empty(group)
        };
        let mut room = parts.get(&group).copied();
        summary.quota = i64::try_from(room.unwrap_or(0)).unwrap();
        for (place, mass, facts) in documents {
            room = room
                .map(|room| room - i128::from(mass))
                .filter(|room| *room >= 0);
            if room.is_none() {
                summary.high.get_or_insert(place);
                continue;
            }
            selection.kept.insert(place.id, facts);
            summary.kept.documents += 1;
            summary.kept.mass += i64::from(mass);
        }
        selection.summaries.insert(group, summary);
    }
    selection
}

/// Shares a budget out among groups that want a mass by a weight, takes one that is full out with
/// its mass, and begins anew, until none is.
fn divide(mut budget: i128, mut wants: BTreeMap<u64, (i128, i128)>) -> BTreeMap<u64, i128> {
    let mut parts = BTreeMap::new();
    loop {
        let weights: i128 = wants.values().map(|want| want.1).sum();
        let full = wants
            .iter()
            .find(|(_, (mass, weight))| mass * weights <= budget * weight);
        let Some((&group, &(mass, _))) = full else {
            let part = |(group, (_, weight))| (group, budget * weight / weights);
            parts.extend(wants.into_iter().map(part));
            return parts;
        };
        wants.remove(&group);
        parts.insert(group, mass);
        budget -= mass;
    }
}
