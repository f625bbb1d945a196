//! A restart replays the past as one epoch and goes on as if nothing had happened.

use proptest::prelude::*;
use riffle_operators::{DocumentHash, Upsert};

use crate::dataflow::{Told, run};
use crate::oracle::apply;
use crate::scenario::{Epoch, Facts, Live, cases, play, scenario};

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn a_restart_tells_the_same_changes_from_then_on(
        scenario in scenario(),
        at in any::<prop::sample::Index>(),
        epoch_number in prop_oneof![Just(0), Just(1u64 << 40)],
        replays_live_set in any::<bool>(),
    ) {
        let epochs = scenario.epochs();
        let whole = run(&scenario, &epochs, 0);
        let at = at.index(epochs.len());
        let past = if replays_live_set { live_set(&epochs[..=at]) } else { epochs[..=at].concat() };
        let restarted = [&[past], &epochs[at + 1..]].concat();
        let told = run(&scenario, &restarted, epoch_number);
        prop_assert_eq!(kept(&told[..1]), kept(&whole[..=at]));
        for (again, before) in told[1..].iter().zip(&whole[at + 1..]) {
            for stage in 0..2 {
                prop_assert_eq!(sorted(again, stage), sorted(before, stage));
            }
        }
    }
}

pub fn live_set(epochs: &[Epoch]) -> Epoch {
    let mut live = Live::new();
    epochs.iter().for_each(|epoch| play(&mut live, epoch));
    live.into_iter()
        .map(|(id, facts)| Upsert {
            id,
            record: Some(facts),
        })
        .collect()
}

pub fn kept(told: &[Told]) -> [Live; 2] {
    [0, 1].map(|stage| {
        let mut kept = Live::new();
        told.iter()
            .for_each(|told| apply(&mut kept, &told.changes[stage]));
        kept
    })
}

/// An epoch's changes without their slots and in an order of their own.
pub fn sorted(told: &Told, stage: usize) -> Vec<(DocumentHash, i32, Facts)> {
    let changes = told.changes[stage].iter();
    let mut changes: Vec<_> = changes.map(|c| (c.id, c.diff, c.record)).collect();
    changes.sort();
    changes
}
