//! A worker's own documents: what an epoch did to them, their densities, and who is kept.

mod kept;
mod settle;

use std::rc::Rc;

use crate::density::band::Band;
use crate::density::document::{BUCKETS, Side, Watch};
use crate::density::levels::{LEVEL_FRACTION_BITS, Levels};
use crate::density::messages::Crowd;
use crate::density::order::exponential;
use crate::density::shard::Step;
use crate::density::shards::Shards;
use crate::density::slots::{Place as At, Slots};
use crate::density::{Drawn, Over, Sampling};
use crate::select::columns::{Column, KEPT, LIVE, TOUCHED};
use crate::{Change, DocumentHash, Record};

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
    pub(in crate::density) fn new(
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
    pub(in crate::density) fn apply_live<L>(&mut self, changes: &[Change<L>])
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
    pub(in crate::density) fn apply_survivors(&mut self, changes: &[Change<R>]) {
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
                let document = self.shards.get(position);
                self.histogram[usize::from(document.bucket)] -= 1;
                if document.side != Side::Out {
                    let id = self.slots.columns[slot as usize].id();
                    self.band.shift(slot, id, document.side, Side::Out, 0);
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
    pub(in crate::density) fn batch(&mut self, documents: usize) -> Option<Batch> {
        let codes = self.batch.added.len() + self.batch.removed.len();
        (codes >= documents * self.scratch.len() && codes > 0)
            .then(|| std::mem::take(&mut self.batch))
    }

    pub(in crate::density) fn rows(&self) -> usize {
        self.scratch.len()
    }

    /// Whether this epoch has changed anything so far.
    pub(in crate::density) fn is_changed(&self) -> bool {
        self.changed
    }

    pub(in crate::density) fn crowd(&self) -> Crowd {
        self.band.crowd()
    }

    pub(in crate::density) fn touches(&self) -> u64 {
        self.shards.touches()
    }

    pub(in crate::density) fn bytes(&self) -> usize {
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

/// The vector, empty, without the room that one huge epoch (a replay) made it have.
fn emptied<T>(mut vector: Vec<T>) -> Vec<T> {
    vector.clear();
    vector.shrink_to(1 << 16);
    vector
}
