//! A restart replays the past, and the weights in force, as one epoch.

use proptest::prelude::*;

use crate::mixture::dataflow::run;
use crate::mixture::scenario::{Step, mixed};
use crate::restart::{kept, live_set, sorted};
use crate::scenario::{Epoch, cases};

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn a_restart_with_the_weights_in_force_tells_the_same_changes_from_then_on(
        mixed in mixed(),
        at in any::<prop::sample::Index>(),
        epoch_number in prop_oneof![Just(0), Just(1u64 << 40)],
        replays_live_set in any::<bool>(),
    ) {
        let steps = mixed.steps();
        let whole = run(&mixed, &steps, 0);
        let at = at.index(steps.len());
        let past: Vec<Epoch> = steps[..=at].iter().map(|step| step.upserts.clone()).collect();
        let in_force = steps[..=at].iter().flat_map(|step| &step.weights).last();
        let replay = Step {
            upserts: if replays_live_set { live_set(&past) } else { past.concat() },
            weights: in_force.cloned().into_iter().collect(),
        };
        let restarted = [&[replay], &steps[at + 1..]].concat();
        let told = run(&mixed, &restarted, epoch_number);
        prop_assert_eq!(kept(&told[..1]), kept(&whole[..=at]));
        for (again, before) in told[1..].iter().zip(&whole[at + 1..]) {
            for stage in 0..2 {
                prop_assert_eq!(sorted(again, stage), sorted(before, stage));
                let summaries = [again, before].map(|told| {
                    let mut summaries = told.summaries[stage].clone();
                    summaries.sort_by_key(|summary| summary.group);
                    summaries
                });
                prop_assert_eq!(&summaries[0], &summaries[1]);
            }
        }
    }
}
