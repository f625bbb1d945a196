//! Exponential, error function, activations and norms, so written that the compiler vectorises
//! them.
//!
//! Sums run in [`LANES`] fixed lanes, which are then added in order, and products and sums are
//! never fused: so these functions give the same bits on every machine, however wide its vectors
//! are. Callers stand inside `pulp::Arch::dispatch`, which compiles them for the widest vectors and
//! chooses at run time. Three things keep them there, without which they run as scalars (a third of
//! the encoder's time): closures are `#[inline(always)]`; they consume an iterator made outside,
//! because one that only borrows is called through a shim that is compiled for the narrowest
//! vectors; and loops are `for` loops, because an iterator's own methods are compiled apart too.

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
    let power = f32::from_bits(((n as i32).wrapping_add(127) << 23) as u32);
    if x < -87.0 { 0.0 } else { mantissa * power }
}

/// erf(x) with a relative error of at most 2.4·10⁻⁷ and an absolute one of at most 1.5·10⁻⁷.
///
/// Up to 1, x + x·p(x²); beyond, 1 - e^(-q(x)), both polynomials fitted for the least relative error
/// (1.2·10⁻⁹ and 1.6·10⁻⁸ before rounding). Both are computed and one is chosen, because a
/// branch could not be vectorised. The standard library has no `erf`.
#[inline(always)]
#[allow(
    clippy::excessive_precision,
    reason = "eight digits name every f32; fewer would hide which one is meant"
)]
pub(crate) fn erf(x: f32) -> f32 {
    let magnitude = x.abs().min(4.0);
    let square = magnitude * magnitude;
    let mut p = 7.853_857_8e-5;
    p = p * square - 8.010_192_5e-4;
    p = p * square + 5.188_327_7e-3;
    p = p * square - 2.685_381e-2;
    p = p * square + 1.128_358_5e-1;
    p = p * square - 3.761_262_6e-1;
    p = p * square + 1.283_791e-1;
    let mut q = 1.157_227_2e-3;
    q = q * magnitude - 1.483_188_5e-2;
    q = q * magnitude + 8.879_984e-2;
    q = q * magnitude + 6.542_399e-1;
    q = q * magnitude + 1.117_621_4;
    q = q * magnitude + 2.619_139_9e-3;
    let value = if magnitude < 1.0 {
        magnitude + p * magnitude
    } else {
        1.0 - exp(-q)
    };
    // `min` has dropped a NaN.
    if x.is_nan() { x } else { value.copysign(x) }
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
    for value in values {
        *value = exp(*value - offset);
    }
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

/// LayerNorm of one row `[C]` in place: (x - mean) / √(variance + ε) · gain + bias.
#[inline(always)]
pub(crate) fn layer_norm(x: &mut [f32], gain: &[f32], bias: &[f32], epsilon: f32) {
    let mean = total(x) / x.len() as f32;
    let variance = sum(x, |value| (value - mean) * (value - mean)) / x.len() as f32;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((x, gain), bias) in x.iter_mut().zip(gain).zip(bias) {
        *x = (*x - mean) * scale * gain + bias;
    }
}

/// GELU of one row with its bias added, in its exact form: z·Φ(z) = ½z(1 + erf(z/√2)).
#[inline(always)]
pub(crate) fn gelu(x: &[f32], bias: &[f32], out: &mut [f32]) {
    for ((out, x), bias) in out.iter_mut().zip(x).zip(bias) {
        let z = x + bias;
        *out = 0.5 * z * (1.0 + erf(z * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// √Σ value².
#[inline(always)]
pub(crate) fn length(values: &[f32]) -> f32 {
    sum(values, |value| value * value).sqrt()
}

/// x += y.
#[inline(always)]
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// x /= divisor.
#[inline(always)]
pub(crate) fn divide(x: &mut [f32], divisor: f32) {
    for x in x {
        *x /= divisor;
    }
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
    fn oracle_erf_is_within_its_bounds() {
        for step in 0..4_200_000 {
            let x = step as f32 * 1e-6;
            let exact = 1.0 - crate::normal::erfc(f64::from(x));
            let error = (f64::from(erf(x)) - exact).abs();
            assert!(
                error <= 2.0 * f64::from(f32::EPSILON) * exact && error <= 1.5e-7,
                "erf({x}) is off by {error}"
            );
            assert_eq!(erf(-x), -erf(x));
        }
        assert_eq!((erf(f32::INFINITY), erf(f32::NEG_INFINITY)), (1.0, -1.0));
        assert!(erf(f32::NAN).is_nan());
    }

    #[test]
    fn oracle_layer_norm_and_gelu() {
        let x: Vec<f32> = (0..37).map(|i| (i as f32 - 14.0) / 4.0).collect();
        let gain: Vec<f32> = (0..37).map(|i| 1.0 + i as f32 / 100.0).collect();
        let bias: Vec<f32> = (0..37).map(|i| (i as f32 - 9.0) / 50.0).collect();
        let (mut normed, mut activated) = (x.clone(), vec![0.0; 37]);
        layer_norm(&mut normed, &gain, &bias, 1e-5);
        gelu(&x, &bias, &mut activated);
        let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / 37.0;
        let square = |x: &f32| (f64::from(*x) - mean).powi(2);
        let variance = x.iter().map(square).sum::<f64>() / 37.0;
        for i in 0..37 {
            let (x, gain, bias) = (f64::from(x[i]), f64::from(gain[i]), f64::from(bias[i]));
            let expected = (x - mean) / (variance + 1e-5).sqrt() * gain + bias;
            assert!((f64::from(normed[i]) - expected).abs() < 1e-6);
            let z = x + bias;
            let expected = z * crate::normal::cumulative(z);
            assert!((f64::from(activated[i]) - expected).abs() < 1e-6);
        }
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
