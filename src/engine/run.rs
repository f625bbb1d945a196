//! Runs `score` and `curate`, alone or together, as the configuration says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::progress::report_while;
use super::{Counters, EngineError, Stores, Summary, mixing, models};
use crate::cluster::Place;
use crate::config::{Config, LogKind, Stage};
use crate::curate::{self, Curate, MixtureTopics};
use crate::dataflow::Until;
use crate::log::{Layout, Offsets, Store};
use crate::score::{self, Score};

/// Which half of the engine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halves {
    /// Only `score`.
    Score,
    /// Only `curate`.
    Curate,
    /// Both, in one process.
    Both,
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// What runs.
    pub halves: Halves,
    /// Whether to end at the present end of the input, rather than to go on for ever.
    pub until_end: bool,
}

/// Runs until the end or until `stop` is set; then what was read is committed.
///
/// # Errors
/// [`EngineError`] when something fails that the stream cannot go on after; what was committed
/// before stays, and the next run goes on from there.
pub fn run(
    config: &Config,
    options: RunOptions,
    stop: &Arc<AtomicBool>,
) -> Result<Summary, EngineError> {
    let started = Instant::now();
    let samples = config.select.iter().any(Stage::is_by_density);
    if samples && options.halves != Halves::Curate && config.score.encoder.is_none() {
        return Err(EngineError::NoEncoder);
    }
    let stores = Stores::new(config);
    let counters = Arc::new(Counters::default());
    let scored = Arc::new(AtomicBool::new(options.halves == Halves::Curate));
    let both = options.halves == Halves::Both;
    let score = match options.halves {
        Halves::Curate => None,
        _ => Some(score_of(
            config,
            &stores,
            options.until_end,
            stop,
            &counters,
        )?),
    };
    let curate = match options.halves {
        Halves::Score => None,
        _ => Some(curate_of(
            config,
            &stores,
            options.until_end,
            &scored,
            stop,
            &counters,
        )?),
    };
    report_while(&counters, both || score.is_some(), || {
        thread::scope(|scope| {
            let curating = curate.map(|it| scope.spawn(|| ended(curate::curate(it), stop)));
            let scoring = score.map(|it| ended(score::score(it), stop));
            scored.store(true, Ordering::Release);
            let curated = curating.map(|thread| thread.join().expect("a panic is caught inside"));
            scoring.unwrap_or(Ok(())).and(curated.unwrap_or(Ok(())))
        })
    })?;
    Ok(Summary::new(&counters, started.elapsed()))
}

/// Curates as process 0 of a cluster, which has this place.
///
/// # Errors
/// As [`run`].
pub(super) fn curate_at(
    config: &Config,
    until_end: bool,
    place: Place,
    counters: &Arc<Counters>,
    stop: &Arc<AtomicBool>,
) -> Result<Summary, EngineError> {
    let started = Instant::now();
    let stores = Stores::new(config);
    let scored = Arc::new(AtomicBool::new(true));
    let curate = curate_of(config, &stores, until_end, &scored, stop, counters)?;
    report_while(counters, false, || {
        let place = Some(place);
        curate::curate(Curate { place, ..curate })
    })?;
    Ok(Summary::new(counters, started.elapsed()))
}

/// A half that fails stops the other.
fn ended(result: Result<(), EngineError>, stop: &AtomicBool) -> Result<(), EngineError> {
    if result.is_err() {
        stop.store(true, Ordering::Relaxed);
    }
    result
}

fn score_of(
    config: &Config,
    stores: &Stores<'_>,
    until_end: bool,
    stop: &Arc<AtomicBool>,
    counters: &Arc<Counters>,
) -> Result<Score, EngineError> {
    let documents_store = stores.of(config.documents.log)?;
    let documents = config.documents.topic.clone();
    if config.documents.log == LogKind::Local {
        // Nothing fed yet is nothing wrong: the engine waits for documents.
        let layout = Layout {
            partitions: config.topics.partitions,
            compacted: false,
        };
        documents_store.create(&documents, layout)?;
    }
    let threads = match config.score.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads.into(),
    };
    let (scorer, batch_tokens) = models::scorer(config, threads)?;
    Ok(Score {
        until: until(
            until_end,
            &documents_store,
            &documents,
            Arc::new(AtomicBool::new(true)),
        ),
        documents_store,
        documents,
        scored_store: stores.of(config.scored.log)?,
        scored: config.scored.topic.clone(),
        dead_letters: config.scored.dead_letters_topic.clone(),
        scorer,
        embedder: models::embedder(config, threads)?,
        threads,
        document_bytes_max: config.score.document_bytes_max as usize,
        batch_tokens,
        epoch: Duration::from_millis(config.score.epoch_ms.into()),
        stop: Arc::clone(stop),
        counters: Arc::clone(counters),
    })
}

fn curate_of(
    config: &Config,
    stores: &Stores<'_>,
    until_end: bool,
    scored: &Arc<AtomicBool>,
    stop: &Arc<AtomicBool>,
    counters: &Arc<Counters>,
) -> Result<Curate, EngineError> {
    let scored_store = stores.scored_for_curate()?;
    let topic = config.scored.topic.clone();
    let curated_store = stores.of(config.curated.log)?;
    let mixture = config.mixture.is_configured().then(|| {
        let losses = &config.mixture.losses_topic;
        let complete = Arc::new(AtomicBool::new(true));
        MixtureTopics {
            losses: losses.clone(),
            until: until(until_end, &curated_store, losses, complete),
            mixture: config.mixture.topic.clone(),
            dead_letters: config.mixture.dead_letters_topic.clone(),
        }
    });
    Ok(Curate {
        until: until(until_end, &scored_store, &topic, Arc::clone(scored)),
        scored_store,
        scored: topic,
        partitions: config.topics.partitions,
        curated_store,
        curated: config.curated.topic.clone(),
        statistics: config.curated.statistics_topic.clone(),
        stages: config.select.clone(),
        sketch: config.sketch.clone(),
        skills: mixing::skills(config)?,
        mixture,
        snapshots: stores.snapshots(),
        workers: config.curate.workers.into(),
        place: None,
        epoch: Duration::from_millis(config.curate.epoch_ms.into()),
        stop: Arc::clone(stop),
        counters: Arc::clone(counters),
    })
}

/// The end of the log when `complete` is set, if there is to be one. It is not known as long as the
/// store does not answer.
fn until(wanted: bool, store: &Arc<dyn Store>, log: &str, complete: Arc<AtomicBool>) -> Until {
    let (store, log) = (Arc::clone(store), log.to_owned());
    let mut end: Option<Offsets> = None;
    Box::new(move || {
        if wanted && end.is_none() && complete.load(Ordering::Acquire) {
            end = match store.ends(&log) {
                Err(error) if error.may_pass() => {
                    tracing::warn!(log, %error, "the end of the log is not known yet");
                    None
                }
                ends => Some(ends?),
            };
        }
        Ok(end.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::memory::{MemoryStore, Side};

    #[test]
    fn fault_an_end_that_a_store_does_not_tell_is_asked_for_again() {
        let memory = MemoryStore::new();
        let layout = Layout {
            partitions: 2,
            compacted: false,
        };
        memory.create("log", layout).unwrap();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut until = until(true, &store, "log", Arc::new(AtomicBool::new(true)));
        memory.fail_at(1);
        assert_eq!(until().unwrap(), None);
        assert_eq!(until().unwrap(), Some(Offsets::start(2)));
        memory.crash_at(1, Side::Before);
        assert_eq!(until().unwrap(), Some(Offsets::start(2)), "asked once");
    }
}
