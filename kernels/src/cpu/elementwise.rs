//! Exponential, SwiGLU and RMSNorm, written so that the compiler vectorises them.
//!
//! Sums run in [`LANES`] fixed lanes, which are then added in order, and products and sums are
//! never fused: so these functions give the same bits on every machine, however wide its vectors
//! are. Callers stand inside `pulp::Arch::dispatch`, which compiles them for the widest vectors and
//! chooses at run time; their closures must be `#[inline(always)]` to be compiled there.

/// Partial sums kept side by side: one AVX-512 register of f32.
const LANES: usize = 16;

/// eˣ to within 2 units in the last place for x in -87..=88; 0 below, about 1.7·10³⁸ above.
///
/// Range reduction x = n·ln 2 + r with |r| ≤ ½ ln 2, then the polynomial of Cephes' `expf`. The
/// standard library's `exp` is a call that cannot be vectorised: it would take as long as the
/// LM head's product itself.
#[inline(always)]
#[allow(
    clippy::excessive_precision,
    reason = "the constants of the source, as printed there"
)]
pub(crate) fn exp(x: f32) -> f32 {
    /// 1.5·2²³: adding and subtracting it rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.0, 88.0);
    let n = (clamped * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (clamped - n * 0.693_359_375) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_15e-4;
    p = p * r + 1.398_199_95e-3;
    p = p * r + 8.333_451_9e-3;
    p = p * r + 4.166_579_59e-2;
    p = p * r + 1.666_666_55e-1;
    p = p * r + 5.000_000_1e-1;
    let mantissa = p * r * r + r + 1.0;
    let power = f32::from_bits(((n as i32 + 127) << 23) as u32);
    if x < -87.0 { 0.0 } else { mantissa * power }
}

/// The largest of the values; -∞ when there are none.
#[inline(always)]
pub(crate) fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

/// Σ f(value), in lanes.
#[inline(always)]
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f(*value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| f(*value)).sum::<f32>()
}

/// Σ exp(value - offset).
#[inline(always)]
pub(crate) fn sum_exp(values: &[f32], offset: f32) -> f32 {
    sum(values, |value| exp(value - offset))
}

/// Replaces each value by exp(value - offset).
#[inline(always)]
pub(crate) fn exp_in_place(values: &mut [f32], offset: f32) {
    values
        .iter_mut()
        .for_each(|value| *value = exp(*value - offset));
}

/// Σ value.
#[inline(always)]
pub(crate) fn total(values: &[f32]) -> f32 {
    sum(values, |value| value)
}

/// RMSNorm of one row `[C]`: x · gain / √(mean(x²) + ε).
#[inline(always)]
pub(crate) fn rms_norm(x: &[f32], gain: &[f32], epsilon: f32, out: &mut [f32]) {
    let mean_square = sum(x, |value| value * value) / x.len() as f32;
    let scale = 1.0 / (mean_square + epsilon).sqrt();
    for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
        *out = x * scale * gain;
    }
}

/// SwiGLU of one row: silu(gate) · up, with silu(z) = z / (1 + e⁻ᶻ).
#[inline(always)]
pub(crate) fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

/// x += y.
#[inline(always)]
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oracle_exp_is_within_two_units_in_the_last_place() {
        for step in 0..2_000_000 {
            let x = -86.9 + step as f32 * 8.7e-5;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(
                error <= 2.0 * f64::from(f32::EPSILON),
                "exp({x}) is off by {error}"
            );
        }
        assert_eq!(
            (exp(0.0), exp(-200.0), exp(f32::NEG_INFINITY)),
            (1.0, 0.0, 0.0)
        );
        assert!(exp(200.0).is_finite());
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_largest_of_any_length() {
        for length in 0..70 {
            let values: Vec<f32> = (0..length).map(|i| ((i * 37) % 11) as f32).collect();
            assert_eq!(total(&values), values.iter().sum::<f32>());
            let expected = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(largest(&values), expected);
        }
    }

    #[test]
    fn oracle_rms_norm_and_swiglu() {
        let x: Vec<f32> = (0..37).map(|i| (i as f32 - 18.0) / 5.0).collect();
        let gain: Vec<f32> = (0..37).map(|i| 1.0 + i as f32 / 100.0).collect();
        let (mut normed, mut gated) = (vec![0.0; 37], vec![0.0; 37]);
        rms_norm(&x, &gain, 1e-5, &mut normed);
        swiglu(&x, &gain, &mut gated);
        let square: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 37.0;
        for i in 0..37 {
            let (x, gain) = (f64::from(x[i]), f64::from(gain[i]));
            assert!((f64::from(normed[i]) - x * gain / (square + 1e-5).sqrt()).abs() < 1e-6);
            assert!((f64::from(gated[i]) - x / (1.0 + (-x).exp()) * gain).abs() < 1e-6);
        }
    }
}
