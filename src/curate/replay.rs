//! What given rules keep of the scored log up to a place: a replay as one epoch, whose output is
//! collected instead of published.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::crew::{Crew, Plan};
use super::publish::Outcome;
use super::restart::known;
use super::rules::Rules;
use super::run::Source;
use super::snapshot::Snapshot;
use super::source::ScoredInput;
use super::statistics::Statistics;
use crate::dataflow::{EpochLimits, EpochReader, Input, Job, Pool, Threads};
use crate::engine::{Counters, EngineError};
use crate::log::{Offsets, Position, Store};

/// The epoch of the replay.
const REPLAY: u64 = 0;

/// What to replay.
pub struct Replay {
    /// The store of the scored log.
    pub store: Arc<dyn Store>,
    /// The log of scored records.
    pub scored: String,
    /// What to begin with, if not with nothing.
    pub snapshot: Option<Snapshot>,
    /// How far.
    pub offsets: Offsets,
    /// Set to end early.
    pub stop: Arc<AtomicBool>,
    /// What is counted on the way: the records that are read.
    pub counters: Arc<Counters>,
}

/// What the rules keep.
pub struct KeptSet {
    /// The places of the documents' scored records, ascending: 8 bytes a document.
    pub positions: Vec<Position>,
    /// Live documents.
    pub live: u64,
    /// Whether the replay came to its end; `false` when it was told to stop.
    pub is_whole: bool,
}

impl Replay {
    /// What these rules, which members of the crew learn of by `plan`, keep of everything before
    /// the offsets.
    ///
    /// # Errors
    /// [`EngineError`] when the log fails, or is shorter than the offsets say.
    pub fn keep(self, crew: &Crew, plan: &Plan, rules: Rules) -> Result<KeptSet, EngineError> {
        let collected = Arc::new(Mutex::new(Collected::new(rules.clone())));
        let collect = {
            let collected = Arc::clone(&collected);
            move |epoch: Job<Outcome>| {
                // Behind the replay an epoch opens that nothing comes in, and stages tell of it too.
                if epoch.epoch > REPLAY {
                    return Ok(Vec::new());
                }
                let mut collected = collected.lock().expect("no panic before");
                epoch.records.iter().for_each(|it| collected.note(it));
                Ok(Vec::new())
            }
        };
        let threads = Threads::default();
        let publisher = Pool::start("collect", [collect], &threads);
        let input = self.input(&threads);
        let source = Source { input, publisher };
        crew.run(plan, source, rules.clone(), threads)?;
        let mut collected = collected.lock().expect("no panic before");
        Ok(std::mem::replace(&mut *collected, Collected::new(rules)).into_kept())
    }

    fn input(self, threads: &Threads) -> ScoredInput {
        let scored = Input {
            store: self.store,
            log: self.scored,
            known: known(self.snapshot.as_ref(), self.offsets.0.len() as u16),
            from: self.offsets,
            until: Box::new(|| Ok(Some(Offsets::default()))),
        };
        let reader = EpochReader {
            tells_of_marks: false,
            inputs: vec![scored],
            replay: true,
            first: REPLAY,
            // Nothing is read behind the replay.
            limits: EpochLimits {
                duration: Duration::ZERO,
                bytes_first: 1,
                bytes_max: 1,
            },
            stop: vec![self.stop],
            threads: threads.clone(),
        };
        ScoredInput {
            reader,
            counters: self.counters,
            snapshot: self.snapshot,
            tee: None,
        }
    }
}

/// What the dataflow has told.
struct Collected {
    kept: BTreeSet<Position>,
    statistics: Statistics,
    is_whole: bool,
}

impl Collected {
    fn new(rules: Rules) -> Self {
        Collected {
            kept: BTreeSet::new(),
            statistics: Statistics::new(rules),
            is_whole: false,
        }
    }

    fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Change(change) if change.diff > 0 => {
                self.kept.insert(change.record.position);
            }
            Outcome::Change(change) => {
                self.kept.remove(&change.record.position);
            }
            Outcome::Summary(summary) => self.statistics.note(summary),
            Outcome::Mark(_) => self.is_whole = true,
            // Nobody asks for the sums by skill of a replay, and the mixture is given.
            Outcome::Skill(_) | Outcome::Mixture(_) => {}
        }
    }

    fn into_kept(self) -> KeptSet {
        let curated = self.kept.len() as u64;
        KeptSet {
            live: self.statistics.live().unwrap_or(curated),
            positions: self.kept.into_iter().collect(),
            is_whole: self.is_whole,
        }
    }
}
