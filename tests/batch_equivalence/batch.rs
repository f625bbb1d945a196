//! What a batch job makes of the scored log: it sorts, counts and sums.
//!
//! Of the operators it takes only the functions that are durable behaviour and tested against
//! vectors of their own: draws, the exponential variate, and the levels of counts.

use std::collections::{BTreeMap, HashMap};

use operators::DocumentHash;
use operators::density::{LEVEL_FRACTION_BITS, Levels, exponential};
use riffle::config::{Keep, Mass, Over, Stage};
use riffle::log::{Offsets, Position, Received};
use riffle::records::{Scored, field};

use crate::scenario::sketch;

/// Documents by id, each with its last record.
pub type Documents<'a> = BTreeMap<&'a [u8], &'a Received>;

/// The last record of each key, where it is not a tombstone.
pub fn latest<'a>(records: impl Iterator<Item = &'a Received>) -> Documents<'a> {
    let mut live = BTreeMap::new();
    for received in records {
        let key = received.record.key.as_deref().unwrap();
        match received.record.value {
            Some(_) => live.insert(key, received),
            None => live.remove(key),
        };
    }
    live
}

/// What a batch job selects.
pub struct Batch<'a> {
    pub kept: Documents<'a>,
    /// What the stage by density did, if there is one.
    pub sample: Option<Sample<'a>>,
}

/// What the stage by density draws.
pub struct Sample<'a> {
    /// The place of the stage.
    pub stage: usize,
    pub counted: usize,
    pub survivors: usize,
    /// The places and densities of the drawn, by id.
    pub drawn: BTreeMap<&'a [u8], (Position, f64)>,
    /// Where the order E(x)·s(x) is cut, in the unit of densities; infinite if all are drawn.
    pub cut: f64,
    pub histogram: Vec<u64>,
    pub effective_cells: f64,
}

/// What a batch job selects of the scored log before `offsets`.
pub fn batch<'a>(scored: &'a [Received], offsets: &Offsets, stages: &[Stage]) -> Batch<'a> {
    let before =
        |r: &&Received| r.position.offset() < offsets.0[usize::from(r.position.partition())];
    let live = latest(scored.iter().filter(before));
    let mut batch = Batch {
        kept: live.clone(),
        sample: None,
    };
    for (index, stage) in stages.iter().enumerate() {
        if stage.is_by_density() {
            let sample = sample(&live, &batch.kept, stage, index);
            batch.kept.retain(|id, _| sample.drawn.contains_key(id));
            batch.sample = Some(sample);
        } else {
            batch.kept = bands(&batch.kept, stage);
        }
    }
    batch
}

fn hash(id: &[u8]) -> [u8; 16] {
    blake3::hash(id).as_bytes()[..16].try_into().unwrap()
}

fn decoded<'a>(received: &'a Received) -> Scored<'a> {
    Scored::decode(received.record.value.as_deref().unwrap()).unwrap()
}

/// A document in a group's order: its key, its id's hash, its mass, its id.
type Ranked<'a> = (i64, [u8; 16], u64, &'a [u8]);

/// What a stage keeps that is a band of an order, in each group.
fn bands<'a>(documents: &Documents<'a>, stage: &Stage) -> Documents<'a> {
    let mut groups: BTreeMap<Option<String>, Vec<Ranked<'a>>> = BTreeMap::new();
    for (&id, received) in documents {
        let scored = decoded(received);
        let group = stage
            .group_by()
            .and_then(|path| field(scored.document, path.as_str()));
        let group = group.and_then(|value| value.as_str().map(str::to_owned));
        let mass = match stage.mass() {
            Mass::Tokens => u64::from(scored.tokens),
            Mass::Documents => 1,
        };
        let ranked = (key(stage, &scored, hash(id)), hash(id), mass, id);
        groups.entry(group).or_default().push(ranked);
    }
    let mut kept = Documents::new();
    for documents_of_group in groups.values_mut() {
        documents_of_group.sort();
        for id in band(stage, documents_of_group) {
            kept.insert(id, documents[id]);
        }
    }
    kept
}

