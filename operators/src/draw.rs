//! Random numbers that are functions of what they are for, so that every run draws the same.

use crate::DocumentHash;

/// A number uniform over `u64`, fixed for ever by the seed, the purpose and the document.
///
/// Different purposes under one seed draw independently of each other (a purpose is any number that
/// the caller keeps for one use), and so do different documents. The function is durable behaviour:
/// the kept set of a random stage depends on it, so it never changes. It spreads well and is not
/// cryptographic: who knows the seed can look for ids that draw low.
///
/// ```
/// use riffle_operators::{DocumentHash, draw};
/// assert_eq!(draw(1, 2, DocumentHash::from_halves([3, 8])), 0x36C6_8843_47B6_7FD7);
/// ```
pub fn draw(seed: u64, purpose: u64, id: DocumentHash) -> u64 {
    let [first, second] = id.halves();
    mix(mix(mix(mix(seed) ^ purpose) ^ first) ^ second)
}

/// The finalizer of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): a bijection of 64 bits in which
/// each bit of the input changes half of the output's.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::{draw, mix};
    use crate::DocumentHash;

    #[test]
    fn mix_is_splitmix64() {
        // The first outputs of SplitMix64 seeded with 0, as published with the algorithm.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(0x9E37_79B9_7F4A_7C15), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn draws_never_change() {
        let id = DocumentHash::from_halves([0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210]);
        assert_eq!(draw(0, 0, DocumentHash::default()), 0x2130_748A_AAC8_0268);
        assert_eq!(draw(42, 0, id), 0xE11B_B5D4_BF27_D842);
        assert_eq!(draw(42, 1, id), 0x0D83_AD52_59CB_C9D9);
        assert_eq!(draw(u64::MAX, u64::MAX, id), 0xF843_AFC8_7ACC_5ABA);
    }

    #[test]
    fn draws_are_uniform_for_each_purpose_and_independent_between_two() {
        let draws = |purpose| {
            (0..1u64 << 16).map(move |n| draw(7, purpose, DocumentHash::from_halves([n, n << 3])))
        };
        // Binomial counts of 65,536 tries: five standard deviations.
        for purpose in [0, 1] {
            for bit in 0..64 {
                let ones = draws(purpose).filter(|d| d >> bit & 1 == 1).count() as f64;
                assert!((ones - 32_768.0).abs() < 5.0 * 128.0, "bit {bit}: {ones}");
            }
        }
        let both = draws(0)
            .zip(draws(1))
            .filter(|(a, b)| (a ^ b) >> 63 == 0)
            .count() as f64;
        assert!((both - 32_768.0).abs() < 5.0 * 128.0, "{both}");
    }
}
