//! The same selection written with differential's `reduce`, which looks at whole groups.

use std::sync::{Arc, Mutex};

use differential_dataflow::VecCollection;
use differential_dataflow::input::Input;
use proptest::prelude::*;
use riffle_operators::{DocumentHash, Quota, View};

use crate::dataflow::run;
use crate::scenario::{Epoch, Facts, Live, Scenario, by_draw, by_key, cases, play, scenario};

type Document = (DocumentHash, Facts);
type Told = Vec<(Document, u64, isize)>;

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn differential_select_and_reduce_tell_the_same_changes(scenario in scenario()) {
        let epochs = scenario.epochs();
        let reduced = reduce(&scenario, &epochs);
        for (epoch, told) in (0..).zip(run(&scenario, &epochs, 0)) {
            for stage in 0..2 {
                let changes = told.changes[stage].iter();
                let mut selected: Told =
                    changes.map(|c| ((c.id, c.record), epoch, c.diff as isize)).collect();
                selected.sort();
                let reduced = reduced[stage].iter().filter(|told| told.1 == epoch);
                prop_assert_eq!(selected, reduced.copied().collect::<Told>());
            }
        }
    }
}

/// The changes of each stage's kept documents, sorted.
fn reduce(scenario: &Scenario, epochs: &[Epoch]) -> [Told; 2] {
    let told: [Arc<Mutex<Told>>; 2] = Default::default();
    let [one, two] = told.clone();
    let (quotas, epochs) = (scenario.quotas, epochs.to_vec());
    timely::execute_directly(move |worker| {
        let mut input = worker.dataflow(|scope| {
            let (input, live) = scope.new_collection::<Document, isize>();
            let kept = note(band(live, quotas[0], by_key), one);
            note(band(kept, quotas[1], by_draw), two);
            input
        });
        let mut live = Live::new();
        for (epoch, next) in epochs.iter().zip(1..) {
            let before = live.clone();
            play(&mut live, epoch);
            before
                .into_iter()
                .for_each(|document| input.remove(document));
            live.iter()
                .for_each(|(id, facts)| input.insert((*id, *facts)));
            input.advance_to(next);
        }
    });
    told.map(|told| {
        let mut told = Arc::into_inner(told).unwrap().into_inner().unwrap();
        told.sort();
        told
    })
}

fn band<'scope>(
    documents: VecCollection<'scope, u64, Document, isize>,
    quota: Quota,
    view: fn(&Facts, DocumentHash) -> View,
) -> VecCollection<'scope, u64, Document, isize> {
    documents
        .map(move |(id, facts)| {
            let View { group, key, mass } = view(&facts, id);
            (group, (key, id, mass, facts))
        })
        .reduce(move |_, documents, kept| {
            let total = documents
                .iter()
                .map(|((_, _, mass, _), _)| i64::from(*mass))
                .sum();
            let [start, end] = quota.ends(total);
            let mut before = 0;
            for ((_, id, mass, facts), _) in documents {
                let after = before + i64::from(*mass);
                if before >= start && after <= end {
                    kept.push(((*id, *facts), 1));
                }
                before = after;
            }
        })
        .map(|(_, document)| document)
}

fn note<'scope>(
    kept: VecCollection<'scope, u64, Document, isize>,
    told: Arc<Mutex<Told>>,
) -> VecCollection<'scope, u64, Document, isize> {
    kept.consolidate()
        .inspect(move |change| told.lock().unwrap().push(*change))
}
