//! What a batch job makes of the scored log: it sorts, counts and sums.
//!
//! Of the operators it takes only the functions that are durable behaviour and tested against
//! vectors of their own: draws, the exponential variate, and the levels of counts.

use std::collections::{BTreeMap, HashMap};

use mixtures::Report;
use operators::DocumentHash;
use operators::density::{LEVEL_FRACTION_BITS, Levels, exponential};
use riffle::config::{Budget, Keep, Mass, Over, Stage};
use riffle::log::{Offsets, Position, Received};
use riffle::records::{Scored, field};

use crate::scenario::{BY_SKILL, mixture, sketch, stages};

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
    pub live: Documents<'a>,
    pub kept: Documents<'a>,
    /// The weight of each skill in parts of a billion, where there are skills.
    pub shares: Option<BTreeMap<String, u64>>,
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

/// What came in before an epoch's end.
pub struct Seen<'a> {
    pub scored: &'a [Received],
    pub offsets: Offsets,
    pub losses: &'a [Received],
    pub losses_offsets: Offsets,
}

/// What a batch job selects of what was seen, under the rules of this number.
pub fn batch<'a>(seen: &Seen<'a>, rules: usize) -> Batch<'a> {
    let Seen {
        scored, offsets, ..
    } = seen;
    let before =
        |r: &&Received| r.position.offset() < offsets.0[usize::from(r.position.partition())];
    let live = latest(scored.iter().filter(before));
    let shares = BY_SKILL
        .contains(&rules)
        .then(|| shares(seen, &live, rules));
    let mut batch = Batch {
        kept: live.clone(),
        live: live.clone(),
        sample: None,
        shares: shares.clone(),
    };
    for (index, stage) in stages(rules).iter().enumerate() {
        if matches!(stage, Stage::Skills { .. } | Stage::Stratified { .. }) {
            batch.kept = shared(&batch.kept, stage, shares.as_ref());
        } else if stage.is_by_density() {
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

pub fn decoded<'a>(received: &'a Received) -> Scored<'a> {
    Scored::decode(received.record.value.as_deref().unwrap()).unwrap()
}

/// A document in a group's order: its key, its id's hash, its mass, its id.
type Ranked<'a> = (i64, [u8; 16], u64, &'a [u8]);

/// What a stage keeps that is a band of an order, in each group.
fn bands<'a>(documents: &Documents<'a>, stage: &Stage) -> Documents<'a> {
    let mut kept = Documents::new();
    for documents_of_group in groups(documents, stage).values() {
        for id in band(stage, documents_of_group) {
            kept.insert(id, documents[id]);
        }
    }
    kept
}

/// What groups keep that share a budget: of each the longest prefix that fits into its part.
fn shared<'a>(
    documents: &Documents<'a>,
    stage: &Stage,
    shares: Option<&BTreeMap<String, u64>>,
) -> Documents<'a> {
    let (budget, weighted) = match stage {
        Stage::Skills { budget, .. } => (budget, shares),
        Stage::Stratified { budget, .. } => (budget, None),
        _ => unreachable!("its groups share no budget"),
    };
    let groups = groups(documents, stage);
    let mass = |documents: &Vec<Ranked<'_>>| documents.iter().map(|d| d.2).sum::<u64>();
    let total: u64 = groups.values().map(mass).sum();
    let budget = match budget {
        Budget::Share(rate) => total * u64::from(rate.ppm()) / 1_000_000,
        Budget::Mass(mass) => total.min(*mass),
    };
    let weight = |name: &Option<String>| match (weighted, name) {
        (None, _) => 1,
        (Some(weights), Some(name)) => weights.get(name).copied().unwrap_or(0),
        (Some(_), None) => 0,
    };
    let parts: Vec<(u64, u64)> = groups.iter().map(|(n, d)| (weight(n), mass(d))).collect();
    let mut kept = Documents::new();
    for (documents_of_group, part) in groups.values().zip(fill(&parts, budget)) {
        let mut before = 0;
        for (_, _, mass, id) in documents_of_group {
            before += mass;
            if before > part {
                break;
            }
            kept.insert(id, documents[id]);
        }
    }
    kept
}

