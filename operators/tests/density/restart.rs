//! A restart replays the past as one epoch and goes on as if nothing had happened.

use std::collections::BTreeMap;

use proptest::prelude::*;
use riffle_operators::{DocumentHash, Upsert};

use crate::dataflow::{Told, run};
use crate::scenario::{Epoch, Facts, Live, cases, play, scenario};

proptest! {
    #![proptest_config(cases(50))]

    #[test]
    fn a_restart_on_other_workers_tells_the_same_changes_from_then_on(
        scenario in scenario(),
        at in any::<prop::sample::Index>(),
        epoch_number in prop_oneof![Just(0), Just(1u64 << 40)],
        replays_live_set in any::<bool>(),
        workers in 1..=3usize,
        silent in any::<bool>(),
    ) {
        let epochs = scenario.epochs();
        let whole = run(&scenario, &epochs, 0);
        let at = at.index(epochs.len());
        let past = if replays_live_set { live_set(&epochs[..=at]) } else { epochs[..=at].concat() };
        let restarted = [&[past], &epochs[at + 1..]].concat();
        let mut elsewhere = scenario.clone();
        (elsewhere.workers, elsewhere.silent) = (workers, silent);
        let told = run(&elsewhere, &restarted, epoch_number);
        let kept_before = kept(&whole[..=at]);
        prop_assert_eq!(told[0].summary.kept, kept_before.len() as u64);
        if silent {
            prop_assert!(told[0].changes.is_empty());
        } else {
            prop_assert_eq!(kept(&told[..1]), kept_before);
        }
        for (again, before) in told[1..].iter().zip(&whole[at + 1..]) {
            prop_assert_eq!(sorted(again), sorted(before));
        }
    }
}

fn live_set(epochs: &[Epoch]) -> Epoch {
    let mut live = Live::new();
    epochs.iter().for_each(|epoch| play(&mut live, epoch));
    let upsert = |(id, record)| Upsert {
        id,
        record: Some(record),
    };
    live.into_iter().map(upsert).collect()
}

fn kept(told: &[Told]) -> BTreeMap<DocumentHash, Facts> {
    let mut kept = BTreeMap::new();
    for change in told.iter().flat_map(|told| &told.changes) {
        match change.diff {
            1 => kept.insert(change.id, change.record.record),
            _ => kept.remove(&change.id),
        };
    }
    kept
}

/// An epoch's changes without slots and order, and without the densities of earlier admissions.
fn sorted(told: &Told) -> Vec<(DocumentHash, i32, Facts)> {
    let changes = told.changes.iter();
    let mut changes: Vec<_> = changes.map(|c| (c.id, c.diff, c.record.record)).collect();
    changes.sort();
    changes
}
