//! A worker's own documents: what an epoch did to them, their densities, and who is kept.

use std::rc::Rc;

use crate::chunks::prefetch;
use crate::density::band::Band;
use crate::density::by_row::by_row;
use crate::density::document::{BUCKETS, Document, Side, Watch};
use crate::density::guard::{BINS, bin, guard};
use crate::density::levels::{LEVEL_FRACTION_BITS, Levels};
use crate::density::messages::{Crowd, Moved};
use crate::density::order::exponential;
use crate::density::shards::{FULL, Shards, Step};
use crate::density::slots::{Place as At, Slots};
use crate::density::{Drawn, Over, Sampling};
use crate::select::Place;
use crate::select::columns::{Column, KEPT, LIVE, TOUCHED};
use crate::{Change, DocumentHash, Record};

/// How far ahead of its use a cell's level is asked for.
const AHEAD: usize = 32;

/// Documents that came and went, each with its codes of all rows.
#[derive(Default)]
pub(super) struct Batch {
    pub added: Vec<u16>,
    pub removed: Vec<u16>,
}

pub(super) struct Members<R, C> {
    sampling: Sampling,
    levels: Rc<Levels>,
    codes: C,
    slots: Slots<R>,
    shards: Shards,
    /// The level of each cell, row by row.
    applied: Vec<u8>,
    watch: Watch,
    pub band: Band,
    batch: Batch,
    /// Counted in this epoch: slot and variate.
    born: Vec<(u32, u32)>,
    /// Survivors that changed in this epoch, and those of them that were kept, as they were.
    touched: Vec<u32>,
    was: Vec<Change<Drawn<R>>>,
    /// Slots of documents that may have to be kept from now on, or not any more.
    suspects: Vec<u32>,
    steps: Vec<Step>,
    scratch: Vec<u16>,
    /// Counted documents by density.
    pub histogram: [u64; BUCKETS],
    pub counted: u64,
    pub survivors: u64,
    pub kept: u64,
    /// Documents counted on and off in this epoch.
    churn: usize,
    changed: bool,
}

impl<R: Record, C> Members<R, C> {
    pub(super) fn new(
        sampling: Sampling,
        levels: Rc<Levels>,
        codes: C,
        [index, peers]: [u32; 2],
    ) -> Self {
        let (rows, cells) = (
            usize::from(sampling.sketch.rows),
            sampling.sketch.cells as usize,
        );
        Members {
            levels,
            codes,
            slots: Slots::new(rows),
            shards: Shards::new(rows, cells),
            applied: vec![0; rows * cells],
            watch: Watch::new((rows as u64) << LEVEL_FRACTION_BITS),
            band: Band::new(sampling.rate, index, peers),
            batch: Batch::default(),
            born: Vec::new(),
            touched: Vec::new(),
            was: Vec::new(),
            suspects: Vec::new(),
            steps: Vec::new(),
            scratch: vec![0; rows],
            histogram: [0; BUCKETS],
            counted: 0,
            survivors: 0,
            kept: 0,
            churn: 0,
            changed: false,
            sampling,
        }
    }

    /// Takes in changes of the live documents in this epoch, in order.
    pub(super) fn apply_live<L>(&mut self, changes: &[Change<L>])
    where
        C: Fn(&L, DocumentHash, &mut [u16]),
    {
        for change in changes {
            let slot = change.slot;
            self.changed = true;
            self.slots.reach(slot);
            if change.diff > 0 {
                (self.codes)(&change.record, change.id, &mut self.scratch);
                if self.slots.is_live(slot) && self.slots.codes.get(slot) == self.scratch {
                    continue;
                }
                self.uncount(slot);
                self.slots.codes.set(slot, &self.scratch);
                self.slots.set_live(slot, true);
                self.count(slot, change.id);
            } else {
                self.uncount(slot);
                self.slots.set_live(slot, false);
            }
        }
    }

    /// Takes in changes of the documents that may be drawn, in order.
    pub(super) fn apply_survivors(&mut self, changes: &[Change<R>]) {
        for change in changes {
            self.slots.reach(change.slot);
            self.apply_survivor(change);
        }
    }

