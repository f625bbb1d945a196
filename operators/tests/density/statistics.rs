//! The draw is one without replacement with p ∝ 1/density: inclusion frequencies over many draws.

use riffle_operators::density::Over;
use riffle_operators::{Band, Quota, Rate, Upsert};

use crate::dataflow::run;
use crate::scenario::{Coded, Epoch, Facts, Scenario, id};

/// A scenario of which only the sketch and the rate count.
pub fn stage(rows: u16, epsilon_ppm: u32, rate_ppm: u32) -> Scenario {
    Scenario {
        workers: 1,
        rows,
        cells: 1 << 16,
        epsilon_ppm,
        phases: 1,
        rate_ppm,
        over: Over::Live,
        before: Quota {
            band: Band::Low,
            rate: Rate::ALL,
        },
        sizes: Vec::new(),
        population: 0,
        topics: 1,
        takedowns_percent: 0,
        seed: 20,
        silent: false,
    }
}

/// A document whose loss is its number, and so tells it from others.
pub fn up(number: u64, codes: Vec<u16>) -> Upsert<Coded> {
    let facts = Facts {
        version: 0,
        loss: number as i64,
    };
    Upsert {
        id: id(number),
        record: Some(Coded { facts, codes }),
    }
}

pub fn down(number: u64) -> Upsert<Coded> {
    Upsert {
        id: id(number),
        record: None,
    }
}

/// Eight documents in cells of 1, 2, 4 and 1 of them: the levels of ε = 1 are exact.
const CODES: [u16; 8] = [0, 1, 1, 2, 2, 2, 2, 3];
const DENSITIES: [f64; 8] = [1.0, 2.0, 2.0, 4.0, 4.0, 4.0, 4.0, 1.0];

/// In every epoch all documents are replaced by others like them, which draw anew.
#[test]
fn oracle_small_sets_are_drawn_as_often_as_enumerating_all_draws_says() {
    const DRAWS: u64 = 6_000;
    let epoch = |round: u64| -> Epoch {
        let gone = (0..8)
            .filter(|_| round > 0)
            .map(|n| down(round * 8 - 8 + n));
        gone.chain((0..8).map(|n| up(round * 8 + n, vec![CODES[n as usize]])))
            .collect()
    };
    let epochs: Vec<Epoch> = (0..DRAWS).map(epoch).collect();
    for drawn in 1..8 {
        let mut included = [0.0; 8];
        for told in run(&stage(1, 1_000_000, drawn * 125_000), &epochs, 0) {
            for change in told.changes.iter().filter(|change| change.diff > 0) {
                included[change.record.record.loss as usize % 8] += 1.0;
            }
        }
        let mut expected = [0.0; 8];
        enumerate(drawn, 0, 1.0, &mut expected);
        for (included, expected) in included.into_iter().zip(expected) {
            let deviation = (expected * (1.0 - expected) / DRAWS as f64).sqrt();
            let error = included / DRAWS as f64 - expected;
            assert!(
                error.abs() < 4.5 * deviation,
                "{drawn}: {error} of {expected}"
            );
        }
    }
}

/// Adds the probability of every sequence of draws to each document that is in it.
fn enumerate(left: u32, taken: u8, probability: f64, included: &mut [f64; 8]) {
    let open = || (0..8).filter(move |n| taken >> n & 1 == 0);
    if left == 0 {
        let drawn = (0..8).filter(|n| taken >> n & 1 == 1);
        drawn.for_each(|n| included[n] += probability);
        return;
    }
    let total: f64 = open().map(|n| 1.0 / DENSITIES[n]).sum();
    for n in open() {
        let share = 1.0 / DENSITIES[n] / total;
        enumerate(left - 1, taken | 1 << n, probability * share, included);
    }
}
