//! After every epoch, what is kept equals the definition: count, sum, multiply, sort.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use riffle_operators::density::{Drawn, LEVEL_FRACTION_BITS, Over, Sampling, Summary, exponential};
use riffle_operators::{Band, Change, DocumentHash, Place, Quota, Rate};

use crate::dataflow::run;
use crate::scenario::{Coded, Epoch, Facts, Live, Scenario, cases, play, scenario};
use crate::statistics::{down, stage, up};

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn oracle_after_every_epoch_the_kept_set_is_that_of_a_batch_job(scenario in scenario()) {
        check(&scenario, &scenario.epochs());
    }
}

/// More documents than two shards hold, most of which are taken down again or replaced.
#[test]
fn oracle_many_shards_that_fill_and_empty_are_exact_too() {
    let scenario = many_shards();
    check(&scenario, &scenario.epochs());
}

/// Their changes of level come from two counters, each with its own rows.
#[test]
fn oracle_many_shards_of_two_workers_are_exact_too() {
    let scenario = Scenario {
        workers: 2,
        rows: 8,
        sizes: [vec![125_000], vec![4_000; 8]].concat(),
        population: 1 << 40,
        takedowns_percent: 5,
        ..many_shards()
    };
    check(&scenario, &scenario.epochs());
}

fn many_shards() -> Scenario {
    Scenario {
        workers: 1,
        rows: 3,
        cells: 500,
        epsilon_ppm: 1_000_000,
        phases: 16,
        rate_ppm: 400_000,
        over: Over::Live,
        before: Quota {
            band: Band::Low,
            rate: Rate::from_ppm(800_000).unwrap(),
        },
        sizes: [
            vec![300_000],
            vec![2_000; 3],
            vec![100_000; 6],
            vec![500; 10],
        ]
        .concat(),
        population: 250_000,
        topics: 300,
        takedowns_percent: 35,
        seed: 5,
        silent: false,
    }
}

/// The densities of all grow tenfold, and fall again, so the cut passes both ends of its guard.
#[test]
fn oracle_a_cut_that_leaves_its_guard_upwards_and_downwards_is_found_again() {
    let mut scenario = stage(3, 1_000_000, 400_000);
    (
        scenario.workers,
        scenario.cells,
        scenario.phases,
        scenario.topics,
    ) = (2, 50, 16, 20);
    let mut ends = vec![3_000, 4_000, 6_000, 10_000, 20_000, 30_000];
    ends.extend([20_000, 12_000, 7_000, 4_000, 2_000, 500, 60, 0, 2_000]);
    let mut live = 0;
    let mut epochs = Vec::new();
    for end in ends {
        let come = (live..end).map(|n| up(n, scenario.codes(n)));
        epochs.push(come.chain((end..live).map(down)).collect());
        live = end;
    }
    check(&scenario, &epochs);
}

/// Compares with a batch job after every epoch.
fn check(scenario: &Scenario, epochs: &[Epoch]) {
    let mut live = Live::new();
    let mut kept = Kept::new();
    for (epoch, told) in epochs.iter().zip(run(scenario, epochs, 0)) {
        play(&mut live, epoch);
        let batch = sample(&live, scenario.before, &scenario.sampling(0));
        apply(&mut kept, &told.changes, &batch.densities);
        let facts: BTreeMap<_, _> = kept.iter().map(|(id, drawn)| (*id, drawn.record)).collect();
        assert!(
            facts == batch.kept,
            "{} are kept, not {}",
            kept.len(),
            batch.kept.len()
        );
        assert_eq!(told.parts, scenario.workers);
        let touches = told.summary.touches;
        assert_eq!(
            told.summary,
            Summary {
                touches,
                ..batch.summary
            }
        );
    }
}

pub type Kept = BTreeMap<DocumentHash, Drawn<Facts>>;

/// What the stage should give.
pub struct Batch {
    pub kept: BTreeMap<DocumentHash, Facts>,
    densities: HashMap<DocumentHash, f32>,
    summary: Summary,
}

