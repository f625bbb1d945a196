//! Runs a history through `latest`, `select` and `sample_by_density`, on some workers.

use std::sync::{Arc, Mutex, Once};

use riffle_operators::density::{Drawn, Summary};
use riffle_operators::{Change, Stage, Upsert, View, latest, sample_by_density, select};
use timely::CommunicationConfig;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Input, Inspect, Probe};
use timely::dataflow::{InputHandle, StreamVec};
use timely::worker::Worker;

use crate::scenario::{Coded, Epoch, Facts, Random, Scenario};

/// What came out in an epoch, in the order of each worker.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub changes: Vec<Change<Drawn<Facts>>>,
    pub summary: Summary,
    pub parts: usize,
}

/// All that is told of each of `epochs`, the first of which has the number `first`.
pub fn run(scenario: &Scenario, epochs: &[Epoch], first: u64) -> Vec<Told> {
    abort_on_a_worker_s_panic();
    let told: Arc<Mutex<Vec<Told>>> = Arc::new(Mutex::new(vec![Told::default(); epochs.len()]));
    let mut config = timely::Config::process(scenario.workers);
    if scenario.workers == 3 {
        // Three workers talk in bytes, as processes do.
        config.communication = CommunicationConfig::ProcessBinary(3);
    }
    let (output, scenario, epochs) = (Arc::clone(&told), scenario.clone(), epochs.to_vec());
    let guards = timely::execute(config, move |worker| {
        feed(worker, &scenario, &epochs, first, &output);
    });
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
            input.send(upsert.clone());
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
    let stage = Stage::new(scenario.before, first);
    let input = worker.dataflow(|scope| {
        let (input, upserts) = scope.new_input::<Vec<Upsert<Coded>>>();
        let pact = Exchange::new(|upsert: &Upsert<Coded>| upsert.id.halves()[1] >> 3);
        let live = latest(upserts, pact, |_, _| {});
        let survivors = select(live.clone().map(facts), stage, by_loss, |_, _| {}).kept;
        let codes = |coded: &Coded, _, codes: &mut [u16]| codes.copy_from_slice(&coded.codes);
        let sampling = scenario.sampling(first);
        let sampled = sample_by_density(live, survivors, sampling, codes, |_, _| {});
        note(sampled.kept, told, first, |told, changes| {
            told.changes.extend(changes)
        })
        .probe_with(&probe);
        note(sampled.summaries, told, first, |told, parts| {
            parts.iter().for_each(|part| told.summary += part);
            told.parts += parts.len();
        })
        .probe_with(&probe);
        input
    });
    (input, probe)
}

/// What the stage before knows of a document.
fn facts(change: Change<Coded>) -> Change<Facts> {
    let Change {
        slot,
        diff,
        id,
        record,
    } = change;
    Change {
        slot,
        diff,
        id,
        record: record.facts,
    }
}

/// The order of the stage before.
pub fn by_loss(facts: &Facts, _: riffle_operators::DocumentHash) -> View {
    View {
        group: 0,
        key: facts.loss,
        mass: 1,
    }
}

type Source = InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<Upsert<Coded>>>>;

fn note<'scope, T: Clone + 'static>(
    stream: StreamVec<'scope, u64, T>,
    told: &Arc<Mutex<Vec<Told>>>,
    first: u64,
    note: fn(&mut Told, &[T]),
) -> StreamVec<'scope, u64, T> {
    let told = Arc::clone(told);
    stream.inspect_core(move |event| {
        if let Ok((stamp, data)) = event {
            let epoch = *stamp.iter().next().unwrap();
            note(&mut told.lock().unwrap()[(epoch - first) as usize], data);
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
            let thread = std::thread::current();
            if thread.name().is_some_and(|name| name.starts_with("timely")) {
                std::process::abort();
            }
        }));
    });
}
