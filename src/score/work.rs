//! What a scorer keeps from one run of its dataflow to the next, models above all.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kernels::ModelInfo;

use super::commit::{Commit, Outcome};
use super::embedder::Embedder;
use super::measure::Measure;
use super::output::Output;
use super::pending::Prepared;
use super::prepare::{Prepare, Source};
use super::run::{Score, Scorer};
use super::{Parts, dataflow};
use crate::dataflow::{EpochLimits, EpochReader, Input, Job, Pool, Sending, Threads, Until};
use crate::engine::{Counters, EngineError};
use crate::log::{Offsets, Received, Store};

/// Epochs start small, since a model on the CPU may score only a few documents a second, and grow
/// fourfold at a time.
const EPOCH_BYTES_FIRST: usize = 8 << 10;
const EPOCH_BYTES_MAX: usize = 32 << 20;

/// Scores documents, as often as there is something to read.
pub struct Work {
    store: Arc<dyn Store>,
    documents: String,
    scored: String,
    dead_letters: String,
    prepare: Prepare,
    threads: usize,
    measure: Option<Arc<Mutex<Measure>>>,
    batch_tokens: usize,
    epoch: Duration,
    until: Arc<Mutex<Until>>,
    stop: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

/// What one run reads and where it writes.
pub struct Run {
    /// The number of the first epoch.
    pub first: u64,
    /// From where on the documents log is read.
    pub from: Offsets,
    /// Where epochs go.
    pub output: Output,
    /// Set to end this run soon.
    pub stop: Arc<AtomicBool>,
}

impl Work {
    /// The work that `score` describes.
    pub fn new(score: Score) -> Self {
        let scorer = identity(&score.scorer, score.embedder.as_ref().map(|(it, _)| it));
        let (source, model) = match score.scorer {
            Scorer::Model(model, tokenizer, max) => (Source::Model(tokenizer, max), Some(model)),
            Scorer::Fields(perplexity, tokens) => (Source::Fields(perplexity, tokens), None),
        };
        let (embedder, encoder) = score.embedder.unzip();
        let prepare = Prepare {
            topic: score.documents.clone(),
            document_bytes_max: score.document_bytes_max,
            source,
            encoder,
            scorer: Arc::clone(&scorer),
        };
        let measure = (model.is_some() || embedder.is_some()).then_some(Measure {
            model,
            embedder,
            scorer,
        });
        Work {
            store: score.documents_store,
            documents: score.documents,
            scored: score.scored,
            dead_letters: score.dead_letters,
            prepare,
            threads: score.threads,
            measure: measure.map(|measure| Arc::new(Mutex::new(measure))),
            batch_tokens: score.batch_tokens,
            epoch: score.epoch,
            until: Arc::new(Mutex::new(score.until)),
            stop: score.stop,
            counters: score.counters,
        }
    }

    /// The name of the documents log.
    pub fn documents(&self) -> &str {
        &self.documents
    }

