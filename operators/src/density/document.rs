//! One counted document, in 16 bytes: its density, and what must be noticed when that changes.

use crate::density::order::key;

/// On which side of the guard a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Side {
    Below = 0,
    Inside = 1,
    Above = 2,
    /// It is counted but not to be drawn.
    Out = 3,
}

impl Side {
    const ALL: [Side; 4] = [Side::Below, Side::Inside, Side::Above, Side::Out];
}

/// Bits of the sum: 2¹² rows of 2³² documents in sixteenths.
const SUM_BITS: u32 = 48;
const SUM: u64 = (1 << SUM_BITS) - 1;
const BUCKET_SHIFT: u32 = SUM_BITS;
const BUCKET: u64 = 0x3f << BUCKET_SHIFT;
const SIDE_SHIFT: u32 = BUCKET_SHIFT + 6;
const SIDE: u64 = 0b11 << SIDE_SHIFT;
const DISTURBED: u64 = 1 << 62;
const DEAD: u64 = 1 << 63;

/// Buckets of the density histogram.
pub(super) const BUCKETS: usize = 34;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Document {
    /// The sum of the levels of its cells, and above it bucket, side and flags.
    state: u64,
    pub variate: u32,
    pub slot: u32,
}

impl Document {
    /// A document that is not to be drawn, for the time being.
    pub(super) fn new(slot: u32, variate: u32, sum: u64) -> Self {
        Document {
            state: sum | (Side::Out as u64) << SIDE_SHIFT,
            variate,
            slot,
        }
    }

    #[inline(always)]
    pub(super) fn sum(&self) -> u64 {
        self.state & SUM
    }

    #[inline(always)]
    pub(super) fn key(&self) -> u64 {
        key(self.variate, self.sum())
    }

    #[inline(always)]
    pub(super) fn side(&self) -> Side {
        Side::ALL[(self.state >> SIDE_SHIFT & 3) as usize]
    }

    pub(super) fn set_side(&mut self, side: Side) {
        self.state = self.state & !SIDE | (side as u64) << SIDE_SHIFT;
    }

    #[inline(always)]
    pub(super) fn bucket(&self) -> usize {
        ((self.state & BUCKET) >> BUCKET_SHIFT) as usize
    }

    pub(super) fn set_bucket(&mut self, bucket: usize) {
        self.state = self.state & !BUCKET | (bucket as u64) << BUCKET_SHIFT;
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state & DEAD != 0
    }

    pub(super) fn kill(&mut self) {
        self.state |= DEAD;
    }

    /// Lets the next change that matters be told again.
    pub(super) fn calm(&mut self) {
        self.state &= !DISTURBED;
    }

    /// Changes the sum; tells whether somebody must look at the document who has not been told.
    #[inline(always)]
    pub(super) fn shift(&mut self, difference: i64, watch: &Watch) -> bool {
        // The levels of a document's cells are all counted in the sum, so it never goes below 0,
        // not even between the changes of an epoch: no borrow reaches the flags.
        self.state = self.state.wrapping_add_signed(difference);
        let told = self.state & (DEAD | DISTURBED) != 0;
        let disturbed = watch.disturbs(self) & !told;
        self.state |= u64::from(disturbed) * DISTURBED;
        disturbed
    }
}

/// What changes of a document matter: its side of the guard, its key inside, and its bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// The guard's keys: from, and up to without.
    pub from: u64,
    pub to: u64,
    /// The sum that is a density of one.
    unit: u64,
}

impl Watch {
    /// No key is below or inside the guard.
    pub(super) fn new(unit: u64) -> Self {
        Watch {
            from: 0,
            to: 0,
            unit,
        }
    }

    #[inline(always)]
    fn disturbs(&self, document: &Document) -> bool {
        let key = document.key();
        let scaled = document.sum() >> document.bucket();
        // By side, without a branch: inside every change matters, and out of the draw none.
        let moved = u32::from(key >= self.from) | 0b10 | u32::from(key < self.to) << 2;
        let moved = moved >> document.side() as u32 & 1 == 1;
        moved | (scaled >= 2 * self.unit) | ((scaled < self.unit) & (document.bucket() > 0))
    }

    pub(super) fn side(&self, key: u64) -> Side {
        match key {
            key if key < self.from => Side::Below,
            key if key < self.to => Side::Inside,
            _ => Side::Above,
        }
    }

    /// The whole part of the binary logarithm of the density; 0 also below a density of 1.
    pub(super) fn bucket(&self, sum: u64) -> usize {
        (sum / self.unit).checked_ilog2().unwrap_or(0) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{Document, Side, Watch};

    #[test]
    fn a_document_is_told_once_when_it_crosses_the_guard_and_always_inside() {
        let watch = Watch {
            from: 100,
            to: 200,
            unit: 1 << 30,
        };
        let mut document = Document::new(7, 10, 5);
        for (side, difference, disturbed) in [
            (Side::Below, 4, false),
            (Side::Below, 1, true),
            (Side::Below, 1, false),
            (Side::Inside, 1, true),
            (Side::Above, 8, false),
            (Side::Above, -1, true),
            (Side::Out, -18, false),
        ] {
            if document.side() != side {
                document.set_side(side);
                document.calm();
            }
            assert_eq!(
                document.shift(difference, &watch),
                disturbed,
                "{document:?}"
            );
        }
        assert_eq!((document.sum(), document.slot), (1, 7));
    }

    #[test]
    fn a_document_is_told_when_its_density_passes_a_power_of_two() {
        let watch = Watch::new(16);
        let mut document = Document::new(0, 1, 20);
        for (difference, disturbed) in [(11, false), (1, true), (31, false), (1, true), (-1, true)]
        {
            let told = document.shift(difference, &watch);
            assert_eq!(told, disturbed, "{document:?}");
            document.set_bucket(watch.bucket(document.sum()));
            document.calm();
        }
        assert_eq!(
            (watch.bucket(15), watch.bucket(16), watch.bucket(32)),
            (0, 0, 1)
        );
    }

    #[test]
    fn the_dead_are_never_told() {
        let watch = Watch {
            from: 1,
            to: 2,
            unit: 1,
        };
        let mut document = Document::new(0, 1, 20);
        document.set_side(Side::Inside);
        document.kill();
        assert!(!document.shift(100, &watch));
    }
}
