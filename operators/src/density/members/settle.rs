//! What an epoch's level changes, and a new guard, do to a worker's documents.

use crate::Record;
use crate::chunks::prefetch;
use crate::density::band::Band;
use crate::density::by_row::by_row;
use crate::density::document::{BUCKETS, Document, Packed, Side, Watch};
use crate::density::guard::{BINS, bin, guard};
use crate::density::members::{Members, emptied};
use crate::density::messages::Moved;
use crate::density::shard::Step;
use crate::density::slots::{Place as At, Slots};
use crate::select::columns::LIVE;

/// How far ahead of its use a cell's level is asked for.
const AHEAD: usize = 32;

impl<R: Record, C> Members<R, C> {
    /// Takes in the cells that have another level after this epoch; all documents have their
    /// densities and sides then.
    pub(in crate::density) fn settle(&mut self, moved: &[Moved]) {
        for &Moved { row, cell, level } in moved {
            let at = usize::from(row) * self.sampling.sketch.cells as usize + usize::from(cell);
            let old = std::mem::replace(&mut self.applied[at], level);
            let value = |level| self.levels.value_of(row, cell, level) as i64;
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
        let mut sides = Sides {
            slots,
            band,
            suspects,
        };
        let watch = *watch;
        shards.walk(
            &self.steps,
            &watch,
            &mut (&mut sides, histogram),
            |(sides, _), packed| sides.prefetch(packed),
            |(sides, histogram), document| {
                look(document, &watch, histogram);
                if document.side != Side::Out {
                    sides.shift(document, watch.side(document.key()));
                }
            },
        );
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
                let mut document = shards.get(position);
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
                .shift(&mut document, side);
                shards.set(position, &document, watch);
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
        let rows = self.rows();
        let codes = by_row(born.len(), 0..rows, |i| self.slots.codes.get(born[i].0));
        let sums = self.sums(&codes, born.len());
        let mut documents = Vec::with_capacity(born.len());
        for (&(slot, variate), sum) in born.iter().zip(sums) {
            let mut document = Document::new(slot, variate, sum, &self.watch);
            self.histogram[usize::from(document.bucket)] += 1;
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
        let first = self.shards.enter(&documents, &codes, &self.watch);
        for (position, &(slot, _)) in (first..).zip(born) {
            self.slots.set_place(slot, At::At(position));
        }
    }

    /// The densities of documents, as sums of their cells' levels, from their codes row by row.
    fn sums(&self, codes: &[u16], documents: usize) -> Vec<u64> {
        let cells = self.sampling.sketch.cells as usize;
        let mut sums = vec![0; documents];
        let by_row = codes
            .chunks_exact(documents)
            .zip(self.applied.chunks_exact(cells));
        for (row, (codes, levels)) in (0..).zip(by_row) {
            for (i, (sum, &cell)) in sums.iter_mut().zip(codes).enumerate() {
                if let Some(&later) = codes.get(i + AHEAD) {
                    prefetch(&levels[usize::from(later)]);
                }
                *sum += self.levels.value_of(row, cell, levels[usize::from(cell)]);
            }
        }
        sums
    }

    /// This worker's documents by key.
    pub(in crate::density) fn by_key(&self) -> Vec<u32> {
        let mut bins = vec![0; BINS];
        self.shards.each(|document| {
            if document.side != Side::Out {
                bins[bin(document.key())] += 1;
            }
        });
        bins
    }

    /// Puts the guard anew, by all workers' documents by key.
    pub(in crate::density) fn reguard(&mut self, histogram: &[u64]) {
        let old = (self.watch.from, self.watch.to);
        (self.watch.from, self.watch.to) = guard(histogram, self.sampling.rate, old);
        let Members {
            shards,
            slots,
            band,
            watch,
            suspects,
            ..
        } = self;
        shards.each_mut(watch, |document| {
            let side = document.side;
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
}

/// What is told when a document that may be drawn changes its side of the guard, or its key.
struct Sides<'a, R> {
    slots: &'a Slots<R>,
    band: &'a mut Band,
    suspects: &'a mut Vec<u32>,
}

impl<R: Record> Sides<'_, R> {
    /// Asks for what a shift will need.
    fn prefetch(&self, packed: &Packed) {
        if packed.side() == Side::Inside {
            self.slots.columns.prefetch(packed.slot as usize);
            self.band.prefetch(packed.slot);
        }
    }

    fn shift(&mut self, document: &mut Document, to: Side) {
        let (slot, from) = (document.slot, document.side);
        if from == to && to != Side::Inside {
            return;
        }
        let id = self.slots.columns[slot as usize].id();
        self.band.shift(slot, id, from, to, document.key());
        document.side = to;
        if from != to {
            self.suspects.push(slot);
        }
    }
}

/// Puts a document into its bucket of the density histogram.
fn look(document: &mut Document, watch: &Watch, histogram: &mut [u64; BUCKETS]) {
    histogram[usize::from(document.bucket)] -= 1;
    document.bucket = watch.bucket(document.sum);
    histogram[usize::from(document.bucket)] += 1;
}
