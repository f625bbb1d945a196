//! Which of a shard's documents are in a cell.
//!
//! Looking up a cell costs as much as some twenty of its members, so the fewer lists there are, the
//! better; but what is sorted all at once must be small. So a shard fills in eight parts, each of
//! which is sorted by itself, and then their rows are merged, one at a time.

use crate::density::part::{PART, Part};
use crate::density::shard::{FULL, Step};
use crate::density::sorted::{self, Sorted};
use crate::density::touches::Touches;

pub(super) struct Lists {
    documents: usize,
    cells: usize,
    /// How many rows there are.
    end: usize,
    /// What the documents came in. Their rows are theirs from `rows.len()` on.
    parts: Vec<Part>,
    rows: Vec<Sorted>,
}

impl Lists {
    pub(super) fn new(rows: usize, cells: usize) -> Self {
        Lists {
            documents: 0,
            cells,
            end: rows,
            parts: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// How many documents fit in before another part begins.
    pub(super) fn room(&self) -> usize {
        let room = self.parts.last().map_or(0, Part::room);
        if room == 0 && self.documents < FULL {
            PART
        } else {
            room
        }
    }

    /// Enters the next documents, for which there is room; their codes come row by row.
    pub(super) fn extend(&mut self, documents: usize, codes: &[u16]) {
        if self.documents.is_multiple_of(PART) {
            self.parts.push(Part::new(self.end, self.cells));
        }
        self.documents += documents;
        if let Some(part) = self.parts.last_mut() {
            part.extend(documents, codes);
        }
    }

    /// Sorts the next row of a full part; false if there is none.
    pub(super) fn sort(&mut self) -> bool {
        self.parts.iter_mut().any(Part::sort)
    }

    /// Merges the next row of a full shard whose parts are sorted; false if there is none.
    pub(super) fn merge(&mut self) -> bool {
        let row = self.rows.len();
        if self.documents < FULL || row == self.end {
            return false;
        }
        let parts: Vec<Sorted> = self.parts.iter_mut().map(|part| part.take(row)).collect();
        self.rows.push(Sorted::merge(&parts, self.cells));
        if self.is_merged() {
            self.parts = Vec::new();
        }
        true
    }

    pub(super) fn is_merged(&self) -> bool {
        self.rows.len() == self.end
    }

    /// Touches each member of each step's cell. The steps' rows ascend.
    #[inline(always)]
    pub(super) fn touch<T>(
        &self,
        steps: &[Step],
        touches: &mut Touches<'_, T, impl Fn(&mut T, i64) -> bool>,
    ) {
        let parted = steps.partition_point(|step| usize::from(step.row) < self.rows.len());
        let (merged, parted) = steps.split_at(parted);
        let row = |row: u16| &self.rows[usize::from(row)];
        sorted::each(merged, row, |gaps, difference| {
            touches.extend_gaps(gaps, difference)
        });
        for (base, part) in (0..).step_by(PART).zip(&self.parts) {
            part.touch(parted, base, touches);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum::<usize>()
            + self.rows.iter().map(Sorted::bytes).sum::<usize>()
    }
}
