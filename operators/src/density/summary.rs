//! What a stage tells of itself after every epoch.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::select::Place;

/// A worker's part of the density stage's numbers at the end of an epoch: the whole is the sum.
///
/// The whole is a function of the live documents, but for `touches`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Documents in the sketch.
    pub counted: u64,
    /// Documents that may be drawn.
    pub survivors: u64,
    /// Documents that are drawn.
    pub kept: u64,
    /// Counted documents by density: entry k has those from 2^k up to 2^(k+1), and entry 0 also
    /// those below 1, where a level is less than one document. Ends with the last that has any.
    pub histogram: Vec<u64>,
    /// How many cells of a row would be equally crowded if all documents were spread evenly over
    /// them, N² / Σ count², in thousandths, summed over the rows.
    ///
    /// One or two a row: the codes tell nothing apart. As many as documents: nothing is alike.
    pub effective_cells_milli: u64,
    /// Bytes of all counts and levels.
    pub sketch_bytes: u64,
    /// Members of cells that were looked at because of a change of level, since the start.
    pub touches: u64,
    /// The first document that is not kept, in units of the order; `None` if all are. It is the
    /// same on all workers.
    pub cut: Option<Place>,
}

impl AddAssign<&Summary> for Summary {
    fn add_assign(&mut self, other: &Summary) {
        self.counted += other.counted;
        self.survivors += other.survivors;
        self.kept += other.kept;
        if self.histogram.len() < other.histogram.len() {
            self.histogram.resize(other.histogram.len(), 0);
        }
        for (sum, part) in self.histogram.iter_mut().zip(&other.histogram) {
            *sum += part;
        }
        self.effective_cells_milli += other.effective_cells_milli;
        self.sketch_bytes += other.sketch_bytes;
        self.touches += other.touches;
        self.cut = self.cut.or(other.cut);
    }
}
