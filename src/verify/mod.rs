//! Verify: recomputes in batch, from the scored log, what should be published, and compares it with
//! what was.
//!
//! It only reads: the engine may run meanwhile, and what it commits later is left out of both
//! sides. [`verify`] is the order of its steps.

mod compare;
mod content;
mod digest;
mod published;
mod report;
mod stated;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::config::{Sketch, Stage};
use crate::curate::{Crew, Plan, Replay, Rules, Skills, last_progress, writer_of};
use crate::engine::{EngineError, Steps};
use crate::log::{LogError, Store};
use crate::records::Progress;
use compare::{Batch, compare};
use published::Published;
use stated::{mixture_agrees, statistics};

pub use report::{Corpus, Difference, Example, Report, Side};

/// What to verify, and where.
pub struct Verify {
    /// The store of the scored log.
    pub scored_store: Arc<dyn Store>,
    /// The log of scored records.
    pub scored: String,
    /// The store of what is published.
    pub curated_store: Arc<dyn Store>,
    /// The log of curated documents.
    pub curated: String,
    /// The log of statistics.
    pub statistics: String,
    /// The log of the mixture; it need not be there.
    pub mixture: String,
    /// The selection stages as configured. What counts is those of the last commit.
    pub stages: Vec<Stage>,
    /// The sketch that codes must be of, where a stage is by density.
    pub sketch: Sketch,
    /// What is known of skills as configured.
    pub skills: Skills,
    /// Timely workers of the recomputation.
    pub workers: usize,
    /// Set to end early.
    pub stop: Arc<AtomicBool>,
    /// What is going on, for whoever waits.
    pub steps: Arc<Steps>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The recomputation failed, or what it needs is not there.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Nothing has ever been committed.
    #[error(
        "there is nothing to verify: curate has not committed anything to log {curated:?}; run it \
         first, or name the configuration it runs with"
    )]
    NothingCommitted {
        /// The log of curated documents.
        curated: String,
    },
    /// It was told to stop. Then nothing is known.
    #[error("stopped before the comparison was complete")]
    Stopped,
}

/// The report on what is published, as of curate's last commit.
///
/// Memory: 75 bytes and more a live document while it recomputes, as for a replay; then 8 bytes a
/// kept document and about 80 a published one.
///
/// # Errors
/// [`VerifyError`] when the two cannot be compared. That they differ is no error.
pub fn verify(verify: &Verify) -> Result<Report, VerifyError> {
    let begun = Instant::now();
    let progress = progress(verify)?;
    let (rules, are_others) = rules(verify, &progress)?;
    let groups = rules.groups.clone();
    verify.steps.begin("recomputing", total(&progress));
    let crew = Crew::alone(verify.workers);
    let plan = Plan::Earlier {
        progress: progress.clone(),
    };
    let kept = replay(verify, &progress).keep(&crew, &plan, rules)?;
    if !kept.is_whole {
        return Err(VerifyError::Stopped);
    }
    let published = Published::read(verify, progress.epoch)?;
    verify.steps.begin("comparing", total(&progress));
    let batch = Batch {
        kept: &kept.positions,
        groups: &groups,
        offsets: &progress.offsets,
    };
    let mut report = compare(verify, &batch, published)?;
    report.epoch = progress.epoch;
    report.scored_offsets = progress.offsets.clone();
    report.rules = progress.rules.clone();
    report.are_rules_others = are_others;
    report.corpus = Corpus {
        live: kept.live,
        curated: kept.positions.len() as u64,
    };
    report.statistics = statistics(verify, progress.epoch)?;
    report.is_mixture_equal = mixture_agrees(verify, &progress)?;
    report.seconds = begun.elapsed().as_secs_f64();
    report.equal = report.agrees();
    Ok(report)
}

fn progress(verify: &Verify) -> Result<Progress, VerifyError> {
    let scored = &verify.scored;
    let nothing = || VerifyError::NothingCommitted {
        curated: verify.curated.clone(),
    };
    let partitions = verify.scored_store.partitions(scored)?;
    let partitions = partitions.ok_or_else(nothing)?;
    let store = verify.curated_store.as_ref();
    last_progress(store, &verify.curated, scored, partitions)?.ok_or_else(nothing)
}

/// The rules of the last commit, and whether others are configured now.
fn rules(verify: &Verify, progress: &Progress) -> Result<(Rules, bool), VerifyError> {
    let Verify {
        stages,
        sketch,
        skills,
        ..
    } = verify;
    let configured = Rules::new(stages.clone(), sketch.clone(), skills.clone());
    let committed = Rules::from_progress(progress, sketch, &writer_of(&verify.curated))?;
    Ok((committed, configured.to_text() != progress.rules))
}

fn replay(verify: &Verify, progress: &Progress) -> Replay {
    Replay {
        store: Arc::clone(&verify.scored_store),
        scored: verify.scored.clone(),
        // What is verified must not be what it is compared with: all is read from the log.
        snapshot: None,
        offsets: progress.offsets.clone(),
        stop: Arc::clone(&verify.stop),
        counters: verify.steps.counters(),
    }
}

fn total(progress: &Progress) -> u64 {
    progress.offsets.0.iter().sum()
}
