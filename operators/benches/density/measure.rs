//! Loads the corpus, changes it epoch by epoch, and prints what that took.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use riffle_operators::density::{Over, Sampling, Sketch, Summary};
use riffle_operators::{Change, Rate, Upsert, Usage, latest, sample_by_density};
use timely::dataflow::InputHandleVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Inspect, Probe};
use timely::worker::Worker;

use crate::Run;
use crate::corpus::{Coded, Corpus};
use crate::recompute::recompute;

/// Records sent between two steps of the worker, as when reading a log.
const PART: usize = 1024;

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
        let touched = pipeline.summary.borrow().touches;
        let size = (run.epoch / run.workers) as usize;
        let (mut times, mut busy) = (Vec::new(), 0.0);
        for _ in 0..run.epochs {
            let upserts: Vec<_> = (0..size).map(|_| corpus.upsert()).collect();
            barrier.wait();
            let (start, busy_before) = (Instant::now(), busy_seconds());
            pipeline.send(worker, upserts);
            pipeline.finish_epoch(worker);
            times.push(start.elapsed().as_secs_f64());
            busy += busy_seconds() - busy_before;
        }
        let documents = size as f64 * times.len() as f64;
        let touches = (pipeline.summary.borrow().touches - touched) as f64 / documents;
        let anew = (run.workers == 1).then(|| pipeline.compare(&corpus, run));
        if worker.index() == 0 {
            let [latest, density] = pipeline
                .bytes
                .map(|bytes| bytes.get() as f64 / corpus.live.len() as f64);
            let busy = documents / busy;
            print(run, load, times, [busy, touches, density, latest], anew);
        }
        barrier.wait();
    });
    let workers = guards.expect("the workers start").join();
    workers.into_iter().for_each(|worker| {
        worker.expect("a worker that panics aborts the process");
    });
}

fn sampling(run: Run) -> Sampling {
    let epsilon_ppm = (run.epsilon * 1e6) as u32;
    Sampling {
        sketch: Sketch::new(run.rows as u16, run.cells as u32, epsilon_ppm, 16)
            .expect("the sketch has a shape that there can be"),
        rate: Rate::from_ppm(500_000).expect("a half"),
        seed: 1,
        purpose: 1,
        over: Over::Live,
        first_epoch: 0,
        silent_epoch: None,
    }
}

/// One worker's input, and what it sees of the end.
struct Pipeline {
    upserts: InputHandleVec<u64, Upsert<Coded>>,
    probe: Handle<u64>,
    epoch: u64,
    /// Bytes of each operator's state after the last epoch asked for: `latest`, and the sampling.
    bytes: [Rc<Cell<usize>>; 2],
    summary: Rc<RefCell<Summary>>,
    /// Positions of the documents that are kept.
    kept: Rc<RefCell<HashSet<u64>>>,
}

