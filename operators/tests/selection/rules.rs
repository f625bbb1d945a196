//! The rules that are easiest to get wrong, each said once and plainly.

use std::sync::mpsc;

use riffle_operators::{Band, Quota, Rate, Stage, Upsert, latest, select};
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Inspect;

use crate::dataflow::run;
use crate::oracle::apply;
use crate::scenario::{Epoch, Facts, Live, Scenario, by_key, id};

/// A first stage that keeps this, and a second one that keeps all of it.
fn stage(band: Band, ppm: u32) -> Scenario {
    let quota = Quota {
        band,
        rate: Rate::from_ppm(ppm).unwrap(),
    };
    let plain = Scenario::plain();
    Scenario {
        quotas: [quota, plain.quotas[1]],
        ..plain
    }
}

fn facts(key: i64, mass: u32) -> Facts {
    Facts {
        position: key as u64,
        key,
        mass,
        group: 0,
    }
}

pub fn up(n: u64, facts: Facts) -> Upsert<Facts> {
    Upsert {
        id: id(n),
        record: Some(facts),
    }
}

pub fn down(n: u64) -> Upsert<Facts> {
    Upsert {
        id: id(n),
        record: None,
    }
}

/// The keys kept after each epoch, ascending.
fn kept(scenario: &Scenario, epochs: &[Epoch]) -> Vec<Vec<i64>> {
    let mut kept = Live::new();
    let told = run(scenario, epochs, 0);
    let keys = told.iter().map(|told| {
        apply(&mut kept, &told.changes[0]);
        let mut keys: Vec<i64> = kept.values().map(|facts| facts.key).collect();
        keys.sort();
        keys
    });
    keys.collect()
}

#[test]
fn half_of_an_odd_number_is_rounded_down() {
    let seven: Epoch = (0..7).map(|n| up(n, facts(n as i64, 1))).collect();
    for (band, expected) in [
        (Band::Low, [0, 1, 2]),
        (Band::Medium, [2, 3, 4]),
        (Band::High, [4, 5, 6]),
    ] {
        assert_eq!(
            kept(&stage(band, 500_000), std::slice::from_ref(&seven)),
            [expected]
        );
    }
}

#[test]
fn everything_nothing_and_a_single_document() {
    let one = [
        vec![up(1, facts(5, 3))],
        vec![down(1)],
        vec![up(1, facts(6, 3))],
    ];
    for band in [Band::Low, Band::Medium, Band::High] {
        assert_eq!(
            kept(&stage(band, 1_000_000), &one),
            [vec![5], vec![], vec![6]]
        );
        assert_eq!(kept(&stage(band, 999_999), &one), [[0; 0]; 3]);
        assert_eq!(kept(&stage(band, 0), &one), [[0; 0]; 3]);
    }
}

#[test]
fn a_document_heavier_than_the_band_is_never_kept() {
    let epoch = vec![
        up(1, facts(1, 2)),
        up(2, facts(2, 1000)),
        up(3, facts(3, 2)),
    ];
    // Half of 1,004 is 502: 0 to 502, 251 to 753 and 502 to 1,004.
    assert_eq!(
        kept(&stage(Band::Low, 500_000), std::slice::from_ref(&epoch)),
        [[1]]
    );
    assert_eq!(
        kept(&stage(Band::Medium, 500_000), std::slice::from_ref(&epoch)),
        [[0; 0]]
    );
    assert_eq!(kept(&stage(Band::High, 500_000), &[epoch]), [[3]]);
}

#[test]
fn the_largest_masses_and_keys_do_not_overflow() {
    let keys = [i64::MIN, -1, 0, i64::MAX];
    let epoch: Epoch = (0..)
        .zip(keys)
        .map(|(n, key)| up(n, facts(key, u32::MAX)))
        .collect();
    for (band, expected) in [
        (Band::Low, [i64::MIN, -1]),
        (Band::Medium, [-1, 0]),
        (Band::High, [0, i64::MAX]),
    ] {
        assert_eq!(
            kept(&stage(band, 500_000), std::slice::from_ref(&epoch)),
            [expected]
        );
    }
}

#[test]
fn the_last_upsert_of_an_epoch_wins_and_only_the_difference_is_told() {
    let scenario = stage(Band::Low, 1_000_000);
    let epochs = [
        vec![
            up(1, facts(1, 1)),
            down(1),
            up(1, facts(2, 1)),
            up(2, facts(9, 1)),
            down(2),
        ],
        vec![up(1, facts(3, 1)), down(1), down(1), up(1, facts(2, 1))],
        vec![up(1, facts(4, 1))],
        vec![down(1), down(3)],
    ];
    let told = run(&scenario, &epochs, 0);
    let keys: Vec<Vec<(i32, i64)>> = told
        .iter()
        .map(|told| {
            told.changes[0]
                .iter()
                .map(|c| (c.diff, c.record.key))
                .collect()
        })
        .collect();
    assert_eq!(
        keys,
        [vec![(1, 2)], vec![], vec![(-1, 2), (1, 4)], vec![(-1, 4)]]
    );
}

#[test]
fn a_worker_alone_finishes_the_epoch_in_which_its_input_ends() {
    let (sender, told) = mpsc::channel();
    timely::execute_directly(move |worker| {
        let usages = sender.clone();
        let stage = Stage::new(stage(Band::High, 500_000).quotas[0], 3);
        let mut input = InputHandle::new();
        worker.dataflow::<u64, _, _>(|scope| {
            let live = latest(input.to_stream(scope), Pipeline, |_, _| {});
            let report = move |epoch, usage: &dyn riffle_operators::Usage| {
                assert!(usage.bytes() > usage.live());
                usages.send((epoch, usage.live() as i64)).unwrap();
            };
            let kept = select(live, stage, by_key, report).kept;
            kept.inspect(move |change| sender.send((3, change.record.key)).unwrap());
        });
        input.advance_to(3);
        input.send(up(1, facts(10, 1)));
        input.send(up(2, facts(20, 1)));
    });
    let mut told: Vec<(u64, i64)> = told.iter().collect();
    told.sort();
    assert_eq!(
        told,
        [(3, 2), (3, 20)],
        "two are live, and the higher one is kept"
    );
}