    fn apply_survivor(&mut self, change: &Change<R>) {
        let slot = change.slot;
        let old = self.slots.columns[slot as usize];
        let (was, is) = (old.is(LIVE), change.diff > 0);
        if was == is && (!is || old.holds(change)) {
            return;
        }
        self.changed = true;
        if !old.is(TOUCHED) {
            self.touched.push(slot);
            if old.is(KEPT) {
                self.was.push(self.drawn(slot, -1));
            }
        }
        self.survivors = self.survivors + u64::from(is) - u64::from(was);
        let column = &mut self.slots.columns[slot as usize];
        if is {
            let kept = if old.is(KEPT) { KEPT } else { 0 };
            *column = Column::new(change.id, change.record, LIVE | TOUCHED | kept);
        } else {
            column.set(LIVE, false);
            column.set(TOUCHED, true);
        }
        if self.sampling.over == Over::Survivors {
            if is {
                self.count(slot, change.id);
            } else {
                self.uncount(slot);
            }
        }
    }

    /// Counts a document on, if it is to be counted and is not.
    fn count(&mut self, slot: u32, id: DocumentHash) {
        let may = self.sampling.over == Over::Live || self.slots.columns[slot as usize].is(LIVE);
        if !may || !self.slots.is_live(slot) || self.slots.place(slot) != At::Uncounted {
            return;
        }
        let variate = exponential(self.sampling.seed, self.sampling.purpose, id);
        self.batch
            .added
            .extend_from_slice(self.slots.codes.get(slot));
        self.slots.set_place(slot, At::Born);
        self.born.push((slot, variate));
        self.counted += 1;
        self.churn += 1;
    }

    /// Counts a document off, if it is counted.
    fn uncount(&mut self, slot: u32) {
        match self.slots.place(slot) {
            At::Uncounted => return,
            At::Born => {}
            At::At(position) => {
                let document = *self.shards.get(position);
                self.histogram[document.bucket()] -= 1;
                if document.side() != Side::Out {
                    let id = self.slots.columns[slot as usize].id();
                    self.band.shift(slot, id, document.side(), Side::Out, 0);
                }
                self.shards.kill(position);
            }
        }
        self.batch
            .removed
            .extend_from_slice(self.slots.codes.get(slot));
        self.slots.set_place(slot, At::Uncounted);
        self.counted -= 1;
        self.churn += 1;
    }

    /// What is to be counted, once there are so many documents of it.
    pub(super) fn batch(&mut self, documents: usize) -> Option<Batch> {
        let codes = self.batch.added.len() + self.batch.removed.len();
        (codes >= documents * self.scratch.len() && codes > 0)
            .then(|| std::mem::take(&mut self.batch))
    }

    pub(super) fn rows(&self) -> usize {
        self.scratch.len()
    }

    /// Whether this epoch has changed anything so far.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Takes in the cells that have another level after this epoch; all documents have their
    /// densities and sides then.
    pub(super) fn settle(&mut self, moved: &[Moved]) {
        for &Moved { row, cell, level } in moved {
            let at = usize::from(row) * self.sampling.sketch.cells as usize + usize::from(cell);
            let old = std::mem::replace(&mut self.applied[at], level);
            let value = |level| self.levels.get(row, cell, level).value as i64;
            let difference = value(level) - value(old);
            self.steps.push(Step {
                row,
                cell,
                difference,
            });
        }
        let Members {
            shards,
            slots,
            band,
            watch,
            suspects,
            histogram,
            ..
        } = self;
        shards.walk(&self.steps, watch, |document| {
            look(document, watch, histogram);
            let side = document.side();
            if side != Side::Out {
                let drawn = Sides {
                    slots,
                    band,
                    suspects,
                };
                drawn.shift(document, watch.side(document.key()));
            }
        });
        self.steps = emptied(std::mem::take(&mut self.steps));
        self.enter_born();
        let Members {
            shards,
            slots,
            band,
            watch,
            suspects,
            ..
        } = self;
        for &slot in &self.touched {
            if let At::At(position) = slots.place(slot) {
                let document = shards.get_mut(position);
                let drawn = slots.columns[slot as usize].is(LIVE);
                let side = if drawn {
                    watch.side(document.key())
                } else {
                    Side::Out
                };
                Sides {
                    slots,
                    band,
                    suspects,
                }
                .shift(document, side);
            }
        }
    }

