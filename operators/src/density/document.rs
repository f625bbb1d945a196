//! A counted document: its density, and what must be noticed when that changes.
//!
//! Nearly every touch only adds to a sum. So a document's [`Gauge`], eight bytes, has how far the
//! sum is from where something happens, and a touch looks at nothing else.

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

/// Buckets of the density histogram.
pub(super) const BUCKETS: usize = 34;

/// A document as it is worked on; it is kept as a [`Packed`] and a [`Gauge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub slot: u32,
    pub variate: u32,
    /// The sum of the levels of its cells.
    pub sum: u64,
    pub side: Side,
    pub bucket: u8,
}

impl Document {
    /// A document that is not to be drawn, for the time being.
    pub(super) fn new(slot: u32, variate: u32, sum: u64, watch: &Watch) -> Self {
        Document {
            slot,
            variate,
            sum,
            side: Side::Out,
            bucket: watch.bucket(sum),
        }
    }

    #[inline(always)]
    pub(super) fn key(&self) -> u64 {
        key(self.variate, self.sum)
    }

    pub(super) fn pack(&self, watch: &Watch) -> (Packed, Gauge) {
        let (from, to) = watch.quiet(self);
        let state =
            from | u64::from(self.bucket) << BUCKET_SHIFT | (self.side as u64) << SIDE_SHIFT;
        let packed = Packed {
            state,
            variate: self.variate,
            slot: self.slot,
        };
        let gauge = Gauge {
            above: (self.sum - from) as u32,
            width: (to - from) as u32,
        };
        (packed, gauge)
    }
}

/// Bits of the base: 2¹² rows of 2³² documents in sixteenths.
const BASE_BITS: u32 = 48;
const BASE: u64 = (1 << BASE_BITS) - 1;
const BUCKET_SHIFT: u32 = BASE_BITS;
const SIDE_SHIFT: u32 = BUCKET_SHIFT + 6;
const DEAD: u64 = 1 << 63;

/// What a document is, but for how far its sum is above the base.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packed {
    /// The base, and above it bucket, side and flag.
    state: u64,
    variate: u32,
    pub slot: u32,
}

impl Packed {
    pub(super) fn unpack(&self, gauge: &Gauge) -> Document {
        Document {
            slot: self.slot,
            variate: self.variate,
            sum: self.state.wrapping_add_signed(gauge.above()) & BASE,
            side: self.side(),
            bucket: (self.state >> BUCKET_SHIFT & 0x3f) as u8,
        }
    }

    pub(super) fn side(&self) -> Side {
        Side::ALL[(self.state >> SIDE_SHIFT & 3) as usize]
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state & DEAD != 0
    }

    pub(super) fn kill(&mut self) {
        self.state |= DEAD;
    }

    /// Takes in a difference that no gauge can hold; tells whether somebody must look.
    pub(super) fn leap(&mut self, difference: i64) -> bool {
        // With what the gauge has, it may be below 0 for a while.
        let base = self.state.wrapping_add_signed(difference) & BASE;
        self.state = self.state & !BASE | base;
        !self.is_dead()
    }
}

/// How far a sum can shift in one epoch, and how far from it a document's quiet ends at most: a
/// quarter of what a gauge can tell apart. So a sum is at most one reach below the base, and at
/// most three above it: two while nobody need look, and one in the epoch that ends the quiet.
const REACH: u64 = 1 << 30;