    /// Set when the scorer should end.
    pub fn stop(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    /// Where the scorer ends.
    pub fn end(&self) -> Result<Option<Offsets>, EngineError> {
        (self.until.lock().expect("no panic before"))()
    }

    /// Scores until the end, or until told to stop; on return all that was read is committed.
    ///
    /// # Errors
    /// [`EngineError`] when a log or the model fails; what was committed before stays.
    pub fn run(&self, run: Run) -> Result<(), EngineError> {
        let threads = Threads::default();
        let until = Arc::clone(&self.until);
        let documents = Input {
            store: Arc::clone(&self.store),
            log: self.documents.clone(),
            known: Offsets::start(run.from.0.len() as u16),
            from: run.from,
            until: Box::new(move || (until.lock().expect("no panic before"))()),
        };
        let reader = EpochReader {
            tells_of_marks: true,
            inputs: vec![documents],
            replay: false,
            first: run.first,
            limits: EpochLimits {
                duration: self.epoch,
                bytes_first: EPOCH_BYTES_FIRST,
                bytes_max: EPOCH_BYTES_MAX,
            },
            stop: vec![Arc::clone(&self.stop), run.stop],
            threads: threads.clone(),
        };
        let commit = Commit {
            output: run.output,
            documents: self.documents.clone(),
            scored: self.scored.clone(),
            dead_letters: self.dead_letters.clone(),
            counters: Arc::clone(&self.counters),
        };
        let pools = Pools {
            prepare: prepare_pool(&self.prepare, self.threads, &threads),
            measure: self.measure.as_ref().map(|it| measure_pool(it, &threads)),
            commit: commit_pool(commit, &threads),
        };
        // What an earlier run has read and not committed is read again.
        let counters = &self.counters;
        let done = Counters::get(&counters.scored) + Counters::get(&counters.dead_letters);
        Counters::set(&counters.read, done);
        execute(reader, pools, self.batch_tokens, counters, threads)
    }
}

/// What scored records say that they come from: all that has a part in their measurements.
fn identity(scorer: &Scorer, embedder: Option<&Embedder>) -> Arc<str> {
    let of = |info: &ModelInfo| format!("{} {}", info.name, info.backend);
    let scores = match scorer {
        Scorer::Model(model, ..) => of(model.describe()),
        Scorer::Fields(perplexity, _) => perplexity.to_string(),
    };
    match embedder {
        Some(embedder) => format!("{scores}; {}", of(embedder.describe())).into(),
        None => scores.into(),
    }
}

/// The threads that do the work.
struct Pools {
    prepare: Pool<Received, Prepared>,
    measure: Option<Pool<Prepared, Prepared>>,
    commit: Pool<Outcome, ()>,
}

/// Runs the dataflow on one worker: it only hands work to the pools.
fn execute(
    reader: EpochReader,
    pools: Pools,
    batch_tokens: usize,
    counters: &Arc<Counters>,
    threads: Threads,
) -> Result<(), EngineError> {
    let first = reader.first;
    let of_the_worker = Mutex::new(Some((read(reader, Arc::clone(counters)), pools)));
    let crew = threads.clone();
    threads.execute(1, None, move |_, scope| {
        let mut of_the_worker = of_the_worker.lock().expect("no panic before");
        let (read, pools) = of_the_worker.take().expect("there is one worker");
        let Pools {
            prepare,
            measure,
            commit,
        } = pools;
        let threads = &crew;
        let parts = Parts {
            first,
            read,
            prepare,
            measure,
            batch_tokens,
            commit,
            threads,
        };
        dataflow(scope, parts);
    })
}

fn read(
    reader: EpochReader,
    counters: Arc<Counters>,
) -> impl FnOnce(Sending<Received>) -> Result<(), EngineError> + Send {
    move |sending| {
        reader.run(&sending, |_, received| {
            Counters::add(&counters.read, 1);
            Ok(Some(received))
        })
    }
}

fn prepare_pool(prepare: &Prepare, n: usize, threads: &Threads) -> Pool<Received, Prepared> {
    let work = (0..n.max(1)).map(|_| {
        let prepare = prepare.clone();
        move |job: Job<Received>| prepare.prepare(job)
    });
    Pool::start("prepare", work, threads)
}

fn measure_pool(measure: &Arc<Mutex<Measure>>, threads: &Threads) -> Pool<Prepared, Prepared> {
    let measure = Arc::clone(measure);
    // One run at a time has the models: the lock is always free.
    let work = move |job: Job<Prepared>| measure.lock().expect("no panic before").measure(job);
    Pool::start("measure", [work], threads)
}

fn commit_pool(mut commit: Commit, threads: &Threads) -> Pool<Outcome, ()> {
    Pool::start(
        "commit",
        [move |job: Job<Outcome>| commit.commit(job)],
        threads,
    )
}
