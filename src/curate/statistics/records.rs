//! The records of the statistics log, as JSON.

use operators::{Place, density};
use serde::Serialize;

use crate::config::Stage;
use crate::curate::drawn::cut;
use crate::curate::facts::NANO;
use crate::curate::mixture::ReportCounts;
use crate::curate::settings::draw_of;
use crate::curate::skills::Published;
use crate::log::{Offsets, Record};

/// The record of the whole corpus.
#[derive(Serialize)]
pub(super) struct Corpus<'a> {
    pub epoch: u64,
    /// How far the scored log was read, by partition: the corpus is what stands before.
    pub scored_offsets: &'a Offsets,
    /// How far the log of losses was read, where a mixture follows from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub losses_offsets: Option<&'a Offsets>,
    pub live: u64,
    pub curated: u64,
    pub admitted: u64,
    pub withdrawn: u64,
}

/// The record of a group of a stage.
#[derive(Serialize)]
pub(super) struct OfGroup<'a> {
    pub epoch: u64,
    pub stage: usize,
    #[serde(flatten)]
    pub rule: &'a Stage,
    pub group: Option<String>,
    pub documents: i64,
    pub documents_kept: i64,
    pub mass: i64,
    pub mass_kept: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_low: Option<Cut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_high: Option<Cut>,
}

/// The record of the stage by density.
#[derive(Serialize)]
pub(super) struct OfDensity<'a> {
    epoch: u64,
    stage: usize,
    #[serde(flatten)]
    rule: &'a Stage,
    /// Documents that may be drawn, and those that are.
    documents: u64,
    documents_kept: u64,
    /// Documents that densities are measured among.
    documents_counted: u64,
    /// A document of density d is drawn with a probability of 1 - exp(-cut/d); absent when all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<f64>,
    /// Counted documents by density: entry k has those from 2^k up to 2^(k+1), and entry 0 also
    /// those below 1.
    density_histogram: &'a [u64],
    /// How many cells of a row would be equally crowded if all documents were spread evenly over
    /// them; the mean over the rows.
    effective_cells: f64,
    sketch_bytes: u64,
}

/// The record of a skill.
#[derive(Serialize)]
pub(super) struct OfSkill {
    pub epoch: u64,
    /// Null for documents whose skill is not known.
    pub skill: Option<String>,
    pub live: Published,
    pub curated: Published,
}

/// The record of a trainer's reports.
#[derive(Serialize)]
struct OfReports {
    epoch: u64,
    #[serde(flatten)]
    counts: ReportCounts,
}

pub(super) fn of_reports(epoch: u64, counts: ReportCounts) -> Record {
    record("losses".to_owned(), Some(&OfReports { epoch, counts }))
}

/// Where a band begins or ends, in the unit of the stage's order.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Cut {
    Perplexity { mean_nll_nats: f64, perplexity: f64 },
    Draw { draw: f64 },
}

impl<'a> OfDensity<'a> {
    pub fn new(
        epoch: u64,
        stage: usize,
        rule: &'a Stage,
        rows: u16,
        summary: &'a density::Summary,
    ) -> Self {
        OfDensity {
            epoch,
            stage,
            rule,
            documents: summary.survivors,
            documents_kept: summary.kept,
            documents_counted: summary.counted,
            cut: summary.cut.map(|place| cut(Some(place), rows)),
            density_histogram: &summary.histogram,
            effective_cells: summary.effective_cells_milli as f64 / 1e3 / f64::from(rows),
            sketch_bytes: summary.sketch_bytes,
        }
    }
}

pub(super) fn cut_of(rule: &Stage, place: Place) -> Cut {
    match rule {
        Stage::Perplexity { .. } => {
            let mean_nll_nats = place.key as f64 * NANO;
            Cut::Perplexity {
                mean_nll_nats,
                perplexity: mean_nll_nats.exp(),
            }
        }
        Stage::Random { .. } | Stage::Skills { .. } | Stage::Stratified { .. } => Cut::Draw {
            draw: draw_of(place.key),
        },
        Stage::Density { .. } => unreachable!("it has no groups to say anything of"),
    }
}

pub(super) fn record(key: String, value: Option<&impl Serialize>) -> Record {
    let value = value
        .map(|value| serde_json::to_vec(value).expect("numbers and text can be written as JSON"));
    Record {
        key: Some(key.into_bytes()),
        value,
        headers: Vec::new(),
    }
}