/// The largest difference that gauges take in, if a document has so many rows.
pub(super) fn leap(rows: usize) -> u64 {
    REACH / rows as u64
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gauge {
    /// The sum less the document's base, modulo 2³².
    above: u32,
    /// While `above` is smaller than this, nobody need look.
    width: u32,
}

impl Gauge {
    /// Changes the sum; tells whether somebody must look at the document who has not been told.
    #[inline(always)]
    pub(super) fn shift(&mut self, difference: i64) -> bool {
        self.above = self.above.wrapping_add(difference as u32);
        let told = self.above >= self.width;
        self.width |= u32::from(told).wrapping_neg();
        told
    }

    /// How far the sum is above the base: from one [`REACH`] below it to three above.
    fn above(&self) -> i64 {
        i64::from(self.above.wrapping_add(REACH as u32)) - REACH as i64
    }

    /// Nobody need look any more.
    pub(super) fn kill(&mut self) {
        self.width = u32::MAX;
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
    pub(super) const fn new(unit: u64) -> Self {
        Watch {
            from: 0,
            to: 0,
            unit,
        }
    }

    /// The sums, from and up to without, with which nobody need look at a document.
    ///
    /// None is further than [`REACH`] from the sum that it has, so that a gauge can hold them.
    fn quiet(&self, document: &Document) -> (u64, u64) {
        let Document { sum, bucket, .. } = *document;
        let least = |key: u64| key.div_ceil(document.variate.into());
        let (from, to) = match document.side {
            Side::Below => (0, least(self.from)),
            Side::Inside => (sum, sum),
            Side::Above => (least(self.to), u64::MAX),
            Side::Out => (0, u64::MAX),
        };
        let first = if bucket == 0 { 0 } else { self.unit << bucket };
        let from = from.max(first).max(sum.saturating_sub(REACH)).min(sum);
        let to = to.min(self.unit << (bucket + 1)).min(sum + REACH);
        (from, to.max(from))
    }

    pub(super) fn side(&self, key: u64) -> Side {
        match key {
            key if key < self.from => Side::Below,
            key if key < self.to => Side::Inside,
            _ => Side::Above,
        }
    }

    /// The whole part of the binary logarithm of the density; 0 also below a density of 1.
    pub(super) fn bucket(&self, sum: u64) -> u8 {
        (sum / self.unit).checked_ilog2().unwrap_or(0) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Document, Side, Watch, leap};

    fn watch(from: u64, to: u64, unit: u64) -> Watch {
        Watch { from, to, unit }
    }

    /// Adds differences one after the other; which of them somebody is told of.
    fn told(document: Document, differences: &[i64], watch: &Watch) -> Vec<i64> {
        let (packed, mut gauge) = document.pack(watch);
        let mut sum = document.sum;
        let shift = |difference: &&i64| {
            let told = gauge.shift(**difference);
            sum = sum.wrapping_add_signed(**difference);
            let unpacked = packed.unpack(&gauge);
            assert_eq!(unpacked, Document { sum, ..document });
            told
        };
        differences.iter().filter(shift).copied().collect()
    }

    #[test]
    fn a_document_is_told_once_when_it_crosses_the_guard_and_always_inside() {
        let watch = watch(100, 200, 1 << 30);
        let at = |sum, side| Document {
            side,
            ..Document::new(7, 10, sum, &watch)
        };
        assert_eq!(told(at(5, Side::Below), &[4, 1, 2], &watch), [1]);
        assert_eq!(told(at(5, Side::Below), &[-5, 9, 1], &watch), [1]);
        assert_eq!(told(at(10, Side::Inside), &[3, 1], &watch), [3]);
        assert_eq!(told(at(12, Side::Inside), &[-1], &watch), [-1]);
        assert_eq!(told(at(28, Side::Above), &[90, -98, -1], &watch), [-1]);
        assert_eq!(told(at(28, Side::Out), &[90, -98, -20], &watch), []);
    }

    #[test]
    fn a_document_is_told_when_its_density_passes_a_power_of_two() {
        let watch = watch(0, 0, 16);
        let at = |sum| Document::new(0, 1, sum, &watch);
        assert_eq!(told(at(20), &[11, 1], &watch), [1]);
        assert_eq!(told(at(32), &[31, 1], &watch), [1]);
        assert_eq!(told(at(32), &[-1], &watch), [-1]);
        assert_eq!(told(at(20), &[-20, 11], &watch), []);
        let buckets = [15, 16, 32].map(|sum| watch.bucket(sum));
        assert_eq!(buckets, [0, 0, 1]);
        assert_eq!(usize::from(watch.bucket(u64::MAX >> 26)) + 1, BUCKETS);
    }

    #[test]
    fn sums_stay_exact_when_all_rows_shift_as_far_as_they_can() {
        let watch = watch(1 << 20, 1 << 40, 128 << 4);
        let most = leap(128) as i64;
        for (sum, side) in [
            (1, Side::Below),
            (1 << 35, Side::Inside),
            (1 << 47, Side::Out),
        ] {
            let document = Document {
                side,
                ..Document::new(0, 3, sum, &watch)
            };
            assert_eq!(told(document, &[most; 128], &watch).len(), 1);
            if sum > 1 << 30 {
                assert_eq!(told(document, &[-most; 128], &watch).len(), 1);
            }
        }
    }

    #[test]
    fn sums_stay_exact_a_reach_behind_the_end_of_the_widest_quiet() {
        let watch = watch(0, 0, 16);
        let document = Document::new(0, 1, 3 << 34, &watch);
        let most = leap(128) as i64;
        let mut up = [most; 256];
        up[0] -= 1;
        assert_eq!(told(document, &up, &watch), [most]);
        assert_eq!(told(document, &[-most; 256], &watch), [-most]);
    }

    #[test]
    fn leaps_are_told_and_add_up_with_shifts() {
        let watch = watch(0, 0, 16);
        let document = Document::new(0, 1, 1 << 33, &watch);
        let (mut packed, mut gauge) = document.pack(&watch);
        gauge.shift(1 << 20);
        assert!(packed.leap(-(1 << 33)));
        assert_eq!(packed.unpack(&gauge).sum, 1 << 20);
        packed.kill();
        assert!(!packed.leap(1 << 33));
    }

    #[test]
    fn the_dead_are_not_told() {
        let watch = watch(1, 2, 1);
        let mut document = Document::new(0, 1, 20, &watch);
        document.side = Side::Inside;
        let (_, mut gauge) = document.pack(&watch);
        gauge.kill();
        assert!(!gauge.shift(100));
    }
}
