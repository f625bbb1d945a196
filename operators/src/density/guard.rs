//! Where a new guard goes: from a histogram of all keys, a span around the cut.

use crate::density::order::KEY_END;
use crate::select::{Band, Quota, Rate};

/// Bins in each factor of two, as a power of two: each is 1.1 to 1.6 % of its key wide.
const FINE: u32 = 6;
/// Bins of all keys below 2⁶³.
pub(super) const BINS: usize = (63 - FINE as usize + 1) << FINE;

/// The bin of a key.
#[inline(always)]
pub(super) fn bin(key: u64) -> usize {
    let power = (key | 1 << FINE).ilog2() - FINE;
    ((power as usize) << FINE) + (key >> power) as usize
}

/// The least key of a bin, or the end of all keys.
fn start(bin: usize) -> u64 {
    let power = (bin >> FINE).saturating_sub(1);
    let first = ((bin - (power << FINE)) as u64).checked_shl(power as u32);
    first.map_or(KEY_END, |first| first.min(KEY_END))
}

/// The keys, from and up to without, of a guard around the cut, by everybody's documents by bin.
///
/// To each side are a 64th of the documents and 64 more, or all there are: the cut is surely
/// inside, and stays there while the corpus grows by some percent.
pub(super) fn guard(histogram: &[u64], rate: Rate) -> (u64, u64) {
    let total: u64 = histogram.iter().sum();
    let target = target(total, rate);
    let margin = total / 64 + 64;
    let (mut from, mut before) = (0, 0);
    for (bin, &documents) in histogram.iter().enumerate() {
        if before + margin <= target {
            from = start(bin);
        }
        before += documents;
        if before >= target + margin {
            return (from, start(bin + 1));
        }
    }
    (from, KEY_END)
}

/// Whether a guard has become so wide that a new one is cheaper.
pub(super) fn is_wide(inside: u64, total: u64) -> bool {
    inside > total / 8 + 1024
}

/// How many of `total` documents are drawn.
fn target(total: u64, rate: Rate) -> u64 {
    quota(rate).ends(total as i64)[1] as u64
}

/// What a rate keeps of the order.
pub(super) fn quota(rate: Rate) -> Quota {
    Quota {
        band: Band::Low,
        rate,
    }
}

#[cfg(test)]
mod tests {
    use super::{BINS, bin, guard, start};
    use crate::Rate;
    use crate::density::order::KEY_END;

    #[test]
    fn bins_ascend_without_gaps_and_cover_all_keys() {
        assert_eq!((bin(0), start(0), start(BINS)), (0, 0, KEY_END));
        assert_eq!(bin(KEY_END - 1), BINS - 1);
        for at in 1..BINS {
            assert_eq!((bin(start(at)), bin(start(at) - 1)), (at, at - 1));
        }
    }

    #[test]
    fn a_guard_has_enough_to_each_side_of_the_cut() {
        let mut histogram = vec![0; BINS];
        histogram[1000..2000].fill(64);
        // The cut is at 32,000 of 64,000, the margin 1064 documents: 17 bins.
        let half = Rate::from_ppm(500_000).unwrap();
        assert_eq!(guard(&histogram, half), (start(1483), start(1517)));
        assert_eq!(guard(&histogram, Rate::ALL), (start(1983), KEY_END));
        assert_eq!(
            guard(&histogram, Rate::from_ppm(0).unwrap()),
            (0, start(1017))
        );
        assert_eq!(guard(&[0; BINS], half), (0, KEY_END));
    }
}
