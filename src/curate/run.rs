//! Runs the curate dataflow from where the last commit was.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::coded::Coded;
use super::crew::{Crew, Plan};
use super::document::Document;
use super::facts::{Facts, Reading};
use super::outputs::{open_outputs, progress_of, writer_of};
use super::publish::{Outcome, Outputs, Published, Publisher};
use super::replay::Replay;
use super::restart::{keep, known, take_snapshots, usable};
use super::rules::{Rules, Skills};
use super::snapshot::{Folder, Form, Keeper, Snapshots};
use super::source::{ScoredInput, read};
use super::statistics::Statistics;
use super::{Parts, dataflow};
use crate::cluster::{Agreement, Links, Place};
use crate::config::{Sketch, Stage};
use crate::dataflow::{EpochLimits, EpochReader, Input, Job, Pool, Threads, Until};
use crate::engine::{Counters, EngineError};
use crate::log::{Layout, Offsets, Store};
use crate::records::Progress;

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
    /// Where snapshots of the live documents are kept, if they are.
    pub snapshots: Option<Snapshots>,
    /// Timely workers, of each process.
    pub workers: usize,
    /// The cluster whose first process this is; `None` for a process alone.
    pub place: Option<Place>,
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
    /// Where records of the losses go that are no reports.
    pub dead_letters: String,
}

/// Curates until the end, or until told to stop; on return all that was read is committed.
///
/// # Errors
/// [`EngineError`] when a log fails for good, or a process of the cluster is lost. What was
/// committed before stays, and a later call goes on from there.
pub fn curate(mut curate: Curate) -> Result<(), EngineError> {
    let skills = curate.skills.clone();
    let rules = Rules::new(curate.stages.clone(), curate.sketch.clone(), skills);
    let agreement = Agreement {
        workers: curate.workers,
        rules: rules.to_text(),
    };
    let Some(crew) = Crew::gather(curate.place.take(), &agreement, &curate.stop)? else {
        return Ok(());
    };
    curate.stop = crew.stop(&curate.stop);
    let result = curate_with(&crew, curate, rules, agreement.rules);
    crew.end(&result);
    result
}

/// Curates by these rules, `text` as text.
fn curate_with(
    crew: &Crew,
    curate: Curate,
    mut rules: Rules,
    text: String,
) -> Result<(), EngineError> {
    let (partitions, outputs, progress) = open(&curate)?;
    let snapshots = take_snapshots(&curate, progress.is_some());
    let published = match &progress {
        None => Published::Nothing,
        Some(progress) if progress.rules == text => Published::Replayed(progress.epoch),
        Some(progress) => under_other_rules(crew, &curate, progress, &rules, snapshots.as_ref())?,
    };
    let (first, replayed) = (published.first_epoch(), published.replayed());
    rules.replayed = replayed;
    let form = Form::of(&rules);
    let snapshot = usable(&curate, progress.as_ref(), snapshots.as_ref(), &form)?;
    let (keeper, tee) = keep(&curate, snapshots, form, &rules, first).unzip();
    let (threads, counters) = (Threads::default(), Arc::clone(&curate.counters));
    let mut publisher = Publisher::new(
        outputs,
        curate.scored_store.fetcher(&curate.scored)?,
        published,
        Statistics::new(rules.clone()),
        text,
        rules.groups.clone(),
        Arc::clone(&counters),
    );
    let publish = move |epoch: Job<Outcome>| publisher.publish(epoch);
    let publisher = Pool::start("publish", [publish], &threads);
    let known = known(snapshot.as_ref(), partitions);
    let input = ScoredInput {
        reader: reader(curate, progress, known, first, &threads),
        counters,
        snapshot,
        tee,
    };
    let source = Source { input, publisher };
    crew.run(
        &Plan::Configured { first, replayed },
        source,
        rules,
        threads,
    )?;
    // Only now is all that was read committed.
    keeper.into_iter().for_each(Keeper::finish);
    Ok(())
}

/// The partitions of the scored log, the logs to publish in, and what the last commit said.
fn open(curate: &Curate) -> Result<(u16, Outputs, Option<Progress>), EngineError> {
    let layout = Layout {
        partitions: curate.partitions,
        compacted: false,
    };
    let partitions = curate.scored_store.create(&curate.scored, layout)?;
    let outputs = open_outputs(curate, partitions)?;
    let position = outputs.writer.position();
    let progress = progress_of(position, &curate.curated, &curate.scored, partitions)?;
    Ok((partitions, outputs, progress))
}

