//! Runs a history through `latest`, `select_by_mixture` and `select_stratified`, on some workers.

use std::sync::{Arc, Mutex};

use riffle_operators::select_stratified;
use riffle_operators::{Budget, Stage, Upsert, Weights, latest, select_by_mixture};
use timely::dataflow::InputHandleVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::{Input, Probe};
use timely::worker::Worker;

use crate::dataflow::{Source, Told, note, on_workers};
use crate::mixture::scenario::{Mixed, Step};
use crate::scenario::{Facts, Random, by_draw, by_key};

/// All that is told of each of `steps`, the first of which is the epoch `first`.
pub fn run(mixed: &Mixed, steps: &[Step], first: u64) -> Vec<Told> {
    let (of, steps_of) = (mixed.clone(), steps.to_vec());
    on_workers(mixed.documents.workers, steps.len(), move |worker, told| {
        feed(worker, &of, &steps_of, first, told);
    })
}

fn feed(
    worker: &mut Worker,
    mixed: &Mixed,
    steps: &[Step],
    first: u64,
    told: &Arc<Mutex<Vec<Told>>>,
) {
    let (index, peers) = (worker.index() as u64, worker.peers() as u64);
    let seed = mixed.documents.seed;
    let mut random = Random {
        seed: seed ^ (index + 1),
        drawn: 0,
    };
    let (mut input, mut mixture, probe) = build(worker, mixed, first, told);
    input.advance_to(first);
    mixture.advance_to(first);
    for (step, next) in steps.iter().zip(first + 1..) {
        let weigh = |mixture: &mut InputHandleVec<u64, Weights>| {
            // All weights come from one worker.
            for weights in step.weights.iter().filter(|_| seed % peers == index) {
                mixture.send(weights.clone());
            }
            mixture.advance_to(next);
        };
        let first_the_weights = random.below(2) == 0;
        if first_the_weights {
            weigh(&mut mixture);
        }
        let mine = |upsert: &&Upsert<Facts>| (upsert.id.halves()[1] >> 8) % peers == index;
        for upsert in step.upserts.iter().filter(mine) {
            input.send(*upsert);
            match random.below(200) {
                0 => input.flush(),
                1 => drop(worker.step()),
                _ => {}
            }
        }
        input.advance_to(next);
        if !first_the_weights {
            worker.step();
            weigh(&mut mixture);
        }
        // Often several epochs are under way at once.
        if random.below(2) == 0 {
            worker.step_or_park_while(None, || probe.less_than(&next));
        }
    }
    let end = first + steps.len() as u64;
    worker.step_or_park_while(None, || probe.less_than(&end));
}

fn build(
    worker: &mut Worker,
    mixed: &Mixed,
    first: u64,
    told: &Arc<Mutex<Vec<Told>>>,
) -> (Source, InputHandleVec<u64, Weights>, Handle<u64>) {
    let probe = Handle::new();
    let mut mixture = InputHandleVec::new();
    let [one, two] = mixed.budgets.map(|budget: Budget| Stage {
        guard: mixed.documents.guard,
        ..Stage::new(budget, first)
    });
    let input = worker.dataflow(|scope| {
        let (input, upserts) = scope.new_input::<Vec<Upsert<Facts>>>();
        let weights = mixture.to_stream(scope);
        let pact = Exchange::new(|upsert: &Upsert<Facts>| upsert.id.halves()[1] >> 3);
        let live = latest(upserts, pact, |_, _| {});
        let one = select_by_mixture(live, weights, one, by_key, |_, _| {});
        note(one.summaries, told, first, |told| &mut told.summaries[0]).probe_with(&probe);
        let kept = note(one.kept, told, first, |told| &mut told.changes[0]);
        let two = select_stratified(kept, two, by_draw, |_, _| {});
        note(two.summaries, told, first, |told| &mut told.summaries[1]).probe_with(&probe);
        note(two.kept, told, first, |told| &mut told.changes[1]).probe_with(&probe);
        input
    });
    (input, mixture, probe)
}
