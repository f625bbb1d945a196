//! Runs the curate dataflow from where the last commit was.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mixtures::Report;

use super::coded::Coded;
use super::document::Document;
use super::facts::{Facts, FactsError, Reading, upsert};
use super::mixture::Reported;
use super::publish::{MixtureLog, Outcome, Outputs, Published, Publisher};
use super::rules::{Mixing, Rules, Skills};
use super::statistics::Statistics;
use super::{Parts, dataflow};
use crate::config::{Sketch, Stage};
use crate::dataflow::{EpochLimits, EpochReader, Input, Job, Pool, Sending, Threads, Until};
use crate::engine::{Counters, EngineError};
use crate::log::{Layout, Offsets, Position, Received, Store};
use crate::records::Progress;

/// The name of the curator's writer: at most one is live. It names the log, since on one Kafka
/// cluster other pipelines may have curators of their own.
fn writer_of(curated: &str) -> String {
    format!("curate-{curated}")
}

/// Scored records are small in memory, so an epoch is bounded by time more than by this.
const EPOCH_BYTES_FIRST: usize = 64 << 20;
const EPOCH_BYTES_MAX: usize = 256 << 20;

/// What to curate, and where.
pub struct Curate {
    /// The store of the scored log.
    pub scored_store: Arc<dyn Store>,
    /// The log of scored records; made with `partitions` when it is missing.
    pub scored: String,
    /// Partitions of logs that are missing.
    pub partitions: u16,
    /// The store of the outputs.
    pub curated_store: Arc<dyn Store>,
    /// The log of curated documents.
    pub curated: String,
    /// The log of statistics.
    pub statistics: String,
    /// The selection stages, in order.
    pub stages: Vec<Stage>,
    /// The sketch that codes must be of, where a stage is by density.
    pub sketch: Sketch,
    /// What is known of skills, and done with them.
    pub skills: Skills,
    /// The logs of the mixture, where there is one; in the store of the outputs.
    pub mixture: Option<MixtureTopics>,
    /// Timely workers.
    pub workers: usize,
    /// How long an epoch stays open.
    pub epoch: Duration,
    /// Where to end.
    pub until: Until,
    /// Set to finish the open epoch and end.
    pub stop: Arc<AtomicBool>,
    /// What is counted on the way.
    pub counters: Arc<Counters>,
}

/// The logs of a mixture.
pub struct MixtureTopics {
    /// What trainers report.
    pub losses: String,
    /// Where to end reading it.
    pub until: Until,
    /// Where the mixture is published.
    pub mixture: String,
}

/// Curates until the end, or until told to stop; on return all that was read is committed.
///
/// # Errors
/// [`EngineError`] when a log fails for good. What was committed before stays, and a later call
/// goes on from there.
pub fn curate(curate: Curate) -> Result<(), EngineError> {
    let scored_store = Arc::clone(&curate.scored_store);
    let layout = Layout {
        partitions: curate.partitions,
        compacted: false,
    };
    let partitions = scored_store.create(&curate.scored, layout)?;
    let outputs = open_outputs(&curate, partitions)?;
    let progress = last_progress(&outputs, &curate.scored, partitions)?;
    if let Some(progress) = &progress {
        let records = Offsets::start(partitions).distance(&progress.offsets);
        tracing::info!(epoch = progress.epoch, records, "replaying the scored log");
    }
    let skills = curate.skills.clone();
    let mut rules = Rules::new(curate.stages.clone(), curate.sketch.clone(), skills);
    let text = rules.to_text();
    let published = match &progress {
        None => Published::Nothing,
        Some(progress) if progress.rules == text => Published::Replayed(progress.epoch),
        Some(progress) => under_other_rules(&curate, progress)?,
    };
    let first = match &published {
        Published::Nothing => 0,
        Published::Replayed(epoch) | Published::UnderOtherRules(epoch, _) => *epoch,
    };
    if let Published::Replayed(epoch) = published {
        rules.replayed = Some(epoch);
    }
    let threads = Threads::default();
    let (offsets, losses) = progress.map(|it| (it.offsets, it.losses)).unzip();
    let scored = Input {
        store: Arc::clone(&scored_store),
        log: curate.scored.clone(),
        from: offsets.unwrap_or_else(|| Offsets::start(partitions)),
        until: curate.until,
    };
    let losses = curate.mixture.map(|topics| Input {
        store: curate.curated_store,
        log: topics.losses,
        from: losses.flatten().unwrap_or_else(|| Offsets::start(1)),
        until: topics.until,
    });
    let reader = EpochReader {
        inputs: [scored].into_iter().chain(losses).collect(),
        replay: !matches!(published, Published::Nothing),
        first,
        limits: EpochLimits {
            duration: curate.epoch,
            bytes_first: EPOCH_BYTES_FIRST,
            bytes_max: EPOCH_BYTES_MAX,
        },
        stop: vec![curate.stop],
        threads: threads.clone(),
    };
    let mut publisher = Publisher::new(
        outputs,
        scored_store.fetcher(&curate.scored)?,
        published,
        Statistics::new(rules.clone()),
        text,
        rules.groups.clone(),
        curate.counters,
    );
    let publish = move |epoch: Job<Outcome>| publisher.publish(epoch);
    let publisher = Pool::start("publish", [publish], &threads);
    run(curate.workers, reader, rules, publisher, threads)
}