impl Pipeline {
    fn new(worker: &mut Worker, run: Run) -> Self {
        let (probe, bytes) = (Handle::new(), [(); 2].map(|()| Rc::new(Cell::new(0))));
        let summary = Rc::new(RefCell::new(Summary::default()));
        let kept = Rc::new(RefCell::new(HashSet::new()));
        let (told, set) = (Rc::clone(&summary), Rc::clone(&kept));
        let mut upserts = InputHandleVec::new();
        worker.dataflow(|scope| {
            let report = |of: &Rc<Cell<usize>>| {
                let (bytes, last) = (Rc::clone(of), run.epochs);
                move |epoch: u64, usage: &dyn Usage| {
                    if epoch == last {
                        bytes.set(usage.bytes());
                    }
                }
            };
            let pact = Exchange::new(|upsert: &Upsert<Coded>| upsert.id.halves()[0]);
            let live = latest(upserts.to_stream(scope), pact, report(&bytes[0]));
            let survivors = live.clone().map(position);
            let codes = |coded: &Coded, _, codes: &mut [u16]| codes.copy_from_slice(&coded.codes);
            let sampled =
                sample_by_density(live, survivors, sampling(run), codes, report(&bytes[1]));
            sampled
                .summaries
                .inspect(move |part| *told.borrow_mut() = part.clone());
            sampled
                .kept
                .inspect(move |change| {
                    let position = change.record.record.0;
                    let changed = match change.diff {
                        1 => set.borrow_mut().insert(position),
                        _ => set.borrow_mut().remove(&position),
                    };
                    assert!(changed, "every change is one");
                })
                .probe_with(&probe);
        });
        Pipeline {
            upserts,
            probe,
            epoch: 0,
            bytes,
            summary,
            kept,
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
        while left > 0 {
            let some = left.min(50 * PART);
            let upserts: Vec<_> = (0..some).map(|_| corpus.new_document()).collect();
            left -= some;
            barrier.wait();
            let start = Instant::now();
            self.send(worker, upserts);
            if left == 0 {
                self.finish_epoch(worker);
            }
            seconds += start.elapsed().as_secs_f64();
        }
        seconds
    }

    fn send(&mut self, worker: &mut Worker, upserts: Vec<Upsert<Coded>>) {
        for (i, upsert) in upserts.into_iter().enumerate() {
            self.upserts.send(upsert);
            if i % PART == PART - 1 {
                self.upserts.flush();
                worker.step();
            }
        }
    }

    fn finish_epoch(&mut self, worker: &mut Worker) {
        self.epoch += 1;
        let next = self.epoch;
        self.upserts.advance_to(next);
        worker.step_or_park_while(None, || self.probe.less_than(&next));
    }

    /// Seconds of the processor that computing everything anew takes; its result must be the same.
    fn compare(&self, corpus: &Corpus, run: Run) -> f64 {
        let codes: Vec<u16> = corpus.live.iter().flat_map(|n| corpus.codes(*n)).collect();
        let start = busy_seconds();
        let half = recompute(&sampling(run), &corpus.live, &codes);
        let seconds = busy_seconds() - start;
        let half: HashSet<u64> = half.into_iter().collect();
        assert!(*self.kept.borrow() == half, "both keep the same documents");
        seconds
    }
}

/// What the stages keep of a document: 24 bytes, as the engine does.
fn position(change: Change<Coded>) -> Change<(u64, u64, u64)> {
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
        record: (record.position, 0, 0),
    }
}

fn print(
    run: Run,
    load: f64,
    mut times: Vec<f64>,
    [busy, touches, bytes, bytes_of_latest]: [f64; 4],
    anew: Option<f64>,
) {
    let size = run.epoch / run.workers * run.workers;
    let seconds = times.iter().sum::<f64>();
    let speed = size as f64 * times.len() as f64 / seconds;
    // Both by processor time.
    let faster = anew.map(|anew| anew * busy / run.epoch as f64);
    times.sort_by(f64::total_cmp);
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{:>9e} {:>7} {:>2} {:>4} {:>4} | {:>8.0} {:>8.0} {:>8.0} {:>7.1} | {:>9.3} {:>9.3} {:>5.1} | {:>6.1} {:>7.1}",
        run.live,
        run.epoch,
        run.workers,
        run.rows,
        run.epsilon,
        speed,
        busy,
        run.live as f64 / load,
        touches,
        median * 1e3,
        longest * 1e3,
        longest / median,
        bytes,
        faster.unwrap_or(f64::NAN)
    );
    let name = format!(
        "density.{:e}.epoch_{}.rows_{}.epsilon_{}.workers_{}",
        run.live, run.epoch, run.rows, run.epsilon, run.workers
    );
    for (quantity, value, unit) in [
        ("documents_per_second", speed, "1/s"),
        ("documents_per_second_of_processor", busy, "1/s"),
        ("touches_per_document", touches, "1"),
        ("longest_epoch_over_median", longest / median, "1"),
        ("bytes_per_document", bytes, "B"),
        ("bytes_per_document_of_latest", bytes_of_latest, "B"),
    ] {
        println!("figure\t{name}.{quantity}\t{value:.1}\t{unit}");
    }
}

/// The processor time that this thread has had: unlike the clock's, other programs do not add to
/// it. Zero where the system does not tell.
fn busy_seconds() -> f64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = statistics.split(' ').next();
    first
        .and_then(|number| number.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1e9
}

/// A worker that panics would leave the others waiting for it.
fn abort_on_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        hook(info);
        std::process::abort();
    }));
}
