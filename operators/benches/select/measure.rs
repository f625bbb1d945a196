//! Loads the corpus, changes it epoch by epoch, and prints what that took.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use riffle_operators::{
    Band, Budget, Change, Quota, Rate, Stage, Upsert, Usage, Weights, latest, select,
    select_by_mixture,
};
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::{Inspect, Probe};
use timely::dataflow::{InputHandleVec, StreamVec};
use timely::worker::Worker;

use crate::baseline::{Moved, kept, place};
use crate::corpus::{Corpus, Facts, by_draw, by_key};
use crate::{Run, What};

/// Records sent between two steps of the worker, as when reading a log.
const PART: usize = 4096;
/// Epochs from one mixture to the next.
const MIXTURE_EPOCHS: u64 = 100;

pub fn measure(run: Run) {
    abort_on_panic();
    let barrier = Arc::new(Barrier::new(run.workers as usize));
    let config = match run.workers {
        1 => timely::Config::thread(),
        workers => timely::Config::process(workers as usize),
    };
    let guards = timely::execute(config, move |worker| {
        let mut pipeline = Pipeline::new(worker, run);
        let mut corpus = Corpus::new(worker.index() as u64, run);
        let load = pipeline.load(worker, &mut corpus, run, &barrier);
        let size = (run.epoch / run.workers) as usize;
        let (mut times, mut changes, mut busy) = (Vec::new(), Vec::new(), 0.0);
        for epoch in 0..=epochs(run) {
            let upserts: Vec<_> = (0..size).map(|_| corpus.upsert()).collect();
            let changes_here = run.what == What::Mixture && epoch % MIXTURE_EPOCHS == 50;
            let mixture = changes_here.then(|| corpus.mixture());
            pipeline.told.set(0);
            barrier.wait();
            let (start, busy_before) = (Instant::now(), busy_seconds());
            pipeline.mix(worker, mixture);
            pipeline.send(worker, &upserts);
            pipeline.finish_epoch(worker);
            if epoch < epochs(run) {
                times.push(start.elapsed().as_secs_f64());
                if changes_here {
                    changes.push((start.elapsed().as_secs_f64(), pipeline.told.get()));
                }
                busy += busy_seconds() - busy_before;
            }
        }
        if worker.index() == 0 {
            let bytes = pipeline.bytes.get() as f64 / corpus.live() as f64;
            let busy = busy / (size * times.len()) as f64;
            print(run, load, times, busy, bytes);
            print_changes(run, &changes);
        }
        barrier.wait();
    });
    guards
        .expect("the workers start")
        .join()
        .into_iter()
        .for_each(|worker| {
            worker.expect("a worker that panics aborts the process");
        });
}

/// How many epochs are timed, between that of the load and one more in which memory is looked at.
fn epochs(run: Run) -> u64 {
    (run.updates / run.epoch).clamp(20, 400)
}

/// One worker's inputs, of which only one is in use, and what it sees of the end.
struct Pipeline {
    upserts: Option<InputHandleVec<u64, Upsert<Facts>>>,
    moved: Option<InputHandleVec<u64, Moved>>,
    mixtures: InputHandleVec<u64, Weights>,
    /// Changes of the kept set that came out on this worker in the epoch.
    told: Rc<Cell<u64>>,
    probe: Handle<u64>,
    epoch: u64,
    /// Bytes of all operators' state after the last epoch.
    bytes: Rc<Cell<usize>>,
}

impl Pipeline {
    fn new(worker: &mut Worker, run: Run) -> Self {
        let (probe, bytes) = (Handle::new(), Rc::new(Cell::new(0)));
        let mut upserts = InputHandleVec::new();
        let mut moved = InputHandleVec::new();
        let mut mixtures = InputHandleVec::new();
        let told = Rc::new(Cell::new(0));
        let (upserts, moved) = worker.dataflow(|scope| {
            if run.what == What::Reduce {
                kept(moved.to_stream(scope)).inner.probe_with(&probe);
                return (None, Some(moved));
            }
            let live = upserts.to_stream(scope);
            let weights = mixtures.to_stream(scope);
            let kept = stages(live, weights, run, &bytes);
            let told = Rc::clone(&told);
            let count = move |changes: &Vec<_>| told.set(told.get() + changes.len() as u64);
            kept.inspect_core(move |event| event.iter().for_each(|(_, changes)| count(changes)))
                .probe_with(&probe);
            (Some(upserts), None)
        });
        Pipeline {
            upserts,
            moved,
            mixtures,
            told,
            probe,
            epoch: 0,
            bytes,
        }
    }

    /// One epoch of all documents; seconds.
    fn load(
        &mut self,
        worker: &mut Worker,
        corpus: &mut Corpus,
        run: Run,
        barrier: &Barrier,
    ) -> f64 {
        let (mut seconds, mut left) = (0.0, (run.live / run.workers) as usize);
        self.mix(worker, Some(corpus.mixture()));
        while left > 0 {
            let some = left.min(50 * PART);
            let upserts: Vec<_> = (0..some).map(|_| corpus.new_document()).collect();
            left -= some;
            barrier.wait();
            let start = Instant::now();
            self.send(worker, &upserts);
            if left == 0 {
                self.finish_epoch(worker);
            }
            seconds += start.elapsed().as_secs_f64();
        }
        seconds
    }