/// Runs the dataflow of these rules: codes are read only where a stage counts them.
fn run(
    workers: usize,
    reader: EpochReader,
    rules: Rules,
    publisher: Pool<Outcome, ()>,
    threads: Threads,
) -> Result<(), EngineError> {
    match rules.by_density() {
        None => run_on::<Facts>(workers, reader, rules, publisher, threads),
        Some(_) => run_on::<Coded>(workers, reader, rules, publisher, threads),
    }
}

/// Runs the dataflow on `workers` threads; the first reads and publishes.
fn run_on<D: Document>(
    workers: usize,
    reader: EpochReader,
    rules: Rules,
    publisher: Pool<Outcome, ()>,
    threads: Threads,
) -> Result<(), EngineError> {
    let first = reader.first;
    let reading = Reading::new(rules.groups.clone(), rules.sketch.clone());
    let of_first_worker = Mutex::new(Some((read::<D>(reader, reading), publisher)));
    let crew = threads.clone();
    threads.execute(workers, move |index, scope| {
        let mine = (index == 0).then(|| of_first_worker.lock().expect("no panic before").take());
        let (read, publisher) = mine.flatten().unzip();
        let (rules, threads) = (&rules, &crew);
        dataflow::<D, _>(
            scope,
            Parts {
                first,
                read,
                rules,
                publisher,
                threads,
            },
        );
    })
}

/// The source's thread: scored records as upserts, then reports; what is none of ours is passed
/// over.
fn read<D: Document>(
    reader: EpochReader,
    reading: Reading,
) -> impl FnOnce(Sending<super::Received<D>>) -> Result<(), EngineError> + Send {
    move |sending| {
        let logs: Vec<String> = reader.inputs.iter().map(|it| it.log.clone()).collect();
        reader.run(&sending, |index, received: Received| {
            let (log, position) = (&logs[index], received.position);
            if index > 0 {
                let report = super::Received::Report(report(log, &received));
                return Ok(Some(report));
            }
            match upsert(&received, &reading) {
                Ok(upsert) => Ok(Some(super::Received::Document(upsert))),
                // To pass it over would pass over all: the log was scored with other settings.
                Err(FactsError::Sketch { found, wanted }) => Err(EngineError::Codes {
                    log: log.clone(),
                    position,
                    found,
                    wanted,
                }),
                Err(error) => {
                    tracing::warn!(log, %position, %error, "a record is passed over");
                    Ok(None)
                }
            }
        })
    }
}

