//! What a stage keeps: a band of a total order, in integers.

use std::ops::{Add, AddAssign, Sub, SubAssign};

use serde::{Deserialize, Serialize};

use crate::DocumentHash;

/// Where a document stands in a stage, computed from its record and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The group that it is ranked in: the same number on all workers and in all processes.
    pub group: u64,
    /// Its rank in the group, ascending; equal keys are told apart by the id.
    pub key: i64,
    /// What it weighs: 1 where documents count, or its tokens.
    pub mass: u32,
}

/// A place in a group's order: some documents are strictly below it, the others at or above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The document's key.
    pub key: i64,
    /// The document's id, which breaks ties.
    pub id: DocumentHash,
}

impl Place {
    pub(crate) const MIN: Place = Place {
        key: i64::MIN,
        id: DocumentHash::from_halves([0, 0]),
    };
    /// Above all documents but one, which has the largest key and whose hash is all ones.
    pub(crate) const MAX: Place = Place {
        key: i64::MAX,
        id: DocumentHash::from_halves([u64::MAX, u64::MAX]),
    };
}

/// The places from `from` up to, and without, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub from: Place,
    pub to: Place,
}

impl Span {
    pub(crate) const ALL: Span = Span {
        from: Place::MIN,
        to: Place::MAX,
    };

    pub(crate) fn contains(&self, place: Place) -> bool {
        self.from <= place && place < self.to
    }
}

/// A number of documents and their mass, or a change of both.
///
/// A group's mass must fit in 63 bits: that is 2³¹ documents of the largest mass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// How many documents.
    pub documents: i64,
    /// The sum of their masses.
    pub mass: i64,
}

impl Amount {
    /// One document of this mass.
    pub(crate) fn one(mass: u32) -> Self {
        Amount {
            documents: 1,
            mass: i64::from(mass),
        }
    }
}

impl Add for Amount {
    type Output = Amount;

    fn add(mut self, other: Amount) -> Amount {
        self += other;
        self
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.documents += other.documents;
        self.mass += other.mass;
    }
}

impl Sub for Amount {
    type Output = Amount;

    fn sub(mut self, other: Amount) -> Amount {
        self -= other;
        self
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Amount) {
        self.documents -= other.documents;
        self.mass -= other.mass;
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(amounts: I) -> Amount {
        amounts.fold(Amount::default(), Add::add)
    }
}

/// Which part of the order is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Band {
    /// The lowest keys.
    Low,
    /// The middle; if an odd mass is left out, one more of it is above.
    Medium,
    /// The highest keys.
    High,
}

/// A share of the whole, in parts per million: never a float, so that all compute the same band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u32);

impl Rate {
    /// Everything.
    pub const ALL: Rate = Rate(1_000_000);

    /// `ppm` parts per million; `None` above a million.
    pub const fn from_ppm(ppm: u32) -> Option<Rate> {
        if ppm <= Rate::ALL.0 {
            Some(Rate(ppm))
        } else {
            None
        }
    }

    /// Parts per million.
    pub const fn ppm(self) -> u32 {
        self.0
    }

    /// The share of a mass, rounded down.
    pub(crate) fn of(self, total: i64) -> i64 {
        let share = i128::from(total) * i128::from(self.0) / i128::from(Rate::ALL.0);
        i64::try_from(share).expect("a share is not more than the whole")
    }
}

/// What a stage keeps of each group, to the document.
///
/// Of a mass M, the band is k = ⌊rate·M⌋ wide and starts at 0 (low), ⌊(M−k)/2⌋ (medium) or M−k
/// (high). A document is kept when it lies wholly inside: the mass before it is at least the start,
/// and with its own at most the end. So with a mass of 1 each, exactly k documents are kept; a
/// document heavier than the band never is, and those of no mass are kept where the band touches
/// them, even by a rate of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Which part of the order.
    pub band: Band,
    /// How much of it.
    pub rate: Rate,
}

impl Quota {
    /// The mass before the band, and the mass before the band's end, in a group of mass `total`.
    pub fn ends(&self, total: i64) -> [i64; 2] {
        let width = self.rate.of(total);
        let start = match self.band {
            Band::Low => 0,
            Band::Medium => (total - width) / 2,
            Band::High => total - width,
        };
        [start, start + width]
    }

    /// Whether the lower and the upper end are cuts that move with the documents.
    pub(crate) fn moving(&self) -> [bool; 2] {
        [self.band != Band::Low, self.band != Band::High]
    }
}

#[cfg(test)]
mod tests {
    use super::{Band, Quota, Rate};

    fn ends(band: Band, ppm: u32, total: i64) -> [i64; 2] {
        Quota {
            band,
            rate: Rate::from_ppm(ppm).unwrap(),
        }
        .ends(total)
    }

    #[test]
    fn a_band_is_the_floor_of_the_rate_wide_and_starts_where_it_should() {
        assert_eq!(ends(Band::Low, 500_000, 7), [0, 3]);
        assert_eq!(ends(Band::Medium, 500_000, 7), [2, 5]);
        assert_eq!(ends(Band::High, 500_000, 7), [4, 7]);
        assert_eq!(ends(Band::Medium, 333_333, 3), [1, 1]);
    }

    #[test]
    fn the_ends_are_right_at_the_limits() {
        for band in [Band::Low, Band::Medium, Band::High] {
            assert_eq!(ends(band, 1_000_000, i64::MAX), [0, i64::MAX]);
            assert_eq!(ends(band, 1_000_000, 0), [0, 0]);
        }
        assert_eq!(ends(Band::High, 0, 10), [10, 10]);
        assert_eq!(Rate::from_ppm(1_000_001), None);
    }
}
