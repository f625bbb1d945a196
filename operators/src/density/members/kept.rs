//! Who is kept after an epoch, and what is told of it.

use crate::density::Drawn;
use crate::density::document::Side;
use crate::density::levels::LEVEL_FRACTION_BITS;
use crate::density::members::{Members, emptied};
use crate::density::slots::Place as At;
use crate::select::Place;
use crate::select::columns::{KEPT, TOUCHED};
use crate::{Change, Record};

/// How far ahead of its turn a document's place is asked for, and then the document.
const AHEAD_OF_SLOT: usize = 32;
const AHEAD_OF_DOCUMENT: usize = 16;

impl<R: Record, C> Members<R, C> {
    /// Takes the cut that has been found; it may be wrong if it is not inside the guard.
    pub(in crate::density) fn take_cut(&mut self) {
        let suspects = &mut self.suspects;
        self.band.finish(|slot| suspects.push(slot));
    }

    /// Gives every change of the kept set since the last epoch.
    pub(in crate::density) fn finish(
        &mut self,
        cut: Place,
        mut give: impl FnMut(Change<Drawn<R>>),
    ) {
        let suspects = std::mem::take(&mut self.suspects);
        for (i, &slot) in suspects.iter().enumerate() {
            self.prefetch(|ahead| suspects.get(i + ahead));
            let column = self.slots.columns[slot as usize];
            let kept = self.keeps(slot, cut);
            if !column.is(TOUCHED) && column.is(KEPT) != kept {
                self.give(slot, kept, &mut give);
            }
        }
        self.suspects = emptied(suspects);
        self.give_touched(cut, &mut give);
        let Members {
            shards,
            slots,
            watch,
            ..
        } = self;
        let mut moved = Vec::new();
        shards.empty(
            4 * self.churn + 64,
            &slots.codes,
            watch,
            |slot, position| moved.push((slot, position)),
        );
        for (slot, position) in moved {
            slots.set_place(slot, At::At(position));
        }
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
                let sum = self.shards.get(position).sum as f64;
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

    pub(super) fn drawn(&self, slot: u32, diff: i32) -> Change<Drawn<R>> {
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

    /// Asks for what will be needed of the documents soon to be decided on: `slot(n)` is the nth.
    #[inline(always)]
    fn prefetch<'a>(&self, slot: impl Fn(usize) -> Option<&'a u32>) {
        if let Some(&slot) = slot(AHEAD_OF_SLOT) {
            self.slots.prefetch(slot);
        }
        if let Some(&slot) = slot(AHEAD_OF_DOCUMENT)
            && let At::At(position) = self.slots.place(slot)
        {
            self.shards.prefetch(position);
        }
    }

    fn keeps(&self, slot: u32, cut: Place) -> bool {
        let At::At(position) = self.slots.place(slot) else {
            return false;
        };
        let document = self.shards.get(position);
        match document.side {
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
}
