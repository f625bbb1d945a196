//! The normal distribution in f64: what collision probabilities are made of, and the measure of the
//! models' own approximations.

/// The complementary error function, 1 - erf(x), to within 10⁻¹⁴ of its value.
///
/// Up to 1.5 the series erf(x) = 2/√π e^(-x²) Σ 2ⁱ x^(2i+1) / (1·3·…·(2i+1)), whose terms are all
/// positive; beyond, Laplace's continued fraction, from its 120th term back.
pub(crate) fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    let density = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 1.5 {
        let terms = (0..).scan(x, |term, i| {
            let current = *term;
            *term *= 2.0 * x * x / f64::from(2 * i + 3);
            Some(current)
        });
        let sum: f64 = terms.take_while(|term| *term > 1e-18).sum();
        return 1.0 - 2.0 * density * sum;
    }
    let tail = (1..=120)
        .rev()
        .fold(0.0, |tail, k| f64::from(k) / 2.0 / (x + tail));
    density / (x + tail)
}

/// Φ(x), the probability that a standard normal number is below x.
pub(crate) fn cumulative(x: f64) -> f64 {
    0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfc_is_the_published_table() {
        // Abramowitz & Stegun, tables 7.1 and 7.3, and erfc(5) of their asymptotic series.
        let table = [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (2.0, 4.677_734_981_047_266e-3),
            (3.0, 2.209_049_699_858_544e-5),
            (5.0, 1.537_459_794_428_035e-12),
            (-1.0, 1.842_700_792_949_715),
        ];
        for (x, expected) in table {
            let error = (erfc(x) - expected).abs() / expected;
            assert!(error < 1e-13, "erfc({x}) is off by {error}");
        }
        let (below, above) = (erfc(1.5 - 1e-12), erfc(1.5));
        assert!((below / above - 1.0).abs() < 1e-10, "the two forms meet");
    }

    #[test]
    fn cumulative_of_known_quantiles() {
        for (x, expected) in [(0.0, 0.5), (1.959_963_984_540_054, 0.975), (-40.0, 0.0)] {
            assert!((cumulative(x) - expected).abs() < 1e-14, "{x}");
        }
    }
}
