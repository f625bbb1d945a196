//! Runs the curate dataflow from where the last commit was.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mixtures::Report;
use operators::Upsert;

use super::coded::Coded;
use super::crew::{Crew, Plan};
use super::document::Document;
use super::facts::{Facts, FactsError, Reading, upsert};
use super::groups::Groups;
use super::mixture::Reported;
use super::publish::{MixtureLog, Outcome, Outputs, Published, Publisher};
use super::replay::Replay;
use super::rules::{Mixing, Rules, Skills};
use super::snapshot::{Folder, Form, Keeper, Keeping, Snapshot, Snapshots, Tee, Wanted};
use super::snapshot::{newest, restore};
use super::statistics::Statistics;
use super::{Parts, dataflow};
use crate::cluster::{Agreement, Links, Place};
use crate::config::{Sketch, Stage};
use crate::dataflow::{Epoch, EpochLimits, EpochReader, Input, Job, Pool, Sending, Threads, Until};
use crate::engine::{Counters, EngineError};
use crate::log::{Layout, Offsets, Received, Store};
use crate::records::Progress;

/// The name of the curator's writer: at most one is live. It names the log, since on one Kafka
/// cluster other pipelines may have curators of their own.
pub(crate) fn writer_of(curated: &str) -> String {
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
    let scored_store = Arc::clone(&curate.scored_store);
    let layout = Layout {
        partitions: curate.partitions,
        compacted: false,
    };
    let partitions = scored_store.create(&curate.scored, layout)?;
    let outputs = open_outputs(&curate, partitions)?;
    let progress = outputs.writer.position();
    let progress = progress_of(progress, &curate.curated, &curate.scored, partitions)?;
    let snapshots = take_snapshots(&curate, progress.is_some());
    let published = match &progress {
        None => Published::Nothing,
        Some(progress) if progress.rules == text => Published::Replayed(progress.epoch),
        Some(progress) => under_other_rules(crew, &curate, progress, &rules, snapshots.as_ref())?,
    };
    let first = match &published {
        Published::Nothing => 0,
        Published::Replayed(epoch) => *epoch,
        Published::UnderOtherRules { replay, .. } => *replay,
    };
    if let Published::Replayed(epoch) = published {
        rules.replayed = Some(epoch);
    }
    let form = Form::of(&rules);
    let snapshot = usable(&curate, progress.as_ref(), snapshots.as_ref(), &form)?;
    let (keeper, tee) = keep(&curate, snapshots, form, &rules, first).unzip();
    let threads = Threads::default();
    let (offsets, losses) = progress.map(|it| (it.offsets, it.losses)).unzip();
    let scored = Input {
        store: Arc::clone(&scored_store),
        log: curate.scored.clone(),
        known: known(snapshot.as_ref(), partitions),
        from: offsets.unwrap_or_else(|| Offsets::start(partitions)),
        until: curate.until,
    };
    let losses = curate.mixture.map(|topics| Input {
        store: curate.curated_store,
        log: topics.losses,
        known: Offsets::start(1),
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
        Arc::clone(&curate.counters),
    );
    let publish = move |epoch: Job<Outcome>| publisher.publish(epoch);
    let publisher = Pool::start("publish", [publish], &threads);
    let replayed = rules.replayed;
    let plan = Plan::Configured { first, replayed };
    let input = ScoredInput {
        reader,
        counters: curate.counters,
        snapshot,
        tee,
    };
    let source = Source { input, publisher };
    crew.run(&plan, source, rules, threads)?;
    // Only now is all that was read committed.
    keeper.into_iter().for_each(Keeper::finish);
    Ok(())
}

/// What process 0 alone has: the logs to read, and the log to publish in.
pub struct Source {
    /// Reads.
    pub input: ScoredInput,
    /// Publishes.
    pub publisher: Pool<Outcome, ()>,
}

/// What the source's thread works with.
pub struct ScoredInput {
    /// Reads the scored log, and with it the log of losses.
    pub reader: EpochReader,
    /// What is counted on the way.
    pub counters: Arc<Counters>,
    /// What is sent in the place of the log up to where the reader's replay begins.
    pub snapshot: Option<Snapshot>,
    /// What makes the next ones.
    pub tee: Option<Tee>,
}

/// The directory of snapshots, if they are to be kept and it can be used. Without a commit there is
/// nothing that they could be of: they are removed.
fn take_snapshots(curate: &Curate, is_committed: bool) -> Option<Folder> {
    let snapshots = curate.snapshots.as_ref()?;
    let folder = Folder::take(&snapshots.dir).and_then(|folder| {
        if !is_committed {
            folder.remove_all()?;
        }
        Ok(folder)
    });
    let warn = |error| tracing::warn!(%error, "no snapshots are used or made");
    folder.map_err(warn).ok()
}

/// The snapshot to begin with, if there is one; says where reading begins.
fn usable(
    curate: &Curate,
    progress: Option<&Progress>,
    folder: Option<&Folder>,
    form: &Form,
) -> Result<Option<Snapshot>, EngineError> {
    let Some(Progress { epoch, offsets, .. }) = progress else {
        return Ok(None);
    };
    let log = &curate.scored;
    let wanted = Wanted {
        log,
        committed: offsets,
        form,
    };
    let newest = |folder| newest(folder, &wanted, curate.scored_store.as_ref());
    let snapshot = folder.map(newest).transpose()?.flatten();
    let records = known(snapshot.as_ref(), offsets.0.len() as u16).distance(offsets);
    match &snapshot {
        None => tracing::info!(epoch, records, "replaying the scored log"),
        Some(Snapshot {
            path, documents, ..
        }) => tracing::info!(
            epoch,
            snapshot = %path.display(),
            documents,
            records,
            "starting from a snapshot, then replaying the scored log behind it"
        ),
    }
    Ok(snapshot)
}

/// Where reading begins.
pub fn known(snapshot: Option<&Snapshot>, partitions: u16) -> Offsets {
    let offsets = snapshot.map(|snapshot| snapshot.header.offsets.clone());
    offsets.unwrap_or_else(|| Offsets::start(partitions))
}

/// Starts to make snapshots from this epoch on.
fn keep(
    curate: &Curate,
    folder: Option<Folder>,
    form: Form,
    rules: &Rules,
    first: u64,
) -> Option<(Keeper, Tee)> {
    let (folder, snapshots) = folder.zip(curate.snapshots.as_ref())?;
    Some(Keeper::start(Keeping {
        folder,
        schedule: snapshots.schedule,
        log: curate.scored.clone(),
        form,
        groups: rules.groups.clone(),
        first,
    }))
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

/// The source's thread: the snapshot, scored records as upserts, then reports; what is none of ours
/// is passed over.
fn read<D: Document>(
    input: ScoredInput,
    reading: Reading,
    form: Form,
) -> impl FnOnce(Sending<super::Received<D>>) -> Result<(), EngineError> + Send {
    move |mut sending| {
        let ScoredInput {
            mut reader,
            counters,
            snapshot,
            tee,
        } = input;
        let is_over = || reader.is_over();
        let Some(begun) = begin(snapshot, &form, &reading.groups, &sending, is_over) else {
            return Ok(());
        };
        if begun.is_none() {
            reader.inputs[0].known = Offsets::start(reader.inputs[0].from.0.len() as u16);
        }
        if let Some(mut tee) = tee {
            begun.into_iter().for_each(|base| tee.begin_with(base));
            sending = sending.followed_by(Box::new(tee));
        }
        let logs: Vec<String> = reader.inputs.iter().map(|it| it.log.clone()).collect();
        reader.run(&sending, |index, received: Received| {
            let (log, position) = (&logs[index], received.position);
            if index > 0 {
                let report = super::Received::Report(report(log, &received));
                return Ok(Some(report));
            }
            Counters::add(&counters.scored_read, 1);
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

/// Sends the snapshot; gives it back if all of it was sent, `None` in the place of all if reading is
/// over.
///
/// Where it does not read to its end, what was sent are documents as they once were: the whole log,
/// read behind them in the same epoch, leaves of them what is live.
fn begin<D: Document>(
    snapshot: Option<Snapshot>,
    form: &Form,
    groups: &Groups,
    sending: &Sending<super::Received<D>>,
    is_over: impl Fn() -> bool,
) -> Option<Option<Snapshot>> {
    let Some(snapshot) = snapshot else {
        return Some(None);
    };
    let send = |documents: Vec<Upsert<D>>| {
        let documents = documents.into_iter().map(super::Received::Document);
        !is_over() && sending.send(Epoch::Records(documents.collect()))
    };
    match restore(&snapshot, form, groups, send) {
        Ok(true) => Some(Some(snapshot)),
        Ok(false) => None,
        Err(error) => {
            tracing::warn!(%error, "a snapshot does not read; reading the whole scored log again");
            Some(None)
        }
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

/// Where the curator of a log stands, which goes on undisturbed; `None` before its first commit.
///
/// # Errors
/// The store's, and [`EngineError`] when the position does not read, or is of a scored log with
/// another number of partitions.
pub(crate) fn last_progress(
    store: &dyn Store,
    curated: &str,
    scored: &str,
    partitions: u16,
) -> Result<Option<Progress>, EngineError> {
    let position = store.position(&writer_of(curated))?;
    progress_of(position.as_deref(), curated, scored, partitions)
}

/// What the bytes of the curator's last commit say.
fn progress_of(
    bytes: Option<&[u8]>,
    curated: &str,
    scored: &str,
    partitions: u16,
) -> Result<Option<Progress>, EngineError> {
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let progress = Progress::decode(bytes).map_err(|source| EngineError::Progress {
        writer: writer_of(curated),
        source,
    })?;
    progress.check_partitions(scored, partitions)?;
    Ok(Some(progress))
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
