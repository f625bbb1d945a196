//! Runs a history through `latest`, `select` and `select`, on some workers.

use std::sync::{Arc, Mutex, Once};

use riffle_operators::{Change, Stage, Summary, Upsert, in_full, latest, select, sum_by_group};
use timely::CommunicationConfig;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::{Input, Inspect, Probe};
use timely::dataflow::{InputHandle, StreamVec};
use timely::worker::Worker;

use crate::scenario::{Epoch, Facts, Random, Scenario, by_draw, by_key};

/// What came out of each stage in an epoch, in the order of each worker.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub changes: [Vec<Change<Facts>>; 2],
    pub summaries: [Vec<Summary>; 2],
    /// By how much the mass of a group changed: of the live documents, and of what stage one keeps.
    pub sums: [Vec<(u64, i64)>; 2],
}

/// All that is told of each of `epochs`, the first of which has the number `first`.
pub fn run(scenario: &Scenario, epochs: &[Epoch], first: u64) -> Vec<Told> {
    let (of, epochs_of) = (scenario.clone(), epochs.to_vec());
    on_workers(scenario.workers, epochs.len(), move |worker, told| {
        feed(worker, &of, &epochs_of, first, told);
    })
}

/// What all workers note of a number of epochs.
pub fn on_workers(
    workers: usize,
    epochs: usize,
    feed: impl Fn(&mut Worker, &Arc<Mutex<Vec<Told>>>) + Send + Sync + 'static,
) -> Vec<Told> {
    abort_on_a_worker_s_panic();
    let told: Arc<Mutex<Vec<Told>>> = Arc::new(Mutex::new(vec![Told::default(); epochs]));
    let mut config = timely::Config::process(workers);
    if workers == 3 {
        // Three workers talk in bytes, as processes do.
        config.communication = CommunicationConfig::ProcessBinary(3);
    }
    let output = Arc::clone(&told);
    let guards = timely::execute(config, move |worker| feed(worker, &output));
    guards
        .unwrap()
        .join()
        .into_iter()
        .for_each(|worker| worker.unwrap());
    Arc::into_inner(told).unwrap().into_inner().unwrap()
}

fn feed(
    worker: &mut Worker,
    scenario: &Scenario,
    epochs: &[Epoch],
    first: u64,
    told: &Arc<Mutex<Vec<Told>>>,
) {
    let (index, peers) = (worker.index() as u64, worker.peers() as u64);
    let mut random = Random {
        seed: scenario.seed ^ (index + 1),
        drawn: 0,
    };
    let (mut input, probe) = build(worker, scenario, first, told);
    input.advance_to(first);
    for (epoch, next) in epochs.iter().zip(first + 1..) {
        // All of one document go through one source, in order.
        for upsert in epoch
            .iter()
            .filter(|u| (u.id.halves()[1] >> 8) % peers == index)
        {
            input.send(*upsert);
            match random.below(200) {
                0 => input.flush(),
                1 => drop(worker.step()),
                _ => {}
            }
        }
        input.advance_to(next);
        // Often several epochs are under way at once.
        if random.below(2) == 0 {
            worker.step_or_park_while(None, || probe.less_than(&next));
        }
    }
    // The input closes only when the last epoch is complete.
    let end = first + epochs.len() as u64;
    worker.step_or_park_while(None, || probe.less_than(&end));
}

fn build(
    worker: &mut Worker,
    scenario: &Scenario,
    first: u64,
    told: &Arc<Mutex<Vec<Told>>>,
) -> (Source, Handle<u64>) {
    let probe = Handle::new();
    let [one, two] = scenario.quotas.map(|quota| Stage {
        guard: scenario.guard,
        ..Stage::new(quota, first)
    });
    let input = worker.dataflow(|scope| {
        let (input, upserts) = scope.new_input::<Vec<Upsert<Facts>>>();
        // By the second half, so that documents with equal first halves meet across workers.
        let pact = Exchange::new(|upsert: &Upsert<Facts>| upsert.id.halves()[1] >> 3);
        let live = latest(upserts, pact, |_, _| {});
        let mass_of = |facts: &Facts| (u64::from(facts.group), i64::from(facts.mass));
        let sums = sum_by_group(in_full(live.clone(), |facts| *facts), mass_of);
        note(sums, told, first, |told| &mut told.sums[0]).probe_with(&probe);
        let one = select(live, one, by_key, |_, _| {});
        note(one.summaries, told, first, |told| &mut told.summaries[0]).probe_with(&probe);
        let kept = note(one.kept, told, first, |told| &mut told.changes[0]);
        let sums = sum_by_group(kept.clone(), mass_of);
        note(sums, told, first, |told| &mut told.sums[1]).probe_with(&probe);
        let two = select(kept, two, by_draw, |_, _| {});
        note(two.summaries, told, first, |told| &mut told.summaries[1]).probe_with(&probe);
        note(two.kept, told, first, |told| &mut told.changes[1]).probe_with(&probe);
        input
    });
    (input, probe)
}

pub type Source = InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<Upsert<Facts>>>>;

/// Notes what comes at each epoch's place.
pub fn note<'scope, T: Clone + 'static>(
    stream: StreamVec<'scope, u64, T>,
    told: &Arc<Mutex<Vec<Told>>>,
    first: u64,
    place: fn(&mut Told) -> &mut Vec<T>,
) -> StreamVec<'scope, u64, T> {
    let told = Arc::clone(told);
    stream.inspect_core(move |event| {
        if let Ok((stamp, data)) = event {
            let epoch = *stamp.iter().next().unwrap();
            let told = &mut told.lock().unwrap()[(epoch - first) as usize];
            place(told).extend_from_slice(data);
        }
    })
}

/// A worker that panics would leave the others waiting for it.
fn abort_on_a_worker_s_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            hook(info);
            if std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("timely"))
            {
                std::process::abort();
            }
        }));
    });
}
