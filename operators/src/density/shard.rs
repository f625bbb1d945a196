//! Some hundred thousand consecutive arrivals. Documents never move, and the dead stay.

use crate::chunks::prefetch;
use crate::density::document::{Document, Gauge, Packed, Watch};
use crate::density::lists::Lists;
use crate::density::part::PART;
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
    /// What a touch reads and writes of each document, and the rest.
    gauges: Vec<Gauge>,
    packed: Vec<Packed>,
    pub dead: usize,
    pub lists: Lists,
    /// Offsets of documents that must be looked at.
    disturbed: Vec<u32>,
}

impl Shard {
    pub(super) fn new(rows: usize, cells: usize) -> Self {
        Shard {
            gauges: Vec::new(),
            packed: Vec::new(),
            dead: 0,
            lists: Lists::new(rows, cells),
            disturbed: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.packed.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == FULL
    }

    /// Enters the next documents, for which the lists have room; their codes come row by row.
    pub(super) fn extend(&mut self, documents: &[Document], codes: &[u16], watch: &Watch) {
        if self.len().is_multiple_of(PART) {
            self.packed.reserve_exact(PART);
            self.gauges.reserve_exact(PART);
        }
        for document in documents {
            let (packed, gauge) = document.pack(watch);
            self.packed.push(packed);
            self.gauges.push(gauge);
        }
        self.lists.extend(documents.len(), codes);
    }

    pub(super) fn is_dead(&self, offset: usize) -> bool {
        self.packed[offset].is_dead()
    }

    pub(super) fn get(&self, offset: usize) -> Document {
        self.packed[offset].unpack(&self.gauges[offset])
    }

    pub(super) fn set(&mut self, offset: usize, document: &Document, watch: &Watch) {
        (self.packed[offset], self.gauges[offset]) = document.pack(watch);
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, offset: usize) {
        prefetch(&self.packed[offset]);
        prefetch(&self.gauges[offset]);
    }

    /// Takes a document out of all that follows.
    pub(super) fn kill(&mut self, offset: usize) {
        self.packed[offset].kill();
        self.gauges[offset].kill();
        self.dead += 1;
    }

    /// Adds level changes, whose rows ascend and which gauges take in, to the sums of all members;
    /// how many there were.
    pub(super) fn walk(&mut self, steps: &[Step]) -> usize {
        let mut touches = Touches::new(&mut self.gauges, Gauge::shift, &mut self.disturbed);
        self.lists.touch(steps, &mut touches);
        touches.finish()
    }

    /// The same for level changes of any size.
    pub(super) fn leap(&mut self, steps: &[Step]) -> usize {
        let mut touches = Touches::new(&mut self.packed, Packed::leap, &mut self.disturbed);
        self.lists.touch(steps, &mut touches);
        touches.finish()
    }

    /// Calls `look` for each document for which the level changes mattered, and `ahead` some time
    /// before.
    pub(super) fn look<T>(
        &mut self,
        watch: &Watch,
        drawn: &mut T,
        ahead: impl Fn(&T, &Packed),
        look: impl Fn(&mut T, &mut Document),
    ) {
        let disturbed = std::mem::take(&mut self.disturbed);
        for (i, &offset) in disturbed.iter().enumerate() {
            if let Some(&later) = disturbed.get(i + 2 * AHEAD) {
                self.prefetch(later as usize);
            }
            if let Some(&later) = disturbed.get(i + AHEAD) {
                ahead(drawn, &self.packed[later as usize]);
            }
            // A leap tells of the dead too, and a document more than once.
            let offset = offset as usize;
            if !self.is_dead(offset) {
                let mut document = self.get(offset);
                look(drawn, &mut document);
                self.set(offset, &document, watch);
            }
        }
        self.disturbed = disturbed;
        self.disturbed.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Shard>()
            + self.packed.capacity() * size_of::<Packed>()
            + self.gauges.capacity() * size_of::<Gauge>()
            + self.disturbed.capacity() * size_of::<u32>()
            + self.lists.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{FULL, PARTS, Shard, Step};
    use crate::density::document::{Document, Side, Watch};
    use crate::density::part::PART;

    const ROWS: u16 = 3;
    const CELLS: u16 = 40;
    const WATCH: Watch = Watch::new(1 << 30);
    const NEW: Document = Document {
        slot: 0,
        variate: 1,
        sum: 0,
        side: Side::Out,
        bucket: 0,
    };

    /// The first cell has all of the first part, the next ones the less, the later they come.
    fn code(row: u16, i: usize) -> u16 {
        match (row, i) {
            (0, i) if i < PART => 0,
            (_, i) if i % (PART + 9) == 7 => CELLS - 1,
            _ => ((i * i + usize::from(row)) % 1601 % usize::from(CELLS - 1)) as u16,
        }
    }

    fn fill(shard: &mut Shard, documents: usize) {
        let mut first = shard.len();
        let end = first + documents;
        while first < end {
            let some = shard.lists.room().min(end - first).min(10_000);
            let codes: Vec<u16> = (0..ROWS)
                .flat_map(|row| (first..first + some).map(move |i| code(row, i)))
                .collect();
            shard.extend(&vec![NEW; some], &codes, &WATCH);
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
        for leaps in [false, true] {
            (0..shard.len()).for_each(|offset| shard.set(offset, &NEW, &WATCH));
            let touches = if leaps {
                shard.leap(&steps)
            } else {
                shard.walk(&steps)
            };
            let mut members = 0;
            for i in 0..shard.len() {
                let rows = (0..ROWS).filter(|row| cells.contains(&code(*row, i)));
                members += rows.clone().count();
                let sum = rows.map(|row| 1 << (4 * row)).sum::<u64>();
                assert_eq!(shard.get(i).sum, sum);
            }
            assert_eq!(touches, members);
        }
    }

    #[test]
    fn oracle_members_are_the_same_while_parts_fill_and_are_sorted_and_merged() {
        let mut shard = Shard::new(ROWS.into(), CELLS.into());
        fill(&mut shard, PART + 1000);
        check(&mut shard);
        while shard.lists.sort() {
            check(&mut shard);
        }
        assert!(!shard.lists.merge());
        let left = FULL - shard.len();
        fill(&mut shard, left);
        assert!(shard.is_full() && shard.lists.room() == 0);
        check(&mut shard);
        let sorts = (0..).take_while(|_| shard.lists.sort()).count();
        assert_eq!(sorts, (PARTS - 1) * usize::from(ROWS));
        while shard.lists.merge() {
            check(&mut shard);
        }
        assert!(shard.lists.is_merged());
    }
}
