//! Runs the score dataflow from where the last commit was.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kernels::{EncoderTokenizer, LanguageModel, ModelInfo, Tokenizer};

use super::commit::{Commit, Outcome};
use super::embedder::Embedder;
use super::measure::Measure;
use super::pending::Prepared;
use super::prepare::{Prepare, Source};
use super::{Parts, dataflow};
use crate::config::FieldPath;
use crate::dataflow::{EpochLimits, EpochReader, Input, Job, Pool, Sending, Threads, Until};
use crate::engine::{Counters, EngineError};
use crate::log::{Layout, Offsets, Received, Store};
use crate::records::Progress;

/// The name of the scorer's writer: at most one is live. It names the log, since on one Kafka
/// cluster other pipelines may have scorers of their own.
fn writer_of(scored: &str) -> String {
    format!("score-{scored}")
}

/// What gives the scores.
pub enum Scorer {
    /// A reference model and its tokenizer, up to so many tokens a document.
    Model(Box<dyn LanguageModel>, Arc<Tokenizer>, usize),
    /// Fields of the document: perplexity and, it may be, tokens.
    Fields(FieldPath, Option<FieldPath>),
}

/// What to score, and where.
pub struct Score {
    /// The store of the documents log.
    pub documents_store: Arc<dyn Store>,
    /// The log of documents.
    pub documents: String,
    /// The store of the outputs.
    pub scored_store: Arc<dyn Store>,
    /// The log of scored records.
    pub scored: String,
    /// The log of dead letters.
    pub dead_letters: String,
    /// What gives the scores.
    pub scorer: Scorer,
    /// What gives the codes, and the tokenizer for it.
    pub embedder: Option<(Embedder, Arc<EncoderTokenizer>)>,
    /// Threads that parse and tokenize.
    pub threads: usize,
    /// The largest document taken.
    pub document_bytes_max: usize,
    /// Tokens at which a batch is handed to the models.
    pub batch_tokens: usize,
    /// How long an epoch should take.
    pub epoch: Duration,
    /// Where to end.
    pub until: Until,
    /// Set to finish the open epoch and end.
    pub stop: Arc<AtomicBool>,
    /// What is counted on the way.
    pub counters: Arc<Counters>,
}

/// Epochs start small, since a model on the CPU may score only a few documents a second, and grow
/// fourfold at a time.
const EPOCH_BYTES_FIRST: usize = 8 << 10;
const EPOCH_BYTES_MAX: usize = 32 << 20;

/// Scores until the end, or until told to stop; on return all that was read is committed.
///
/// # Errors
/// [`EngineError`] when a log or the model fails for good. What was committed before stays, and a
/// later call goes on from there.
pub fn score(score: Score) -> Result<(), EngineError> {
    let partitions = partitions(&score)?;
    let (name, logs) = (
        writer_of(&score.scored),
        [&*score.scored, &*score.dead_letters],
    );
    let writer = score.scored_store.writer(&name, &logs)?;
    let progress = progress_of(writer.position(), name)?;
    if let Some(progress) = &progress {
        progress.check_partitions(&score.documents, partitions)?;
    }
    let threads = Threads::default();
    let first = progress.as_ref().map_or(0, |progress| progress.epoch + 1);
    let documents = Input {
        store: score.documents_store,
        log: score.documents.clone(),
        from: progress.map_or_else(|| Offsets::start(partitions), |progress| progress.offsets),
        until: score.until,
    };
    let reader = EpochReader {
        inputs: vec![documents],
        replay: false,
        first,
        limits: EpochLimits {
            duration: score.epoch,
            bytes_first: EPOCH_BYTES_FIRST,
            bytes_max: EPOCH_BYTES_MAX,
        },
        stop: score.stop,
        threads: threads.clone(),
    };
    let scorer = identity(&score.scorer, score.embedder.as_ref().map(|(it, _)| it));
    let (source, model) = match score.scorer {
        Scorer::Model(model, tokenizer, max) => (Source::Model(tokenizer, max), Some(model)),
        Scorer::Fields(perplexity, tokens) => (Source::Fields(perplexity, tokens), None),
    };
    let (embedder, encoder) = score.embedder.unzip();
    let (topic, document_bytes_max) = (score.documents, score.document_bytes_max);
    let prepare = Prepare {
        topic: topic.clone(),
        document_bytes_max,
        source,
        encoder,
        scorer: Arc::clone(&scorer),
    };
    let measure = (model.is_some() || embedder.is_some()).then_some(Measure {
        model,
        embedder,
        scorer,
    });
    let commit = Commit {
        writer,
        documents: topic,
        scored: score.scored,
        dead_letters: score.dead_letters,
        counters: Arc::clone(&score.counters),
    };
    let pools = Pools {
        prepare: prepare_pool(&prepare, score.threads, &threads),
        measure: measure.map(|measure| measure_pool(measure, &threads)),
        commit: commit_pool(commit, &threads),
    };
    run(reader, pools, score.batch_tokens, score.counters, threads)
}

/// Where the scorer of a log stands, which goes on undisturbed; `None` before its first commit.
///
/// # Errors
/// The store's, and [`EngineError::Progress`] when the position does not read.
pub(crate) fn last_progress(
    store: &dyn Store,
    scored: &str,
) -> Result<Option<Progress>, EngineError> {
    let name = writer_of(scored);
    progress_of(store.position(&name)?.as_deref(), name)
}

fn progress_of(position: Option<&[u8]>, writer: String) -> Result<Option<Progress>, EngineError> {
    let progress = position.map(Progress::decode).transpose();
    progress.map_err(|source| EngineError::Progress { writer, source })
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
fn run(
    reader: EpochReader,
    pools: Pools,
    batch_tokens: usize,
    counters: Arc<Counters>,
    threads: Threads,
) -> Result<(), EngineError> {
    let first = reader.first;
    let of_the_worker = Mutex::new(Some((read(reader, counters), pools)));
    let crew = threads.clone();
    threads.execute(1, move |_, scope| {
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

fn measure_pool(mut measure: Measure, threads: &Threads) -> Pool<Prepared, Prepared> {
    Pool::start(
        "measure",
        [move |job: Job<Prepared>| measure.measure(job)],
        threads,
    )
}

fn commit_pool(mut commit: Commit, threads: &Threads) -> Pool<Outcome, ()> {
    Pool::start(
        "commit",
        [move |job: Job<Outcome>| commit.commit(job)],
        threads,
    )
}

/// The partitions of the documents log, which the scored log must have too.
fn partitions(score: &Score) -> Result<u16, EngineError> {
    let documents = score
        .documents_store
        .partitions(&score.documents)?
        .ok_or_else(|| EngineError::NoDocuments {
            log: score.documents.clone(),
        })?;
    let layout = Layout {
        partitions: documents,
        compacted: false,
    };
    let scored = score.scored_store.create(&score.scored, layout)?;
    score.scored_store.create(
        &score.dead_letters,
        Layout {
            partitions: 1,
            compacted: false,
        },
    )?;
    if scored != documents {
        return Err(EngineError::Partitions {
            documents: score.documents.clone(),
            of_documents: documents,
            scored: score.scored.clone(),
            of_scored: scored,
        });
    }
    Ok(documents)
}