/// What a record of the log of losses reports, if it does.
fn report(log: &str, received: &Received) -> Reported {
    let record = &received.record;
    let report = match (&record.value, &record.key) {
        (Some(value), _) => Report::parse(value),
        (None, key) => Report::parse_tombstone(key.as_deref().unwrap_or_default()),
    };
    if let Err(error) = &report {
        let position = received.position;
        tracing::warn!(log, %position, %error, "a record is passed over");
    }
    report.ok()
}

fn open_outputs(curate: &Curate, scored_partitions: u16) -> Result<Outputs, EngineError> {
    let store = &curate.curated_store;
    let layout = Layout {
        partitions: scored_partitions,
        compacted: true,
    };
    let partitions = store.create(&curate.curated, layout)?;
    let mut logs = vec![curate.curated.as_str(), &curate.statistics];
    let single = Layout {
        partitions: 1,
        compacted: true,
    };
    store.create(&curate.statistics, single)?;
    if let Some(topics) = &curate.mixture {
        store.create(&topics.losses, single)?;
        store.create(&topics.mixture, single)?;
        logs.push(&topics.mixture);
    }
    Ok(Outputs {
        writer: store.writer(&writer_of(&curate.curated), &logs)?,
        curated: curate.curated.clone(),
        partitions,
        statistics: curate.statistics.clone(),
        mixture: mixture_log(curate),
    })
}

fn mixture_log(curate: &Curate) -> Option<MixtureLog> {
    let Mixing::Follow { start, .. } = &curate.skills.mixture else {
        return None;
    };
    let topics = curate.mixture.as_ref()?;
    Some(MixtureLog {
        topic: topics.mixture.clone(),
        method: start.rule().method().name(),
        run: start.losses().run().to_owned(),
    })
}

fn last_progress(
    outputs: &Outputs,
    scored: &str,
    partitions: u16,
) -> Result<Option<Progress>, EngineError> {
    let Some(bytes) = outputs.writer.position() else {
        return Ok(None);
    };
    let progress = Progress::decode(bytes).map_err(|source| EngineError::Progress {
        writer: writer_of(&outputs.curated),
        source,
    })?;
    progress.check_partitions(scored, partitions)?;
    Ok(Some(progress))
}

/// What the rules of the last commit keep of the input that it had read: a replay under those
/// rules, whose output is collected.
fn under_other_rules(curate: &Curate, progress: &Progress) -> Result<Published, EngineError> {
    let writer = writer_of(&curate.curated);
    let earlier = Rules::from_progress(progress, &curate.sketch, &writer)?;
    tracing::info!("the selection rules have changed: publishing the difference");
    let threads = Threads::default();
    let scored = Input {
        store: Arc::clone(&curate.scored_store),
        log: curate.scored.clone(),
        from: progress.offsets.clone(),
        until: Box::new(|| Ok(Some(Offsets::default()))),
    };
    let reader = EpochReader {
        inputs: vec![scored],
        replay: true,
        first: 0,
        limits: EpochLimits {
            duration: curate.epoch,
            bytes_first: 1,
            bytes_max: 1,
        },
        stop: vec![Arc::clone(&curate.stop)],
        threads: threads.clone(),
    };
    let kept = Arc::new(Mutex::new(BTreeSet::new()));
    let collect = {
        let kept = Arc::clone(&kept);
        move |epoch: Job<Outcome>| {
            collect(&epoch.records, &mut kept.lock().expect("no panic before"));
            Ok(Vec::new())
        }
    };
    let pool = Pool::start("collect", [collect], &threads);
    run(curate.workers, reader, earlier, pool, threads)?;
    let kept = std::mem::take(&mut *kept.lock().expect("no panic before"));
    Ok(Published::UnderOtherRules(
        progress.epoch + 1,
        kept.into_iter().collect(),
    ))
}

fn collect(outcomes: &[Outcome], kept: &mut BTreeSet<Position>) {
    for outcome in outcomes {
        if let Outcome::Change(change) = outcome {
            if change.diff > 0 {
                kept.insert(change.record.position);
            } else {
                kept.remove(&change.record.position);
            }
        }
    }
}
