//! Where a new guard goes: from a histogram of all keys, a span around the cut.

use crate::density::order::KEY_END;
use crate::select::{Band, Quota, Rate};

/// Bins in each factor of two, as a power of two: each is 0.3 to 0.4 % of its key wide.
const FINE: u32 = 8;
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

/// The keys, from and up to without, of a guard around the cut, by everybody's documents by bin,
/// where the last guard is `old`.
///
/// A document inside costs some forty touches whenever it is touched, and a new guard one or two for
/// each document that there is. While the corpus grows, all keys grow, and the cut with them: so
/// ahead of it are a 96th of the documents, which lasts for 3 % of growth, and behind it only a
/// 1024th. It goes on to where it left the last guard.
pub(super) fn guard(histogram: &[u64], rate: Rate, old: (u64, u64)) -> (u64, u64) {
    let total: u64 = histogram.iter().sum();
    let target = target(total, rate);
    let (ahead, behind) = (total / 96 + 64, total / 1024 + 64);
    let (mut below, mut above) = (behind, ahead);
    if start(place(histogram, target)) < old.0 {
        (below, above) = (ahead, behind);
    }
    let from = match target.checked_sub(below) {
        Some(least) => start(place(histogram, least)),
        None => 0,
    };
    let last = place(histogram, target + above - 1);
    (from, start((last + 1).min(BINS)))
}

/// The bin of the document with so many before it; that after the last if there is none.
fn place(histogram: &[u64], before: u64) -> usize {
    let mut sum = 0;
    let ends = histogram.iter().map(|documents| {
        sum += documents;
        sum
    });
    ends.take_while(|end| *end <= before).count()
}

/// Whether a guard has become so wide that a new one is cheaper.
pub(super) fn is_wide(inside: u64, total: u64) -> bool {
    inside > total / 32 + 1024
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
        // The cut is at 32,000 of 64,000; ahead are 730 documents, 11.4 bins, and behind 126.
        let half = Rate::from_ppm(500_000).unwrap();
        let none = Rate::from_ppm(0).unwrap();
        let (low, high) = ((0, 0), (KEY_END, KEY_END));
        assert_eq!(guard(&histogram, half, low), (start(1498), start(1512)));
        assert_eq!(guard(&histogram, half, high), (start(1488), start(1502)));
        assert_eq!(guard(&histogram, Rate::ALL, low), (start(1998), KEY_END));
        assert_eq!(guard(&histogram, none, low), (0, start(1012)));
        assert_eq!(guard(&[0; BINS], half, low), (0, KEY_END));
    }
}
