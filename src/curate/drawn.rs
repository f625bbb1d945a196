//! What a stage by density says of the documents that it draws, and the stages behind it pass on.

use std::collections::BTreeMap;
use std::f64::consts::LN_2;

use operators::density::{Drawn, LEVEL_FRACTION_BITS, Sampled, Summary};
use operators::{Change, Place, Record};
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

use super::coded::with;
use super::facts::Facts;

/// Fractional bits of the operator's exponential variate, whose logarithm is to base two.
const VARIATE_BITS: i32 = 26;

/// How a document was drawn, as of the epoch in which the stage admitted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Draw {
    /// The mean level of its cells: about how many documents stand where it stands.
    pub density: f32,
    /// The inverse of the probability that a document of this density is drawn.
    pub weight: f32,
}

/// The facts of a document that was drawn: 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    facts: Facts,
    draw: Draw,
}

/// A record as stages see it, whether it has been drawn by density or not yet.
pub trait Staged: Record {
    /// What every stage may go by.
    fn facts(&self) -> &Facts;
    /// How it was drawn, behind a stage by density.
    fn draw(&self) -> Option<Draw>;
}

impl Staged for Facts {
    fn facts(&self) -> &Facts {
        self
    }

    fn draw(&self) -> Option<Draw> {
        None
    }
}

impl Staged for Weighed {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn draw(&self) -> Option<Draw> {
        Some(self.draw)
    }
}

/// The cut of a stage by density: those documents are kept whose density, times an exponential
/// variate of mean one, is less than this. Infinite where all are kept.
pub fn cut(place: Option<Place>, rows: u16) -> f64 {
    let Some(place) = place else {
        return f64::INFINITY;
    };
    let unit = 2f64.powi(VARIATE_BITS) * f64::from(u32::from(rows) << LEVEL_FRACTION_BITS);
    place.key as f64 * LN_2 / unit
}

/// The inverse of the probability that a document of this density is drawn under this cut, of
/// Horvitz and Thompson: weighted so, sums over the drawn estimate sums over all.
fn weight(density: f32, cut: f64) -> f32 {
    (-1.0 / (-cut / f64::from(density)).exp_m1()) as f32
}

/// The drawn documents with their weights, and the summaries.
///
/// A weight belongs to the cut of the epoch in which the document was drawn. Nobody knows that later
/// on, when a stage behind this one admits the document; so it is computed here, and kept with it.
pub fn weigh<'s>(
    sampled: Sampled<'s, Facts>,
    rows: u16,
) -> (
    StreamVec<'s, u64, Change<Weighed>>,
    StreamVec<'s, u64, Summary>,
) {
    let Sampled { kept, summaries } = sampled;
    let told = summaries.clone();
    let weighed = kept.binary_frontier(summaries, Pipeline, Pipeline, "Weigh", |_, _| {
        let mut cuts = BTreeMap::new();
        let mut waiting = BTreeMap::new();
        move |(kept, frontier), (summaries, _), output| {
            // This worker's own part of the summary comes behind its changes, in every epoch.
            summaries.for_each(|stamp, parts| {
                let epoch = *stamp.least().expect("a message has a time");
                cuts.extend(parts.drain(..).map(|part| (epoch, cut(part.cut, rows))));
            });
            kept.for_each(|stamp, changes| {
                let epoch = *stamp.least().expect("a message has a time");
                let held = || (stamp.delayed(&epoch, 0), Vec::new());
                let (_, batches) = waiting.entry(epoch).or_insert_with(held);
                batches.push(std::mem::take(changes));
            });
            while let Some(entry) = waiting.first_entry()
                && let Some(cut) = cuts.get(entry.key())
            {
                let (capability, batches) = entry.remove();
                let mut session = output.session(&capability);
                for change in batches.into_iter().flatten() {
                    session.give(weighed(&change, *cut));
                }
            }
            cuts.retain(|epoch, _| frontier.less_equal(epoch));
        }
    });
    (weighed, told)
}

/// A removal is weighed too, by a cut that is not its own: nobody reads its weight.
fn weighed(change: &Change<Drawn<Facts>>, cut: f64) -> Change<Weighed> {
    let Drawn { record, density } = change.record;
    let weight = weight(density, cut);
    let (facts, draw) = (record, Draw { density, weight });
    with(change, Weighed { facts, draw })
}

#[cfg(test)]
mod tests {
    use operators::DocumentHash;
    use operators::density::exponential;

    use super::*;

    #[test]
    fn the_weight_of_a_density_is_the_inverse_of_how_often_it_is_drawn() {
        let (rows, density, ids) = (4, 8.0, 40_000);
        let sum = (density as i64 * i64::from(rows)) << LEVEL_FRACTION_BITS;
        let mut keys: Vec<i64> = (0..ids)
            .map(|n| i64::from(exponential(3, 1, DocumentHash::from_halves([n, 0]))) * sum)
            .collect();
        keys.sort_unstable();
        let place = Place {
            key: keys[ids as usize / 3],
            id: DocumentHash::default(),
        };
        // Drawn is a third of the documents: three standard errors of that are 0.02 of the weight.
        let weight = weight(density, cut(Some(place), rows));
        assert!((weight - 3.0).abs() < 0.07, "{weight}");
    }

    #[test]
    fn where_all_are_kept_a_document_stands_for_itself() {
        assert_eq!(weight(17.0, cut(None, 128)), 1.0);
    }
}