/// The definition.
pub fn sample(live: &Live, before: Quota, sampling: &Sampling) -> Batch {
    let survivors = survivors(live, before);
    let counted = |id: &DocumentHash| sampling.over == Over::Live || survivors.contains_key(id);
    let mut counts: HashMap<(u16, u16), u32> = HashMap::new();
    let sketched: Vec<(&DocumentHash, &Coded)> = live.iter().filter(|d| counted(d.0)).collect();
    for (_, coded) in &sketched {
        for (row, &cell) in (0..).zip(&coded.codes) {
            *counts.entry((row, cell)).or_default() += 1;
        }
    }
    let levels = sampling.sketch.levels();
    let sum = |coded: &Coded| -> u64 {
        let value = |(row, &cell)| levels.value(row, cell, counts[&(row, cell)]);
        (0..).zip(&coded.codes).map(value).sum()
    };
    let mut summary = Summary {
        counted: sketched.len() as u64,
        survivors: survivors.len() as u64,
        effective_cells_milli: effective_cells(sampling, &counts, sketched.len()),
        sketch_bytes: u64::from(sampling.sketch.rows()) * u64::from(sampling.sketch.cells()) * 5,
        ..Summary::default()
    };
    let unit = u64::from(sampling.sketch.rows()) << LEVEL_FRACTION_BITS;
    let (mut order, mut densities) = (Vec::new(), HashMap::new());
    for (id, coded) in sketched {
        let sum = sum(coded);
        let bucket = (sum as f64 / unit as f64).log2().floor().max(0.0) as usize;
        summary
            .histogram
            .resize(summary.histogram.len().max(bucket + 1), 0);
        summary.histogram[bucket] += 1;
        if let Some(facts) = survivors.get(id) {
            let variate = exponential(sampling.seed, sampling.purpose, *id);
            let product = u128::from(variate) * u128::from(sum);
            let key = product.min(i64::MAX as u128 - 1) as i64;
            order.push((Place { key, id: *id }, *facts));
            densities.insert(*id, (sum as f64 / unit as f64) as f32);
        }
    }
    order.sort_unstable();
    let share = order.len() as u64 * u64::from(sampling.rate.ppm()) / 1_000_000;
    summary.kept = share;
    summary.cut = order.get(share as usize).map(|document| document.0);
    let kept = order
        .iter()
        .take(share as usize)
        .map(|(place, facts)| (place.id, *facts));
    Batch {
        kept: kept.collect(),
        densities,
        summary,
    }
}

/// What the stage before keeps.
fn survivors(live: &Live, quota: Quota) -> BTreeMap<DocumentHash, Facts> {
    let mut order: Vec<_> = live
        .iter()
        .map(|(id, coded)| (coded.facts.loss, *id, coded))
        .collect();
    order.sort_unstable_by_key(|(loss, id, _)| (*loss, *id));
    let [from, to] = quota.ends(order.len() as i64);
    let band = order[from as usize..to as usize].iter();
    band.map(|(_, id, coded)| (*id, coded.facts)).collect()
}

fn effective_cells(sampling: &Sampling, counts: &HashMap<(u16, u16), u32>, total: usize) -> u64 {
    let mut squares = vec![0u128; usize::from(sampling.sketch.rows())];
    for ((row, _), count) in counts {
        squares[usize::from(*row)] += u128::from(*count) * u128::from(*count);
    }
    let square = (total as u128).pow(2) * 1000;
    squares
        .iter()
        .map(|squares| square.checked_div(*squares).unwrap_or(0) as u64)
        .sum()
}

/// Applies an epoch's changes to a kept set; each of them must make sense, and tell the density.
pub fn apply(
    kept: &mut Kept,
    changes: &[Change<Drawn<Facts>>],
    densities: &HashMap<DocumentHash, f32>,
) {
    let mut removed = BTreeMap::new();
    for change in changes {
        if change.diff < 0 {
            assert_eq!(
                kept.remove(&change.id),
                Some(change.record),
                "removes what was added"
            );
            removed.insert(change.id, change.record.record);
        } else {
            let before = removed.get(&change.id);
            assert_ne!(before, Some(&change.record.record), "no change is told");
            assert_eq!(
                kept.insert(change.id, change.record),
                None,
                "adds what is not there"
            );
            assert_eq!(densities[&change.id], change.record.density);
        }
    }
}
