//! Statistics of the corpus and of each stage, as records of a compacted log.

mod records;

use std::collections::{BTreeMap, BTreeSet};

use operators::{Summary, density};
use serde::{Deserialize, Serialize};

use super::groups::Groups;
use super::mixture::ReportCounts;
use super::rules::Rules;
use super::skills::{SkillChange, SkillSums};
use crate::config::Stage;
use crate::log::{Offsets, Record};
use records::{Corpus, OfDensity, OfGroup, OfSkill, cut_of, of_reports, record};

/// What a stage says of itself, with its place in the chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageSummary {
    /// The stage, counted from 0.
    pub stage: usize,
    /// What it says.
    pub told: Told,
}

/// What a stage says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Told {
    /// What a band of an order did to a group that changed: the group and its band.
    Group(Summary),
    /// A worker's part of what the stage by density did, in every epoch.
    Density(density::Summary),
}

/// The statistics after the last complete epoch, and which of them are to be published.
pub struct Statistics {
    rules: Rules,
    summaries: BTreeMap<(usize, u64), Summary>,
    changed: BTreeSet<(usize, u64)>,
    /// Of the stage by density: the sum of all workers' parts.
    density: Option<density::Summary>,
    /// The epoch of `density` is over: what comes next is of another.
    is_density_over: bool,
    /// Of each skill the sums over the live and over the curated documents.
    skills: BTreeMap<u64, [SkillSums; 2]>,
    changed_skills: BTreeSet<u64>,
    /// What became of a trainer's reports, where that is to be published.
    reports: Option<ReportCounts>,
    live: i64,
    kept: i64,
}

impl Statistics {
    /// No statistics yet, of these rules.
    pub fn new(rules: Rules) -> Self {
        Statistics {
            rules,
            summaries: BTreeMap::new(),
            changed: BTreeSet::new(),
            density: None,
            is_density_over: false,
            skills: BTreeMap::new(),
            changed_skills: BTreeSet::new(),
            reports: None,
            live: 0,
            kept: 0,
        }
    }

    /// Live documents, or `None` where no stage counts them.
    pub fn live(&self) -> Option<u64> {
        let first = self.rules.stages.first()?;
        Some(match (first, &self.density) {
            (Stage::Density { .. }, Some(density)) => density.survivors,
            _ => self.live as u64,
        })
    }

    /// Documents that the last stage keeps, or `None` where no stage counts them.
    pub fn kept(&self) -> Option<u64> {
        let last = self.rules.stages.last()?;
        Some(match (last, &self.density) {
            (Stage::Density { .. }, Some(density)) => density.kept,
            _ => self.kept as u64,
        })
    }

    /// Takes note of what a stage says.
    pub fn note(&mut self, StageSummary { stage, told }: &StageSummary) {
        match told {
            Told::Group(summary) => self.note_group(*stage, summary),
            Told::Density(part) => self.note_density(part),
        }
    }

    fn note_group(&mut self, stage: usize, summary: &Summary) {
        let place = (stage, summary.group);
        let before = if summary.live.documents == 0 {
            self.summaries.remove(&place)
        } else {
            self.summaries.insert(place, *summary)
        };
        if stage == 0 {
            self.live += summary.live.documents - before.map_or(0, |s| s.live.documents);
        }
        if stage + 1 == self.rules.stages.len() {
            self.kept += summary.kept.documents - before.map_or(0, |s| s.kept.documents);
        }
        self.changed.insert(place);
    }

    /// Takes note of what there is of a skill.
    pub fn note_skill(&mut self, SkillChange { of, skill, by }: &SkillChange) {
        let sums = self.skills.entry(*skill).or_default();
        sums[*of as usize] += *by;
        if *sums == <[SkillSums; 2]>::default() {
            self.skills.remove(skill);
        }
        self.changed_skills.insert(*skill);
    }

    /// Takes note of what became of a trainer's reports.
    pub fn note_reports(&mut self, counts: ReportCounts) {
        self.reports = Some(counts);
    }

    fn note_density(&mut self, part: &density::Summary) {
        if std::mem::take(&mut self.is_density_over) {
            self.density = None;
        }
        *self.density.get_or_insert_default() += part;
    }

    /// The records to publish at the end of `epoch`: the corpus, each group that changed since the
    /// last commit, a tombstone where no document of a group is left, and the stage by density.
    ///
    /// `totals` are the curated documents, and those admitted and withdrawn in the epoch.
    pub fn records(
        &self,
        epoch: u64,
        offsets: &[Offsets],
        totals: [u64; 3],
    ) -> impl Iterator<Item = Record> {
        let [curated, admitted, withdrawn] = totals;
        let live = self.live().unwrap_or(curated);
        let corpus = Corpus {
            epoch,
            scored_offsets: &offsets[0],
            losses_offsets: offsets.get(1),
            live,
            curated,
            admitted,
            withdrawn,
        };
        let groups = self
            .changed
            .iter()
            .map(move |place| self.of_group(epoch, *place));
        std::iter::once(record("corpus".to_owned(), Some(&corpus)))
            .chain(groups)
            .chain(self.of_density(epoch))
            .chain(
                self.changed_skills
                    .iter()
                    .map(move |skill| self.of_skill(epoch, *skill)),
            )
            .chain(self.reports.map(|counts| of_reports(epoch, counts)))
    }

    /// What was to be published is.
    pub fn committed(&mut self) {
        self.changed.clear();
        self.changed_skills.clear();
        self.reports = None;
        self.is_density_over = true;
    }

    fn of_group(&self, epoch: u64, place: (usize, u64)) -> Record {
        let (stage, group) = (place.0, self.groups().name(place.1));
        let rule = &self.rules.stages[stage];
        let key = match &group {
            Some(name) => format!("stage/{stage}/{name}"),
            None => format!("stage/{stage}"),
        };
        let value = self.summaries.get(&place).map(|summary| OfGroup {
            epoch,
            stage,
            rule,
            group,
            documents: summary.live.documents,
            documents_kept: summary.kept.documents,
            mass: summary.live.mass,
            mass_kept: summary.kept.mass,
            cut_low: summary.low.map(|place| cut_of(rule, place)),
            cut_high: summary.high.map(|place| cut_of(rule, place)),
        });
        record(key, value.as_ref())
    }

    fn of_density(&self, epoch: u64) -> Option<Record> {
        let (stage, summary) = (self.rules.by_density()?, self.density.as_ref()?);
        let (rule, rows) = (&self.rules.stages[stage], self.rules.sketch.rows);
        let value = OfDensity::new(epoch, stage, rule, rows, summary);
        Some(record(format!("stage/{stage}"), Some(&value)))
    }

    fn of_skill(&self, epoch: u64, skill: u64) -> Record {
        let name = self.groups().name(skill);
        let key = match &name {
            Some(name) => format!("skill/{name}"),
            None => "skill".to_owned(),
        };
        let value = self.skills.get(&skill).map(|[live, curated]| OfSkill {
            epoch,
            skill: name,
            live: (*live).into(),
            curated: (*curated).into(),
        });
        record(key, value.as_ref())
    }

    fn groups(&self) -> &Groups {
        &self.rules.groups
    }
}