/// The parts of a budget: in proportion to weights, and what a group has no use for to the others.
fn fill(groups: &[(u64, u64)], budget: u64) -> Vec<u64> {
    let mut full = vec![false; groups.len()];
    loop {
        let (mut rest, mut weights) = (u128::from(budget), 0u128);
        for ((weight, mass), full) in groups.iter().zip(&full) {
            match full {
                true => rest -= u128::from(*mass),
                false => weights += u128::from(*weight),
            }
        }
        let part = |weight: u64| u128::from(weight) * rest / weights.max(1);
        let next = |&((weight, mass), full): &((u64, u64), bool)| {
            !full && weight > 0 && u128::from(weight) * rest >= u128::from(mass) * weights
        };
        let of = |i: usize| (groups[i], full[i]);
        match (0..groups.len()).find(|i| next(&of(*i))) {
            Some(i) => full[i] = true,
            None => {
                let parts = groups.iter().zip(&full);
                return parts
                    .map(|((weight, mass), full)| if *full { *mass } else { part(*weight) as u64 })
                    .collect();
            }
        }
    }
}

/// The mixture that follows from the reports in effect.
fn shares(seen: &Seen<'_>, live: &Documents<'_>, rules: usize) -> BTreeMap<String, u64> {
    let mut reports: BTreeMap<String, Report> = BTreeMap::new();
    for Received { record, position } in seen.losses {
        let report = match &record.value {
            Some(value) => Report::parse(value),
            None => Report::parse_tombstone(record.key.as_deref().unwrap()),
        };
        if position.offset() < seen.losses_offsets.0[0]
            && let Ok(report) = report
        {
            reports.insert(report.key(), report);
        }
    }
    let mut mixture = mixture(rules);
    for report in reports.values().filter(|report| report.loss.is_some()) {
        mixture.apply(report).unwrap();
    }
    let skills = mixture.rule().graph().training().to_vec();
    let mass = |skill: &String| {
        let of_skill = live.values().map(|received| decoded(received));
        let of_skill = of_skill.filter(|it| skill_of(it).as_deref() == Some(skill));
        of_skill.map(|scored| u64::from(scored.tokens)).sum()
    };
    let masses: Vec<u64> = skills.iter().map(mass).collect();
    let mixture = mixture.mixture(&masses);
    mixture
        .iter()
        .map(|(skill, weight)| (skill.to_owned(), weight))
        .collect()
}

/// A document's skill.
pub fn skill_of(scored: &Scored<'_>) -> Option<String> {
    let value = field(scored.document, "source");
    value.and_then(|value| value.as_str().map(str::to_owned))
}

/// The documents of each group in the stage's order.
fn groups<'a>(
    documents: &Documents<'a>,
    stage: &Stage,
) -> BTreeMap<Option<String>, Vec<Ranked<'a>>> {
    let mut groups: BTreeMap<Option<String>, Vec<Ranked<'a>>> = BTreeMap::new();
    for (&id, received) in documents {
        let scored = decoded(received);
        let group = stage
            .group_by()
            .map(|path| if path == "skill" { "source" } else { path })
            .and_then(|path| field(scored.document, path));
        let group = group.and_then(|value| value.as_str().map(str::to_owned));
        let mass = match stage.mass() {
            Mass::Tokens => u64::from(scored.tokens),
            Mass::Documents => 1,
        };
        let ranked = (key(stage, &scored, hash(id)), hash(id), mass, id);
        groups.entry(group).or_default().push(ranked);
    }
    groups.values_mut().for_each(|documents| documents.sort());
    groups
}

fn key(stage: &Stage, scored: &Scored<'_>, hash: [u8; 16]) -> i64 {
    match stage {
        Stage::Perplexity { .. } => (scored.mean_nll_nats / 1e-9).round() as i64,
        Stage::Random { seed, .. } => drawn(*seed, 1, hash),
        Stage::Skills { seed, .. } => drawn(*seed, 3, hash),
        Stage::Stratified { seed, .. } => drawn(*seed, 4, hash),
        Stage::Density { .. } => unreachable!("its order depends on all documents"),
    }
}

fn drawn(seed: u64, purpose: u64, hash: [u8; 16]) -> i64 {
    let draw = operators::draw(seed, purpose, DocumentHash::from_bytes(hash));
    (draw ^ 1 << 63) as i64
}

/// The documents that lie wholly inside the band: k = ⌊rate · M⌋ of the mass M.
fn band<'a>(stage: &Stage, documents: &[Ranked<'a>]) -> Vec<&'a [u8]> {
    let total: u64 = documents.iter().map(|d| d.2).sum();
    let (Stage::Perplexity { rate, .. } | Stage::Random { rate, .. }) = stage else {
        unreachable!("it keeps no band");
    };
    let width = total * u64::from(rate.ppm()) / 1_000_000;
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
