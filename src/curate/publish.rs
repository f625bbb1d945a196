//! Publishes epochs: changes of the curated set and statistics, committed with the place in the
//! scored log.

use std::sync::Arc;

use operators::Change;
use serde::{Deserialize, Serialize};

use super::changes::{Changes, Kept};
use super::groups::Groups;
use super::mixture::{Shares, Told};
use super::skills::SkillChange;
use super::statistics::{StageSummary, Statistics};
use crate::dataflow::{Job, Mark};
use crate::engine::{Counters, EngineError, commit_epoch};
use crate::log::{Fetcher, Offsets, Position, Record, Writer, partition_of};
use crate::records::Progress;

/// What the dataflow tells of an epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// A document entered or left the curated set.
    Change(Change<Kept>),
    /// What a stage did to a group that changed. Boxed, because a replay holds millions of changes.
    Summary(Box<StageSummary>),
    /// What there is of a skill changed.
    Skill(Box<SkillChange>),
    /// The mixture changed, or reports came that might have changed it.
    Mixture(Told),
    /// The epoch's end: how far the logs were read.
    Mark(Mark),
}

/// The log of curated documents and its statistics.
pub struct Outputs {
    /// Where both are appended.
    pub writer: Box<dyn Writer>,
    /// The log of curated documents.
    pub curated: String,
    /// How many partitions it has.
    pub partitions: u16,
    /// The log of statistics, with one partition in use.
    pub statistics: String,
    /// The log of the mixture, where there is one.
    pub mixture: Option<MixtureLog>,
}

/// Where the mixture is published, and what is said of where it comes from.
pub struct MixtureLog {
    /// The log, with one partition in use.
    pub topic: String,
    /// Where records of the losses go that are no reports; with one partition in use.
    pub dead_letters: String,
    /// How the mixture is found.
    pub method: &'static str,
    /// The trainer's run that it follows.
    pub run: String,
}

/// What was published before this start, and so need not be published again.
pub enum Published {
    /// Nothing.
    Nothing,
    /// What the same rules keep of the replayed input; the replay has this epoch.
    Replayed(u64),
    /// What other rules kept of it.
    UnderOtherRules {
        /// The epoch of the replay, which publishes the difference.
        replay: u64,
        /// The places of the documents, ascending.
        kept: Vec<Position>,
        /// What named the documents' skills, where that has changed too.
        named: Option<Groups>,
    },
}

impl Published {
    /// The number of the first epoch: that of the replay, if there is one.
    pub fn first_epoch(&self) -> u64 {
        match self {
            Published::Nothing => 0,
            Published::Replayed(epoch) => *epoch,
            Published::UnderOtherRules { replay, .. } => *replay,
        }
    }

    /// The epoch of a replay whose changes need not be told at all.
    pub fn replayed(&self) -> Option<u64> {
        match self {
            Published::Replayed(epoch) => Some(*epoch),
            Published::Nothing | Published::UnderOtherRules { .. } => None,
        }
    }
}

/// Turns epochs into transactions.
pub struct Publisher {
    outputs: Outputs,
    scored: Box<dyn Fetcher>,
    published: Published,
    statistics: Statistics,
    rules: String,
    groups: Groups,
    /// The mixture in force, and whether it is to be published.
    mixture: Option<Shares>,
    is_mixture_new: bool,
    /// Dead letters of the losses that are to be published.
    letters: Vec<Record>,
    curated: u64,
    counters: Arc<Counters>,
}

impl Publisher {
    /// A publisher of what `rules` keep, which reads documents back by `scored`.
    pub fn new(
        outputs: Outputs,
        scored: Box<dyn Fetcher>,
        published: Published,
        statistics: Statistics,
        rules: String,
        groups: Groups,
        counters: Arc<Counters>,
    ) -> Self {
        Publisher {
            outputs,
            scored,
            published,
            statistics,
            rules,
            groups,
            mixture: None,
            is_mixture_new: false,
            letters: Vec::new(),
            curated: 0,
            counters,
        }
    }

    /// Publishes a complete epoch; returns once it is durable.
    pub fn publish(&mut self, epoch: Job<Outcome>) -> Result<Vec<()>, EngineError> {
        let number = epoch.epoch;
        if matches!(self.published, Published::Replayed(replay) if replay == number) {
            self.note_replay(number, &epoch.records);
            return Ok(Vec::new());
        }
        // An epoch without a mark was cut short by the end of its reader: it is not committed.
        let (changes, Some(offsets)) = self.sort(epoch.records) else {
            return Ok(Vec::new());
        };
        let changes = match std::mem::replace(&mut self.published, Published::Nothing) {
            Published::UnderOtherRules {
                replay,
                kept,
                named,
            } if replay == number => {
                self.curated = kept.len() as u64;
                self.letters.clear();
                changes.since(&kept, named)
            }
            earlier => {
                self.published = earlier;
                changes
            }
        };
        let admitted = changes.admitted.len() - changes.replaced;
        self.count(number, admitted, changes.withdrawn.len());
        self.commit(number, &changes, &offsets, admitted)?;
        Counters::add(&self.counters.commits, 1);
        Counters::add(&self.counters.admitted, admitted as u64);
        Counters::add(&self.counters.withdrawn, changes.withdrawn.len() as u64);
        Ok(Vec::new())
    }