fn key(stage: &Stage, scored: &Scored<'_>, hash: [u8; 16]) -> i64 {
    match stage {
        Stage::Perplexity { .. } => (scored.mean_nll_nats / 1e-9).round() as i64,
        Stage::Random { seed, .. } => {
            let draw = operators::draw(*seed, 1, DocumentHash::from_bytes(hash));
            (draw ^ 1 << 63) as i64
        }
        Stage::Density { .. } => unreachable!("its order depends on all documents"),
    }
}

/// The documents that lie wholly inside the band: k = ⌊rate · M⌋ of the mass M.
fn band<'a>(stage: &Stage, documents: &[Ranked<'a>]) -> Vec<&'a [u8]> {
    let total: u64 = documents.iter().map(|d| d.2).sum();
    let width = total * u64::from(stage.rate().ppm()) / 1_000_000;
    let start = match stage {
        Stage::Perplexity {
            keep: Keep::Medium, ..
        } => (total - width) / 2,
        Stage::Perplexity {
            keep: Keep::High, ..
        } => total - width,
        _ => 0,
    };
    let mut before = 0;
    let inside = documents.iter().filter_map(|(_, _, mass, id)| {
        let first = before;
        before += mass;
        (first >= start && before <= start + width).then_some(*id)
    });
    inside.collect()
}

/// Draws without replacement with p ∝ 1/density: the first of the order E(x)·s(x).
fn sample<'a>(
    live: &Documents<'a>,
    survivors: &Documents<'a>,
    stage: &Stage,
    index: usize,
) -> Sample<'a> {
    let &Stage::Density {
        rate,
        seed,
        epsilon,
        phases,
        over,
    } = stage
    else {
        unreachable!("it samples by density");
    };
    let sketched = match over {
        Over::Live => live,
        Over::Survivors => survivors,
    };
    let mut counts: HashMap<(u16, u16), u32> = HashMap::new();
    for received in sketched.values() {
        for cell in (0..).zip(decoded(received).codes.iter()) {
            *counts.entry(cell).or_default() += 1;
        }
    }
    let levels = Levels::new(epsilon.ppm(), phases).unwrap();
    let sum = |received: &Received| -> u64 {
        let cells = (0..).zip(decoded(received).codes.iter());
        let value = |cell: (u16, u16)| levels.value(cell.0, cell.1, counts[&cell]);
        cells.map(value).sum()
    };
    let one = f64::from(u32::from(sketch().rows) << LEVEL_FRACTION_BITS);
    let mut order: Vec<_> = survivors
        .iter()
        .map(|(&id, &received)| {
            let variate = exponential(seed, 2, DocumentHash::from_bytes(hash(id)));
            let sum = sum(received);
            let key = u128::from(variate) * u128::from(sum);
            (key, hash(id), id, received.position, sum as f64 / one)
        })
        .collect();
    order.sort_by_key(|document| (document.0, document.1));
    let share = (order.len() as u64 * u64::from(rate.ppm()) / 1_000_000) as usize;
    let variate_of_one = f64::from(1 << 26) / std::f64::consts::LN_2;
    let cut = order.get(share).map(|document| document.0 as f64);
    let drawn = order.iter().take(share);
    Sample {
        stage: index,
        counted: sketched.len(),
        survivors: survivors.len(),
        drawn: drawn.map(|d| (d.2, (d.3, d.4))).collect(),
        cut: cut.map_or(f64::INFINITY, |key| key / variate_of_one / one),
        histogram: histogram(sketched.values().map(|received| sum(received) as f64 / one)),
        effective_cells: effective_cells(&counts, sketched.len()),
    }
}

/// How many densities are in each power of two, those below one in the first.
fn histogram(densities: impl Iterator<Item = f64>) -> Vec<u64> {
    let mut histogram = Vec::new();
    for density in densities {
        let bin = density.log2().floor().max(0.0) as usize;
        histogram.resize(histogram.len().max(bin + 1), 0);
        histogram[bin] += 1;
    }
    histogram
}

/// N² / Σ count² of each row, and of these the mean.
fn effective_cells(counts: &HashMap<(u16, u16), u32>, documents: usize) -> f64 {
    let rows = sketch().rows;
    let of_row = |row| {
        let counts = counts.iter().filter(|((of, _), _)| *of == row);
        let squares: f64 = counts.map(|(_, count)| f64::from(*count).powi(2)).sum();
        (documents as f64).powi(2) / squares.max(1.0)
    };
    (0..rows).map(of_row).sum::<f64>() / f64::from(rows)
}
