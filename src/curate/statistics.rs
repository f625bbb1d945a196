//! Statistics of the corpus and of each stage, as records of a compacted log.

use std::collections::{BTreeMap, BTreeSet};

use operators::{Place, Summary};
use serde::{Deserialize, Serialize};

use super::facts::NANO;
use super::groups::Groups;
use crate::config::Stage;
use crate::log::{Offsets, Record};

/// What a stage did to a group, with the stage's place in the chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageSummary {
    /// The stage, counted from 0.
    pub stage: usize,
    /// The group and its band.
    pub summary: Summary,
}

/// The statistics after the last complete epoch, and which of them are to be published.
pub struct Statistics {
    stages: Vec<Stage>,
    groups: Groups,
    summaries: BTreeMap<(usize, u64), Summary>,
    changed: BTreeSet<(usize, u64)>,
    live: i64,
    kept: i64,
}

/// The record of the whole corpus.
#[derive(Serialize)]
struct Corpus<'a> {
    epoch: u64,
    /// How far the scored log was read, by partition: the corpus is what stands before.
    scored_offsets: &'a Offsets,
    live: u64,
    curated: u64,
    admitted: u64,
    withdrawn: u64,
}

/// The record of a group of a stage.
#[derive(Serialize)]
struct OfGroup<'a> {
    epoch: u64,
    stage: usize,
    #[serde(flatten)]
    rule: &'a Stage,
    group: Option<String>,
    documents: i64,
    documents_kept: i64,
    mass: i64,
    mass_kept: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_low: Option<Cut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_high: Option<Cut>,
}

/// Where a band begins or ends, in the unit of the stage's order.
#[derive(Serialize)]
#[serde(untagged)]
enum Cut {
    Perplexity { mean_nll_nats: f64, perplexity: f64 },
    Draw { draw: f64 },
}

impl Statistics {
    /// No statistics yet, of these stages.
    pub fn new(stages: Vec<Stage>, groups: Groups) -> Self {
        let (summaries, changed) = (BTreeMap::new(), BTreeSet::new());
        Statistics {
            stages,
            groups,
            summaries,
            changed,
            live: 0,
            kept: 0,
        }
    }

    /// Live documents, or `None` where no stage counts them.
    pub fn live(&self) -> Option<u64> {
        (!self.stages.is_empty()).then_some(self.live as u64)
    }

    /// Documents that the last stage keeps, or `None` where no stage counts them.
    pub fn kept(&self) -> Option<u64> {
        (!self.stages.is_empty()).then_some(self.kept as u64)
    }

    /// Takes note of a group that changed.
    pub fn note(&mut self, StageSummary { stage, summary }: &StageSummary) {
        let place = (*stage, summary.group);
        let before = if summary.live.documents == 0 {
            self.summaries.remove(&place)
        } else {
            self.summaries.insert(place, *summary)
        };
        if *stage == 0 {
            self.live += summary.live.documents - before.map_or(0, |s| s.live.documents);
        }
        if *stage + 1 == self.stages.len() {
            self.kept += summary.kept.documents - before.map_or(0, |s| s.kept.documents);
        }
        self.changed.insert(place);
    }

    /// The records to publish at the end of `epoch`: the corpus, and each group that changed since
    /// the last commit; a tombstone where no document of a group is left.
    ///
    /// `totals` are the curated documents, and those admitted and withdrawn in the epoch.
    pub fn records(
        &self,
        epoch: u64,
        scored_offsets: &Offsets,
        totals: [u64; 3],
    ) -> impl Iterator<Item = Record> {
        let [curated, admitted, withdrawn] = totals;
        let live = self.live().unwrap_or(curated);
        let corpus = Corpus {
            epoch,
            scored_offsets,
            live,
            curated,
            admitted,
            withdrawn,
        };
        let groups = self
            .changed
            .iter()
            .map(move |place| self.of_group(epoch, *place));
        std::iter::once(record("corpus".to_owned(), Some(&corpus))).chain(groups)
    }

    /// What was to be published is.
    pub fn committed(&mut self) {
        self.changed.clear();
    }

    fn of_group(&self, epoch: u64, place: (usize, u64)) -> Record {
        let (stage, group) = (place.0, self.groups.name(place.1));
        let rule = &self.stages[stage];
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
            cut_low: summary.low.map(|place| cut(rule, place)),
            cut_high: summary.high.map(|place| cut(rule, place)),
        });
        record(key, value.as_ref())
    }
}

fn cut(rule: &Stage, place: Place) -> Cut {
    match rule {
        Stage::Perplexity { .. } => {
            let mean_nll_nats = place.key as f64 * NANO;
            Cut::Perplexity {
                mean_nll_nats,
                perplexity: mean_nll_nats.exp(),
            }
        }
        Stage::Random { .. } => Cut::Draw {
            draw: super::stages::draw_of(place.key),
        },
    }
}

fn record(key: String, value: Option<&impl Serialize>) -> Record {
    let value = value
        .map(|value| serde_json::to_vec(value).expect("numbers and text can be written as JSON"));
    Record {
        key: Some(key.into_bytes()),
        value,
        headers: Vec::new(),
    }
}
