//! Some hundred thousand consecutive arrivals, and which of them are in a cell.
//!
//! Looking up a cell costs as much as some twenty of its members, so the fewer shards there are,
//! the better; but what is sorted all at once must be small. So a shard fills in eight parts, each
//! of which is sorted by itself, and then their rows are merged, one at a time. Documents never
//! move, and the dead stay in the lists.

use crate::density::document::{Document, Watch};
use crate::density::part::{PART, Part};
use crate::density::sorted::{self, Sorted};
use crate::density::touches::Touches;

/// A level change: what each member of a cell is to add to its sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub row: u16,
    pub cell: u16,
    pub difference: i64,
}

const PARTS: usize = 8;
/// How far ahead of their turn documents are announced that must be looked at.
const AHEAD: usize = 16;
/// Documents in a full shard, and bits of an offset in it.
pub(super) const FULL: usize = PARTS * PART;
pub(super) const OFFSET_BITS: u32 = FULL.ilog2() + 1;

pub(super) struct Shard {
    pub documents: Vec<Document>,
    pub dead: usize,
    cells: usize,
    /// How many rows there are.
    end: usize,
    /// What the documents came in. Their rows are theirs from `rows.len()` on.
    parts: Vec<Part>,
    rows: Vec<Sorted>,
    /// Offsets of documents that must be looked at.
    disturbed: Vec<u32>,
}

impl Shard {
    pub(super) fn new(rows: usize, cells: usize) -> Self {
        Shard {
            documents: Vec::new(),
            dead: 0,
            cells,
            end: rows,
            parts: Vec::new(),
            rows: Vec::new(),
            disturbed: Vec::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.documents.len() == FULL
    }

    /// How many documents fit in before another part begins.
    pub(super) fn room(&self) -> usize {
        let room = self.parts.last().map_or(0, Part::room);
        if room == 0 && !self.is_full() {
            PART
        } else {
            room
        }
    }

    /// Enters the next documents, for which there is room; their codes come row by row.
    pub(super) fn extend(&mut self, documents: &[Document], codes: &[u16]) {
        if self.documents.len().is_multiple_of(PART) {
            self.parts.push(Part::new(self.end, self.cells));
            self.documents.reserve_exact(PART);
        }
        self.documents.extend_from_slice(documents);
        if let Some(part) = self.parts.last_mut() {
            part.extend(documents.len(), codes);
        }
    }

    /// Sorts the next row of a full part; false if there is none.
    pub(super) fn sort(&mut self) -> bool {
        self.parts.iter_mut().any(Part::sort)
    }

    /// Merges the next row of a full shard whose parts are sorted; false if there is none.
    pub(super) fn merge(&mut self) -> bool {
        let row = self.rows.len();
        if !self.is_full() || row == self.end {
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

    /// Adds level changes, whose rows ascend, to the sums of all members; how many there were.
    pub(super) fn walk(&mut self, steps: &[Step], watch: &Watch, queue: &mut Touches) -> usize {
        let Shard {
            documents,
            parts,
            rows,
            disturbed,
            ..
        } = self;
        let mut touches = 0;
        let mut flush = |queue: &mut Touches| touches += queue.flush(documents, watch, disturbed);
        let parted = steps.partition_point(|step| usize::from(step.row) < rows.len());
        let (merged, parted) = steps.split_at(parted);
        let row = |row: u16| &rows[usize::from(row)];
        sorted::each(merged, row, |gaps, difference| {
            queue.extend_gaps(gaps, difference);
            if queue.is_full() {
                flush(queue);
            }
        });
        for (base, part) in (0..).step_by(PART).zip(parts) {
            part.touch(parted, base, queue, &mut flush);
        }
        flush(queue);
        touches
    }

    /// Calls `look` for each document for which the level changes mattered, and `ahead` some time
    /// before.
    pub(super) fn look<T>(
        &mut self,
        drawn: &mut T,
        ahead: impl Fn(&T, &Document),
        look: impl Fn(&mut T, &mut Document),
    ) {
        for (i, &offset) in self.disturbed.iter().enumerate() {
            if let Some(&later) = self.disturbed.get(i + AHEAD) {
                ahead(drawn, &self.documents[later as usize]);
            }
            let document = &mut self.documents[offset as usize];
            document.calm();
            look(drawn, document);
        }
        self.disturbed.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Shard>()
            + self.documents.capacity() * size_of::<Document>()
            + self.disturbed.capacity() * size_of::<u32>()
            + self.parts.iter().map(Part::bytes).sum::<usize>()
            + self.rows.iter().map(Sorted::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::{FULL, PARTS, Shard, Step};
    use crate::density::document::{Document, Watch};
    use crate::density::part::PART;
    use crate::density::touches::Touches;

    const ROWS: u16 = 3;
    const CELLS: u16 = 40;

    /// The first cell has all of the first part, the next ones the less, the later they come.
    fn code(row: u16, i: usize) -> u16 {
        match (row, i) {
            (0, i) if i < PART => 0,
            (_, i) if i % (PART + 9) == 7 => CELLS - 1,
            _ => ((i * i + usize::from(row)) % 1601 % usize::from(CELLS - 1)) as u16,
        }
    }

    fn fill(shard: &mut Shard, documents: usize) {
        let mut first = shard.documents.len();
        let end = first + documents;
        while first < end {
            let some = shard.room().min(end - first).min(10_000);
            let codes: Vec<u16> = (0..ROWS)
                .flat_map(|row| (first..first + some).map(move |i| code(row, i)))
                .collect();
            shard.extend(&vec![Document::default(); some], &codes);
            first += some;
        }
    }

    /// Each member of some cells gets its row's own bit, wherever lists are sorted or merged.
    fn check(shard: &mut Shard) {
        let cells = [0, 1, 6, CELLS - 1];
        let steps: Vec<Step> = (0..ROWS)
            .flat_map(|row| {
                cells.map(|cell| Step {
                    row,
                    cell,
                    difference: 1 << (4 * row),
                })
            })
            .collect();
        shard.documents.fill(Document::default());
        let mut queue = Touches::default();
        let touches = shard.walk(&steps, &Watch::new(1 << 30), &mut queue);
        let mut members = 0;
        for (i, document) in shard.documents.iter().enumerate() {
            let rows = (0..ROWS).filter(|row| cells.contains(&code(*row, i)));
            members += rows.clone().count();
            assert_eq!(document.sum(), rows.map(|row| 1 << (4 * row)).sum::<u64>());
        }
        assert_eq!(touches, members);
    }

    #[test]
    fn oracle_members_are_the_same_while_parts_fill_and_are_sorted_and_merged() {
        let mut shard = Shard::new(ROWS.into(), CELLS.into());
        fill(&mut shard, PART + 1000);
        check(&mut shard);
        while shard.sort() {
            check(&mut shard);
        }
        assert!(!shard.merge());
        let left = FULL - shard.documents.len();
        fill(&mut shard, left);
        assert!(shard.is_full() && shard.room() == 0);
        check(&mut shard);
        let sorts = (0..).take_while(|_| shard.sort()).count();
        assert_eq!(sorts, (PARTS - 1) * usize::from(ROWS));
        while shard.merge() {
            check(&mut shard);
        }
        assert!(shard.is_merged());
    }
}
