//! The order in which documents are drawn: an exponential variate times the density.
//!
//! With E(x) exponential and independent, the documents in ascending order of E(x)·s(x) are a
//! sequential draw without replacement with p ∝ 1/s (Efraimidis & Spirakis, Information Processing
//! Letters 97, 2006, with weights 1/s). A common factor changes no order, so the logarithm is that
//! of base two, which integers compute one bit after the other.

use crate::{DocumentHash, draw};

/// Fractional bits of the variate.
const VARIATE_BITS: u32 = 26;

/// Larger than any key of a document, as the largest one is given to another purpose.
pub(super) const KEY_END: u64 = i64::MAX as u64;

/// The document's exponential variate: −log₂ u in units of 2⁻²⁶, rounded up, at least 1.
///
/// u is [`draw`] of seed, purpose and document, made odd, over 2⁶⁴. Divided by 2²⁶ · log₂ e it is
/// exponential with mean one. The function is durable behaviour and never changes.
pub fn exponential(seed: u64, purpose: u64, id: DocumentHash) -> u32 {
    negative_log2(draw(seed, purpose, id) | 1)
}

/// −log₂(number / 2⁶⁴) in units of 2⁻²⁶, by repeated squaring; the number is not 0.
fn negative_log2(number: u64) -> u32 {
    let zeros = number.leading_zeros();
    // In [1, 2), with 63 fractional bits.
    let mut power = number << zeros;
    let mut log = 0u64;
    for _ in 0..VARIATE_BITS {
        let square = u128::from(power) * u128::from(power);
        let carry = (square >> 127) as u32;
        power = (square >> (63 + carry)) as u64;
        log = log << 1 | u64::from(carry);
    }
    let whole = u64::from(zeros + 1) << VARIATE_BITS;
    u32::try_from(whole - log).unwrap_or(u32::MAX)
}

/// Where a document stands, given its variate and its density times rows, in sixteenths.
///
/// Keys too large for 63 bits are equal, and told apart by the id: with 128 rows this takes a
/// density times −log₂ u of 67 million.
#[inline(always)]
pub(super) fn key(variate: u32, density: u64) -> u64 {
    let product = u128::from(variate) * u128::from(density);
    product.min(u128::from(KEY_END - 1)) as u64
}

#[cfg(test)]
mod tests {
    use super::{KEY_END, exponential, key, negative_log2};
    use crate::DocumentHash;

    const ONE: f64 = (1u64 << 26) as f64;

    #[test]
    fn powers_of_two_are_exact_and_the_ends_stay_inside() {
        assert_eq!(negative_log2(1 << 63), 1 << 26);
        assert_eq!(negative_log2(1 << 40), 24 << 26);
        assert_eq!(negative_log2(1), u32::MAX);
        assert_eq!(negative_log2(u64::MAX), 1);
    }

    #[test]
    fn oracle_it_is_the_logarithm() {
        for n in 0..10_000 {
            let number = crate::draw(3, n, DocumentHash::default()) >> (n % 60) | 1;
            let exact = (64.0 - (number as f64).log2()) * ONE;
            let error = f64::from(negative_log2(number)) - exact;
            assert!((-1.0..1.5).contains(&error), "{number}: {error}");
        }
    }

    #[test]
    fn variates_never_change() {
        let id = DocumentHash::from_halves([0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210]);
        assert_eq!(exponential(42, 0, id), VARIATES[0]);
        assert_eq!(exponential(42, 1, id), VARIATES[1]);
        assert_eq!(exponential(0, 0, DocumentHash::default()), VARIATES[2]);
    }

    // 0xE11BB5D4BF27D842, 0x0D83AD5259CBC9D9 and 0x2130748AAAC80268 over 2^64,
    // computed to fifty digits and rounded up.
    const VARIATES: [u32; 3] = [12_450_367, 284_781_723, 197_793_623];

    #[test]
    fn variates_are_exponential() {
        let variate = |n: u64| exponential(5, 6, DocumentHash::from_halves([n, 0]));
        let all: Vec<f64> = (0..1 << 16)
            .map(|n| f64::from(variate(n)) / ONE * std::f64::consts::LN_2)
            .collect();
        let count = all.len() as f64;
        let mean = all.iter().sum::<f64>() / count;
        let squares = all.iter().map(|e| e * e).sum::<f64>() / count;
        // Five standard errors: of E these are 1/256, of E² (variance 20) 4.5/256.
        assert!((mean - 1.0).abs() < 5.0 / 256.0, "{mean}");
        assert!((squares - 2.0).abs() < 5.0 * 4.5 / 256.0, "{squares}");
    }

    #[test]
    fn keys_are_products_and_stop_below_their_end() {
        assert_eq!(key(3, 5), 15);
        assert_eq!(key(u32::MAX, 1 << 40), KEY_END - 1);
        assert_eq!(key(1, 0), 0);
    }
}
