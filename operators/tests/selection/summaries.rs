//! Every summary says what a sort would say, and the last one of a group is its state.

use std::collections::BTreeMap;

use proptest::prelude::*;
use riffle_operators::{Amount, Summary};

use crate::dataflow::run;
use crate::oracle::select;
use crate::scenario::{Live, by_draw, by_key, cases, play, scenario};

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn oracle_summaries_are_those_of_a_sort(scenario in scenario()) {
        let epochs = scenario.epochs();
        let mut live = Live::new();
        let mut last: [BTreeMap<u64, Summary>; 2] = Default::default();
        for (epoch, told) in epochs.iter().zip(run(&scenario, &epochs, 0)) {
            play(&mut live, epoch);
            let one = select(&live, scenario.quotas[0], by_key);
            let two = select(&one.kept, scenario.quotas[1], by_draw);
            for (stage, expected) in [one.summaries, two.summaries].into_iter().enumerate() {
                let last = &mut last[stage];
                for summary in &told.summaries[stage] {
                    last.insert(summary.group, *summary);
                }
                prop_assert!(expected.keys().all(|group| last.contains_key(group)));
                for (group, summary) in last {
                    let expected = expected.get(group).copied().unwrap_or(empty(*group));
                    prop_assert_eq!(*summary, expected);
                }
            }
        }
    }
}

/// The summary of a group without documents.
pub fn empty(group: u64) -> Summary {
    Summary {
        group,
        live: Amount::default(),
        quota: 0,
        kept: Amount::default(),
        low: None,
        high: None,
    }
}
