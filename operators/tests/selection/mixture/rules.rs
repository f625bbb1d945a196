//! The rules of a shared budget that are easiest to get wrong, each said once and plainly.

use std::sync::mpsc;

use riffle_operators::{Budget, Rate, Stage, Weights, latest, select_by_mixture};
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Inspect, Probe};

use crate::mixture::dataflow::run;
use crate::mixture::scenario::{Mixed, Step};
use crate::oracle::apply;
use crate::rules::{down, up};
use crate::scenario::{Epoch, Facts, Live, Scenario, by_key};

/// A first stage with this budget, and a second one that keeps all of it.
fn mixed(budget: Budget) -> Mixed {
    Mixed {
        documents: Scenario::plain(),
        budgets: [budget, Budget::Share(Rate::ALL)],
        changes_percent: 0,
    }
}

fn facts(group: u32, key: i64, mass: u32) -> Facts {
    Facts {
        position: key as u64,
        key,
        mass,
        group,
    }
}

fn step(upserts: Epoch, weights: &[&[(u64, u32)]]) -> Step {
    let weights = weights
        .iter()
        .map(|set| Weights::new(set.to_vec()))
        .collect();
    Step { upserts, weights }
}

/// The keys that a stage keeps after each epoch, ascending.
fn kept(mixed: &Mixed, steps: &[Step], stage: usize) -> Vec<Vec<i64>> {
    let mut kept = Live::new();
    let told = run(mixed, steps, 0);
    let keys = told.iter().map(|told| {
        apply(&mut kept, &told.changes[stage]);
        let mut keys: Vec<i64> = kept.values().map(|facts| facts.key).collect();
        keys.sort();
        keys
    });
    keys.collect()
}

/// Documents 1 to 4 with keys 11 to 14 in group 1, and 21 to 24 in group 2, of mass 1.
fn two_groups() -> Epoch {
    let document = |n: u64| up(n, facts(n as u32 / 10, n as i64, 1));
    (11..15).chain(21..25).map(document).collect()
}

#[test]
fn a_mixture_takes_effect_in_its_own_epoch_without_any_document() {
    let steps = [
        step(two_groups(), &[]),
        step(vec![], &[&[(1, 1)]]),
        step(vec![], &[]),
        step(vec![], &[&[(1, 500_000_000), (2, 500_000_000)]]),
        step(vec![], &[&[(2, 9)]]),
        step(vec![], &[&[]]),
    ];
    let expected: [&[i64]; 6] = [
        &[],
        &[11, 12, 13, 14],
        &[11, 12, 13, 14],
        &[11, 12, 21, 22],
        &[21, 22, 23, 24],
        &[],
    ];
    assert_eq!(kept(&mixed(Budget::Mass(4)), &steps, 0), expected);
}

#[test]
fn of_the_sets_of_an_epoch_the_last_one_holds() {
    let steps = [step(
        two_groups(),
        &[&[(1, 1)], &[(1, 7), (2, 0)], &[(2, 1)]],
    )];
    assert_eq!(kept(&mixed(Budget::Mass(2)), &steps, 0), [[21, 22]]);
}

#[test]
fn a_share_is_one_of_all_documents_and_what_a_group_lacks_goes_to_the_others() {
    let mut documents = two_groups();
    // Without weight they are part of the whole, and nothing else.
    documents.extend((31..35).map(|n| up(n, facts(3, n as i64, 1))));
    let half = Budget::Share(Rate::from_ppm(500_000).unwrap());
    let steps = [
        step(documents, &[&[(1, 900), (2, 100), (9, 5_000)]]),
        step(vec![down(31), down(32)], &[]),
    ];
    assert_eq!(
        kept(&mixed(half), &steps, 0),
        [vec![11, 12, 13, 14, 21, 22], vec![11, 12, 13, 14, 21]]
    );
}

#[test]
fn documents_of_no_mass_need_a_weight_but_no_budget() {
    let documents = vec![
        up(1, facts(1, 1, 0)),
        up(2, facts(1, 2, 5)),
        up(3, facts(2, 3, 0)),
        up(4, facts(2, 4, 0)),
    ];
    let steps = [
        step(documents, &[&[(1, 1)]]),
        step(vec![], &[&[(1, 0), (2, 1)]]),
    ];
    assert_eq!(
        kept(&mixed(Budget::Mass(0)), &steps, 0),
        [vec![1], vec![3, 4]]
    );
}