    fn send(&mut self, worker: &mut Worker, upserts: &[Upsert<Facts>]) {
        for part in upserts.chunks(PART) {
            if let Some(input) = &mut self.upserts {
                part.iter().for_each(|upsert| input.send(*upsert));
                input.flush();
            }
            if let Some(input) = &mut self.moved {
                for Upsert { id, record } in part {
                    input.send((id.halves()[0], record.as_ref().map(place), self.epoch));
                }
                input.flush();
            }
            worker.step();
        }
    }

    /// Sends the first worker's mixture: all of them come from one.
    fn mix(&mut self, worker: &Worker, mixture: Option<Weights>) {
        if let Some(mixture) = mixture.filter(|_| worker.index() == 0) {
            self.mixtures.send(mixture);
        }
    }

    fn finish_epoch(&mut self, worker: &mut Worker) {
        self.epoch += 1;
        let next = self.epoch;
        if let Some(input) = &mut self.upserts {
            input.advance_to(next);
        }
        if let Some(input) = &mut self.moved {
            input.advance_to(next);
        }
        self.mixtures.advance_to(next);
        worker.step_or_park_while(None, || self.probe.less_than(&next));
    }
}

/// What the last stage tells.
fn stages<'scope>(
    upserts: StreamVec<'scope, u64, Upsert<Facts>>,
    weights: StreamVec<'scope, u64, Weights>,
    run: Run,
    bytes: &Rc<Cell<usize>>,
) -> StreamVec<'scope, u64, Change<Facts>> {
    let report = || {
        let (bytes, last) = (Rc::clone(bytes), epochs(run) + 1);
        move |epoch: u64, usage: &dyn Usage| {
            if epoch == last {
                bytes.set(bytes.get() + usage.bytes());
            }
        }
    };
    let rate = Rate::from_ppm(500_000).expect("a half");
    let half = |band| Stage::new(Quota { band, rate }, 0);
    let stage = half(Band::Medium);
    let pact = Exchange::new(|upsert: &Upsert<Facts>| upsert.id.halves()[0]);
    let live = latest(upserts, pact, report());
    match run.what {
        What::Latest => live,
        What::Select => select(live, stage, by_key, report()).kept,
        What::SelectSelect => {
            let kept = select(live, stage, by_key, report()).kept;
            select(kept, stage, by_draw, report()).kept
        }
        What::Draw => select(live, half(Band::Low), by_draw, report()).kept,
        What::Mixture => {
            let budget = Stage::new(Budget::Share(rate), 0);
            select_by_mixture(live, weights, budget, by_draw, report()).kept
        }
        What::Reduce => unreachable!("it has a dataflow of its own"),
    }
}

fn print(run: Run, load: f64, mut times: Vec<f64>, busy: f64, bytes: f64) {
    let size = run.epoch / run.workers * run.workers;
    let updates = size as f64 * times.len() as f64 / times.iter().sum::<f64>();
    let replay = run.live as f64 / load;
    times.sort_by(f64::total_cmp);
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    let peak = peak_bytes();
    println!(
        "{:<14} {:>9e} {:>7} {:>7} {:>6} | {:>6.2} {:>6.0} {:>6.2} | {:>9.3} {:>9.3} {:>5.1} | {:>6.1} {:>8.0}",
        run.name(),
        run.live,
        run.epoch,
        run.workers,
        run.groups,
        updates / 1e6,
        busy * 1e9,
        replay / 1e6,
        median * 1e3,
        longest * 1e3,
        longest / median,
        bytes,
        peak / 1e6
    );
    let mut figures = vec![
        ("updates_per_second", updates, "1/s"),
        ("nanoseconds_of_processor_per_update", busy * 1e9, "ns"),
        ("replayed_per_second", replay, "1/s"),
        ("longest_epoch_over_median", longest / median, "1"),
        ("peak_bytes", peak, "B"),
    ];
    if run.what != What::Reduce {
        figures.push(("bytes_per_document", bytes, "B"));
    }
    for (quantity, value, unit) in figures {
        let digits = if value < 1000.0 { 1 } else { 0 };
        println!("figure\t{}\t{value:.digits$}\t{unit}", run.figure(quantity));
    }
}

/// The epochs in which the mixture changed, and the changes of the kept set told on this worker.
fn print_changes(run: Run, changes: &[(f64, u64)]) {
    let Some((seconds, told)) = changes.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0)) else {
        return;
    };
    for (quantity, value, unit) in [
        ("longest_epoch_with_another_mixture", seconds * 1e3, "ms"),
        (
            "told_in_the_longest_epoch_with_another_mixture",
            told as f64,
            "1",
        ),
    ] {
        println!("figure\t{}\t{value:.1}\t{unit}", run.figure(quantity));
    }
}

/// The processor time that this thread has had: unlike the clock's, other programs do not add to
/// it. Zero where the system does not tell.
fn busy_seconds() -> f64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics
        .split(' ')
        .next()
        .and_then(|number| number.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// The most memory that this process has had; zero where the system does not tell.
fn peak_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    1024.0
        * kibibytes
            .and_then(|number| number.parse::<f64>().ok())
            .unwrap_or(0.0)
}

/// A worker that panics would leave the others waiting for it.
fn abort_on_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        hook(info);
        std::process::abort();
    }));
}
