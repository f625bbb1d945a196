//! Copies planted in a stream are thinned, and come back when the others are taken down.

use crate::dataflow::{Told, run};
use crate::scenario::Epoch;
use crate::statistics::{down, stage, up};

/// Documents that are like no other, and how many copies there are of three more.
const SINGLE: u64 = 2_000;
const COPIES: [u64; 3] = [10, 100, 1_000];
const ALL: u64 = SINGLE + COPIES[0] + COPIES[1] + COPIES[2];
const ROUNDS: u64 = 60;

/// Which page a document has: a number for each single one, and for each group of copies.
fn page(n: u64) -> u64 {
    let groups = [SINGLE, SINGLE + COPIES[0], SINGLE + COPIES[0] + COPIES[1]];
    let group = groups.iter().filter(|start| n >= **start).count() as u64;
    if group == 0 { n } else { SINGLE + group - 1 }
}

/// Each round brings all pages anew, takes down all copies but one of each, and then everything.
fn rounds() -> Vec<Epoch> {
    let document = |round: u64, n| round * ALL + n;
    let round = |round: u64| {
        let codes = |n| vec![page(n) as u16; 4];
        let come = (0..ALL).map(|n| up(document(round, n), codes(n))).collect();
        let copy = |n: &u64| *n > SINGLE && page(*n) == page(n - 1);
        let thin = (0..ALL)
            .filter(copy)
            .map(|n| down(document(round, n)))
            .collect();
        let gone = (0..ALL).map(|n| down(document(round, n))).collect();
        [come, thin, gone]
    };
    (0..ROUNDS).flat_map(round).collect()
}

/// How many documents of a group of copies, or of the single ones, are kept after an epoch of each
/// round, together over all rounds.
fn kept(told: &[Told], after: usize) -> [f64; 4] {
    let mut kept = [0.0; 4];
    for changes in told.chunks(3).flat_map(|round| &round[..=after]) {
        for change in &changes.changes {
            let n = change.record.record.loss as u64 % ALL;
            let group = page(n)
                .checked_sub(SINGLE)
                .map_or(3, |group| group as usize);
            kept[group] += f64::from(change.diff);
        }
    }
    kept
}

/// With E(x)·s(x) < t, a document of density s is kept with probability 1 − exp(−t/s): the t for
/// which that makes `share` of all.
fn probability(groups: &[(f64, f64)], share: f64) -> impl Fn(f64) -> f64 {
    let kept = |t: f64| {
        groups
            .iter()
            .map(|(n, s)| n * -(-t / s).exp_m1())
            .sum::<f64>()
    };
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if kept(middle) < share {
            low = middle
        } else {
            high = middle
        }
    }
    move |density: f64| -(-low / density).exp_m1()
}

#[test]
fn copies_are_thinned_and_come_back_when_the_others_are_taken_down() {
    // The levels of 10, 100 and 1,000 at ε = 1.
    let groups = [(10.0, 8.0), (100.0, 64.0), (1_000.0, 512.0), (2_000.0, 1.0)];
    let told = run(&stage(4, 1_000_000, 500_000), &rounds(), 0);
    let rounds = ROUNDS as f64;

    let thinned = kept(&told, 0);
    let expect = probability(&groups, (ALL / 2) as f64);
    for ((documents, density), kept) in groups.into_iter().zip(thinned) {
        let share = expect(density);
        let expected = rounds * documents * share;
        let deviation = (expected * (1.0 - share)).sqrt();
        assert!(
            (kept - expected).abs() < 4.5 * deviation,
            "{documents}: {kept}, not {expected}"
        );
    }
    // Of a thousand copies about three are left.
    assert!(thinned[2] / rounds < 4.0, "{thinned:?}");

    // The last copy of each is a page like any other: half are kept.
    for kept in &kept(&told, 1)[..3] {
        let deviation = (rounds / 4.0).sqrt();
        assert!(
            (kept - rounds / 2.0).abs() < 4.5 * deviation,
            "{kept} of {rounds}"
        );
    }
    assert_eq!(kept(&told, 2), [0.0; 4]);
}