    /// Takes note of what was published before this start.
    fn note_replay(&mut self, epoch: u64, outcomes: &[Outcome]) {
        let mut kept = 0;
        for outcome in outcomes {
            match outcome {
                Outcome::Change(change) => kept += i64::from(change.diff),
                Outcome::Summary(summary) => self.statistics.note(summary),
                Outcome::Skill(change) => self.statistics.note_skill(change),
                Outcome::Mixture(told) => self.note_mixture(told.clone()),
                Outcome::Mark(_) => {}
            }
        }
        self.committed();
        let kept = self.statistics.kept().unwrap_or(kept as u64);
        self.count(epoch, kept as usize, 0);
    }

    fn note_mixture(&mut self, told: Told) {
        match told {
            Told::Mixture(shares) => {
                self.mixture = Some(shares);
                self.is_mixture_new = true;
            }
            Told::Reports(counts) => self.statistics.note_reports(counts),
            Told::Letter(letter) => self.letters.push(letter),
        }
    }

    /// What was to be published is.
    fn committed(&mut self) {
        self.statistics.committed();
        self.is_mixture_new = false;
        self.letters.clear();
    }

    /// The net changes of an epoch, its end, and, on the way, its statistics.
    fn sort(&mut self, outcomes: Vec<Outcome>) -> (Changes, Option<Vec<Offsets>>) {
        let (mut added, mut removed, mut offsets) = (Vec::new(), Vec::new(), None);
        for outcome in outcomes {
            match outcome {
                Outcome::Change(change) if change.diff > 0 => added.push(change),
                Outcome::Change(change) => removed.push(change),
                Outcome::Summary(summary) => self.statistics.note(&summary),
                Outcome::Skill(change) => self.statistics.note_skill(&change),
                Outcome::Mixture(told) => self.note_mixture(told),
                Outcome::Mark(mark) => offsets = Some(mark.offsets),
            }
        }
        (Changes::net(added, removed), offsets)
    }

    fn count(&mut self, epoch: u64, admitted: usize, withdrawn: usize) {
        self.curated = self.curated + admitted as u64 - withdrawn as u64;
        Counters::set(&self.counters.curated, self.curated);
        Counters::set(
            &self.counters.live,
            self.statistics.live().unwrap_or(self.curated),
        );
        Counters::set(&self.counters.epoch, epoch);
    }

    fn commit(
        &mut self,
        epoch: u64,
        changes: &Changes,
        offsets: &[Offsets],
        admitted: usize,
    ) -> Result<(), EngineError> {
        let totals = [
            self.curated,
            admitted as u64,
            changes.withdrawn.len() as u64,
        ];
        let statistics = self.statistics.records(epoch, offsets, totals);
        let statistics: Vec<Record> = statistics.collect();
        let progress = self.progress(epoch, offsets).encode();
        let mixture = self.mixture_record(epoch);
        let (scored, groups, letters) = (self.scored.as_mut(), &self.groups, &self.letters);
        let Outputs {
            writer,
            curated,
            partitions,
            statistics: log,
            mixture: mixture_log,
        } = &mut self.outputs;
        commit_epoch(writer.as_mut(), epoch, |writer| {
            changes.append(scored, groups, epoch, &mut |record| {
                let key = record.key.as_deref().unwrap_or_default();
                Ok(writer.append(curated, partition_of(key, *partitions), record)?)
            })?;
            for record in &statistics {
                writer.append(log, 0, record.clone())?;
            }
            for (log, record) in mixture_log.iter().zip(&mixture) {
                writer.append(&log.topic, 0, record.clone())?;
            }
            for letter in letters {
                let log = mixture_log
                    .as_ref()
                    .expect("letters come where losses are read");
                writer.append(&log.dead_letters, 0, letter.clone())?;
            }
            Ok(writer.commit(&progress)?)
        })?;
        self.committed();
        Ok(())
    }

    fn progress(&self, epoch: u64, offsets: &[Offsets]) -> Progress {
        let weights = |shares: &Shares| shares.weights().groups().to_vec();
        let mut progress = Progress::new(epoch, offsets[0].clone(), self.rules.clone());
        progress.losses = offsets.get(1).cloned();
        progress.weights = self.mixture.as_ref().map(weights);
        progress
    }

    /// The record of the mixture, if it is to be published.
    fn mixture_record(&self, epoch: u64) -> Option<Record> {
        let log = self.outputs.mixture.as_ref()?;
        let shares = self.mixture.as_ref().filter(|_| self.is_mixture_new)?;
        Some(shares.record(epoch, log.method, &log.run))
    }
}