    /// Enters the documents that this epoch has counted on.
    fn enter_born(&mut self) {
        let mut born = std::mem::take(&mut self.born);
        // Some have gone again, and some have come twice: those are taken the first time.
        born.retain(|&(slot, _)| {
            let open = self.slots.place(slot) == At::Born;
            if open {
                self.slots.set_place(slot, At::Uncounted);
            }
            open
        });
        let mut rest = born.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(self.shards.room().min(rest.len()));
            self.enter_some(some);
            rest = others;
        }
        self.born = emptied(born);
    }

    fn enter_some(&mut self, born: &[(u32, u32)]) {
        let sums = self.sums(born);
        let mut documents = Vec::with_capacity(born.len());
        for (&(slot, variate), sum) in born.iter().zip(sums) {
            let mut document = Document::new(slot, variate, sum);
            let bucket = self.watch.bucket(sum);
            document.set_bucket(bucket);
            self.histogram[bucket] += 1;
            if self.slots.columns[slot as usize].is(LIVE) {
                let Members {
                    slots,
                    band,
                    watch,
                    suspects,
                    ..
                } = self;
                let side = watch.side(document.key());
                Sides {
                    slots,
                    band,
                    suspects,
                }
                .shift(&mut document, side);
            }
            documents.push(document);
        }
        let first = self.shards.enter(&documents, &self.slots.codes);
        for (position, &(slot, _)) in (first..).zip(born) {
            self.slots.set_place(slot, At::At(position));
        }
    }

    /// The densities of documents, as sums of their cells' levels.
    fn sums(&self, born: &[(u32, u32)]) -> Vec<u64> {
        let rows = self.rows();
        let codes = by_row(born.len(), 0..rows, |i| self.slots.codes.get(born[i].0));
        let cells = self.sampling.sketch.cells as usize;
        let mut sums = vec![0; born.len()];
        let by_row = codes
            .chunks_exact(born.len())
            .zip(self.applied.chunks_exact(cells));
        for (row, (codes, levels)) in (0..).zip(by_row) {
            for (i, (sum, &cell)) in sums.iter_mut().zip(codes).enumerate() {
                if let Some(&later) = codes.get(i + AHEAD) {
                    prefetch(&levels[usize::from(later)]);
                }
                *sum += self.levels.get(row, cell, levels[usize::from(cell)]).value;
            }
        }
        sums
    }

    pub(super) fn crowd(&self) -> Crowd {
        self.band.crowd()
    }

    /// This worker's documents by key.
    pub(super) fn by_key(&mut self) -> Vec<u32> {
        let mut bins = vec![0; BINS];
        self.shards.each(|document| {
            if document.side() != Side::Out {
                bins[bin(document.key())] += 1;
            }
        });
        bins
    }

    /// Puts the guard anew, by all workers' documents by key.
    pub(super) fn reguard(&mut self, histogram: &[u64]) {
        let (from, to) = guard(histogram, self.sampling.rate);
        (self.watch.from, self.watch.to) = (from, to);
        let Members {
            shards,
            slots,
            band,
            watch,
            suspects,
            ..
        } = self;
        shards.each(|document| {
            let side = document.side();
            if side != Side::Out {
                let to = watch.side(document.key());
                if to != side {
                    Sides {
                        slots,
                        band,
                        suspects,
                    }
                    .shift(document, to);
                }
            }
        });
    }

    /// Takes the cut that has been found; it may be wrong if it is not inside the guard.
    pub(super) fn take_cut(&mut self) {
        let suspects = &mut self.suspects;
        self.band.finish(|slot| suspects.push(slot));
    }

    /// Gives every change of the kept set since the last epoch.
    pub(super) fn finish(&mut self, cut: Place, mut give: impl FnMut(Change<Drawn<R>>)) {
        let suspects = std::mem::take(&mut self.suspects);
        for &slot in &suspects {
            let column = self.slots.columns[slot as usize];
            let kept = self.keeps(slot, cut);
            if !column.is(TOUCHED) && column.is(KEPT) != kept {
                self.give(slot, kept, &mut give);
            }
        }
        self.suspects = emptied(suspects);
        self.give_touched(cut, &mut give);
        let Members { shards, slots, .. } = self;
        let mut moved = Vec::new();
        shards.empty(4 * self.churn + 64, &slots.codes, |slot, position| {
            moved.push((slot, position))
        });
        for (slot, position) in moved {
            slots.set_place(slot, At::At(position));
        }
        let rows = self.rows();
        self.shards.sort((self.churn * rows).div_ceil(FULL / 2) + 1);
        self.churn = 0;
        self.changed = false;
    }

    /// First the removals of what touched documents were, then the additions of what they are.
    fn give_touched(&mut self, cut: Place, give: &mut impl FnMut(Change<Drawn<R>>)) {
        let was = std::mem::take(&mut self.was);
        for old in &was {
            let same = Change {
                slot: old.slot,
                diff: 1,
                id: old.id,
                record: old.record.record,
            };
            let slot = old.slot as usize;
            if self.slots.columns[slot].holds(&same) && self.keeps(old.slot, cut) {
                // Nothing happened in the end.
                self.slots.columns[slot].set(TOUCHED, false);
            } else {
                give(*old);
                self.kept -= 1;
                self.slots.columns[slot].set(KEPT, false);
            }
        }
        let touched = std::mem::take(&mut self.touched);
        for &slot in &touched {
            let column = &mut self.slots.columns[slot as usize];
            let open = column.is(TOUCHED);
            column.set(TOUCHED, false);
            if open && self.keeps(slot, cut) {
                self.give(slot, true, give);
            }
        }
        (self.was, self.touched) = (emptied(was), emptied(touched));
    }

    fn give(&mut self, slot: u32, kept: bool, give: &mut impl FnMut(Change<Drawn<R>>)) {
        if kept {
            if let At::At(position) = self.slots.place(slot) {
                let sum = self.shards.get(position).sum() as f64;
                let unit = (u64::from(self.sampling.sketch.rows) << LEVEL_FRACTION_BITS) as f64;
                self.slots.densities[slot as usize] = (sum / unit) as f32;
            }
            self.kept += 1;
        } else {
            self.kept -= 1;
        }
        self.slots.columns[slot as usize].set(KEPT, kept);
        give(self.drawn(slot, if kept { 1 } else { -1 }));
    }

    fn drawn(&self, slot: u32, diff: i32) -> Change<Drawn<R>> {
        let Change {
            slot,
            diff,
            id,
            record,
        } = self.slots.columns[slot as usize].change(slot, diff);
        let density = self.slots.densities[slot as usize];
        Change {
            slot,
            diff,
            id,
            record: Drawn { record, density },
        }
    }

    fn keeps(&self, slot: u32, cut: Place) -> bool {
        let At::At(position) = self.slots.place(slot) else {
            return false;
        };
        let document = self.shards.get(position);
        match document.side() {
            Side::Below => true,
            Side::Inside => {
                let id = self.slots.columns[slot as usize].id();
                Place {
                    key: document.key() as i64,
                    id,
                } < cut
            }
            // Only a rate of 1 leaves nothing out, and then no guard is ever put.
            Side::Above => cut == Place::MAX,
            Side::Out => false,
        }
    }

    pub(super) fn touches(&self) -> u64 {
        self.shards.touches()
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes()
            + self.shards.bytes()
            + self.band.bytes()
            + self.applied.capacity()
            + (self.batch.added.capacity() + self.batch.removed.capacity()) * size_of::<u16>()
            + self.born.capacity() * size_of::<(u32, u32)>()
            + (self.touched.capacity() + self.suspects.capacity()) * size_of::<u32>()
            + self.was.capacity() * size_of::<Change<Drawn<R>>>()
            + self.steps.capacity() * size_of::<Step>()
    }
}

/// What is told when a document that may be drawn changes its side of the guard, or its key.
struct Sides<'a, R> {
    slots: &'a Slots<R>,
    band: &'a mut Band,
    suspects: &'a mut Vec<u32>,
}

impl<R: Record> Sides<'_, R> {
    fn shift(self, document: &mut Document, to: Side) {
        let (slot, from) = (document.slot, document.side());
        if from == to && to != Side::Inside {
            return;
        }
        let id = self.slots.columns[slot as usize].id();
        self.band.shift(slot, id, from, to, document.key());
        document.set_side(to);
        if from != to {
            self.suspects.push(slot);
        }
    }
}

/// Puts a document into its bucket of the density histogram.
fn look(document: &mut Document, watch: &Watch, histogram: &mut [u64; BUCKETS]) {
    let (old, new) = (document.bucket(), watch.bucket(document.sum()));
    histogram[old] -= 1;
    histogram[new] += 1;
    document.set_bucket(new);
}

/// The vector, empty, without the room that one huge epoch (a replay) made it have.
fn emptied<T>(mut vector: Vec<T>) -> Vec<T> {
    vector.clear();
    vector.shrink_to(1 << 16);
    vector
}