/// Reads the scored log from `known` on, up to the last commit as a replay, and from there on the
/// log of losses with it.
fn reader(
    curate: Curate,
    progress: Option<Progress>,
    known: Offsets,
    first: u64,
    threads: &Threads,
) -> EpochReader {
    let replay = progress.is_some();
    let (offsets, losses) = progress.map(|it| (it.offsets, it.losses)).unzip();
    let scored = Input {
        store: curate.scored_store,
        log: curate.scored,
        from: offsets.unwrap_or_else(|| known.clone()),
        known,
        until: curate.until,
    };
    let losses = curate.mixture.map(|topics| Input {
        store: curate.curated_store,
        log: topics.losses,
        known: Offsets::start(1),
        from: losses.flatten().unwrap_or_else(|| Offsets::start(1)),
        until: topics.until,
    });
    EpochReader {
        tells_of_marks: false,
        inputs: [scored].into_iter().chain(losses).collect(),
        replay,
        first,
        limits: EpochLimits {
            duration: curate.epoch,
            bytes_first: EPOCH_BYTES_FIRST,
            bytes_max: EPOCH_BYTES_MAX,
        },
        stop: vec![curate.stop],
        threads: threads.clone(),
    }
}

/// What process 0 alone has: the logs to read, and the log to publish in.
pub struct Source {
    /// Reads.
    pub input: ScoredInput,
    /// Publishes.
    pub publisher: Pool<Outcome, ()>,
}

/// Runs the dataflow of these rules: codes are read only where a stage counts them.
///
/// # Errors
/// Its first failure.
pub fn run(
    workers: usize,
    links: Option<Links>,
    first: u64,
    source: Option<Source>,
    rules: Rules,
    threads: Threads,
) -> Result<(), EngineError> {
    match rules.by_density() {
        None => run_on::<Facts>(workers, links, first, source, rules, threads),
        Some(_) => run_on::<Coded>(workers, links, first, source, rules, threads),
    }
}

/// Runs the dataflow on `workers` threads; the first of all processes reads and publishes.
fn run_on<D: Document>(
    workers: usize,
    links: Option<Links>,
    first: u64,
    source: Option<Source>,
    rules: Rules,
    threads: Threads,
) -> Result<(), EngineError> {
    let of_first_worker = source.map(|source| {
        let reading = Reading::new(rules.groups.clone(), rules.sketch.clone());
        let read = read::<D>(source.input, reading, Form::of(&rules));
        (read, source.publisher)
    });
    let of_first_worker = Mutex::new(of_first_worker);
    let is_cluster = links.is_some();
    let crew = threads.clone();
    threads.execute(workers, links, move |index, scope| {
        let mine = (index == 0).then(|| of_first_worker.lock().expect("no panic before").take());
        let (read, publisher) = mine.flatten().unzip();
        let (rules, threads) = (&rules, &crew);
        dataflow::<D, _>(
            scope,
            Parts {
                first,
                read,
                rules,
                is_cluster,
                publisher,
                threads,
            },
        );
    })
}

/// What the rules of the last commit keep of the input that it had read.
fn under_other_rules(
    crew: &Crew,
    curate: &Curate,
    progress: &Progress,
    rules: &Rules,
    snapshots: Option<&Folder>,
) -> Result<Published, EngineError> {
    let writer = writer_of(&curate.curated);
    let earlier = Rules::from_progress(progress, &curate.sketch, &writer)?;
    tracing::info!("the selection rules have changed: publishing the difference");
    let snapshot = usable(curate, Some(progress), snapshots, &Form::of(&earlier))?;
    let replay = Replay {
        store: Arc::clone(&curate.scored_store),
        scored: curate.scored.clone(),
        snapshot,
        offsets: progress.offsets.clone(),
        stop: Arc::clone(&curate.stop),
        counters: Arc::clone(&curate.counters),
    };
    let named_otherwise = earlier.skills.field != rules.skills.field;
    let named = named_otherwise.then(|| earlier.groups.clone());
    let plan = Plan::Earlier {
        progress: progress.clone(),
    };
    Ok(Published::UnderOtherRules {
        replay: progress.epoch + 1,
        kept: replay.keep(crew, &plan, earlier)?.positions,
        named,
    })
}