#[test]
fn the_prefix_ends_at_the_first_document_that_does_not_fit() {
    let documents = vec![
        up(1, facts(1, 1, 3)),
        up(2, facts(1, 2, 3)),
        up(3, facts(1, 3, 1)),
        up(4, facts(2, 4, 2)),
        up(5, facts(2, 5, 3)),
    ];
    // Five for each: the second document would make six, and the third one is behind it.
    let steps = [step(documents, &[&[(1, 1), (2, 1)]])];
    assert_eq!(kept(&mixed(Budget::Mass(10)), &steps, 0), [[1, 4, 5]]);
}

#[test]
fn the_largest_masses_weights_and_budgets_do_not_overflow() {
    let document = |n: u64| up(n, facts(n as u32 % 3, n as i64, u32::MAX));
    let all = [(0, u32::MAX), (1, u32::MAX), (2, u32::MAX)];
    let steps = [step((0..300).map(document).collect(), &[&all])];
    let all = kept(&mixed(Budget::Mass(u64::MAX)), &steps, 0);
    assert_eq!(all[0].len(), 300);
    let third = kept(&mixed(Budget::Mass(100 * u64::from(u32::MAX))), &steps, 0);
    assert_eq!(third, [(0..99).collect::<Vec<i64>>()]);
}

#[test]
fn a_group_that_comes_or_goes_changes_the_strata_in_that_epoch() {
    let mut scenario = mixed(Budget::Share(Rate::ALL));
    scenario.budgets[1] = Budget::Mass(6);
    // The second stage's masses are 1, 2, 3 by position, so these all weigh 1.
    let one = |group: u32, n: u64| {
        let facts = Facts {
            position: 3 * n,
            ..facts(group, n as i64, 1)
        };
        up(n, facts)
    };
    let group = |group: u32| (0..6).map(move |n| one(group, u64::from(group) * 10 + n));
    let steps = [
        step(group(1).collect(), &[&[(1, 1), (2, 1), (3, 1)]]),
        step(group(2).collect(), &[]),
        step(group(3).collect(), &[]),
        step((10..16).map(down).collect(), &[]),
    ];
    let of_group = |keys: &Vec<i64>| {
        [1, 2, 3].map(|group| keys.iter().filter(|key| **key / 10 == group).count())
    };
    let kept: Vec<[usize; 3]> = kept(&scenario, &steps, 1).iter().map(of_group).collect();
    assert_eq!(kept, [[6, 0, 0], [3, 3, 0], [2, 2, 2], [0, 3, 3]]);
}

#[test]
fn weights_whose_stream_has_ended_stay_in_force() {
    let (sender, told) = mpsc::channel();
    timely::execute_directly(move |worker| {
        let (mut input, mut mixture) = (InputHandle::new(), InputHandle::new());
        let probe = worker.dataflow::<u64, _, _>(|scope| {
            let live = latest(input.to_stream(scope), Pipeline, |_, _| {});
            let stage = Stage::new(Budget::Mass(2), 0);
            let weights = mixture.to_stream(scope);
            let kept = select_by_mixture(live, weights, stage, by_key, |_, _| {}).kept;
            let told = move |change: &riffle_operators::Change<Facts>| {
                sender.send((change.diff, change.record.key)).unwrap();
            };
            kept.inspect(told).probe().0
        });
        mixture.send(Weights::new([(1, 1)]));
        mixture.close();
        for (epoch, key) in (1..).zip([3, 2, 1]) {
            input.send(up(key as u64, facts(1, key, 1)));
            input.advance_to(epoch);
            worker.step_while(|| probe.less_than(&epoch));
        }
    });
    let told: Vec<(i32, i64)> = told.iter().collect();
    assert_eq!(told[..2], [(1, 3), (1, 2)]);
    assert!(told[2..] == [(-1, 3), (1, 1)] || told[2..] == [(1, 1), (-1, 3)]);
}
