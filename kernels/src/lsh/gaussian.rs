//! Gaussian numbers with the same bits on every machine.
//!
//! The system's logarithm differs between machines in its last place, so it is written out here in
//! additions, multiplications, divisions and square roots, which IEEE 754 rounds in one way only.

use super::philox::philox;

/// What a draw is for: the last word of its counter, so that no two uses share numbers.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// The direction of a hash.
    Direction = 0,
    /// Where a hash's buckets begin.
    Offset = 1,
    /// The hash that folds integers into cells.
    Fold = 2,
}

/// A number of the standard normal distribution for channel `channel` of hash `hash`, by
/// Marsaglia's polar method: a point (u, v) uniform in the unit disc, then u·√(-2 ln s / s) with
/// s = u² + v². Points outside are drawn again, the fourth counter word counting the tries.
pub(super) fn gaussian(seed: u64, hash: u32, channel: u32) -> f64 {
    let points = (0..).flat_map(|attempt| {
        let bits = philox(seed, [channel, hash, attempt, Purpose::Direction as u32]);
        let [a, b, c, d] = bits.map(centred);
        [(a, b), (c, d)]
    });
    let inside = points
        .map(|(u, v)| (u, u * u + v * v))
        .find(|(_, s)| *s < 1.0);
    let (u, s) = inside.expect("each point is inside with probability π/4");
    u * (-2.0 * logarithm(s) / s).sqrt()
}

/// A number uniform over (0, 1) for hash `hash`.
pub(super) fn uniform(seed: u64, hash: u32) -> f64 {
    let bits = philox(seed, [0, hash, 0, Purpose::Offset as u32]);
    0.5 * (centred(bits[0]) + 1.0)
}

/// A number uniform over (-1, 1) and never 0: the middle of one of 2³² equal parts.
fn centred(bits: u32) -> f64 {
    (2.0 * f64::from(bits) + 1.0) / 4_294_967_296.0 - 1.0
}

/// ln x for a normal number x > 0, to within 10⁻¹⁵ of its value or of 1.
///
/// x = 2ᵏ·m with m between √½ and √2, and ln m = 2 artanh z with z = (m - 1)/(m + 1), |z| < 0.172,
/// whose series is cut where its terms fall below 10⁻¹⁷.
fn logarithm(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = (0..11).rev().fold(0.0, |sum, term| {
        sum * square + 1.0 / f64::from(2 * term + 1)
    });
    f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * z * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oracle_logarithm() {
        let mut x = 1e-19;
        while x < 1e3 {
            let exact = f64::ln(x);
            let error = (logarithm(x) - exact).abs();
            assert!(
                error <= 1e-15 * exact.abs().max(1.0),
                "ln {x} is off by {error}"
            );
            x *= 1.000_37;
        }
        assert_eq!(logarithm(1.0), 0.0);
    }

    #[test]
    fn draws_have_the_moments_and_quantiles_of_their_distributions() {
        let count = 1u32 << 18;
        let draws: Vec<f64> = (0..count).map(|i| gaussian(5, i >> 9, i & 511)).collect();
        let n = f64::from(count);
        // Five standard deviations of each estimate: a moment's variance is E x²ᵖ - (E xᵖ)².
        for (power, expected, variance) in
            [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
        {
            let mean = draws.iter().map(|x| x.powi(power)).sum::<f64>() / n;
            let bound = 5.0 * f64::sqrt(variance / n);
            assert!((mean - expected).abs() < bound, "E x^{power} = {mean}");
        }
        for x in [-3.0, -1.0, 0.5, 2.0] {
            let below = draws.iter().filter(|draw| **draw < x).count() as f64 / n;
            let p = crate::normal::cumulative(x);
            assert!(
                (below - p).abs() < 5.0 * (p * (1.0 - p) / n).sqrt(),
                "Φ({x}): {below}"
            );
        }
        let neighbours = draws.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / n;
        assert!(
            neighbours.abs() < 5.0 / n.sqrt(),
            "correlation {neighbours}"
        );
        let mean = (0..count).map(|hash| uniform(5, hash)).sum::<f64>() / n;
        assert!((mean - 0.5).abs() < 5.0 / (12.0 * n).sqrt(), "{mean}");
    }

    #[test]
    fn draws_never_change() {
        // As reference/lsh.py prints them.
        assert_eq!(gaussian(0, 0, 0).to_bits(), 0xBFD0_0C6E_90FE_8409);
        assert_eq!(gaussian(42, 511, 383).to_bits(), 0x3FBA_D768_4A80_0547);
        assert_eq!(uniform(42, 7).to_bits(), 0x3FE9_8E79_A610_0000);
    }
}
