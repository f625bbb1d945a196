//! Attention from its definition, and how far bf16 and f32 may lie from it.

use super::case::Case;

/// Half a step of bf16, relative: what rounding to it changes at most.
pub(super) const ROUND: f64 = 1.0 / 256.0;
/// The same of f32.
const ROUND_F32: f64 = 1.0 / 16_777_216.0;

/// One head of one query from the definition.
pub(super) struct Exact {
    /// `[D]`.
    pub(super) values: Vec<f64>,
    /// The same with values taken without their sign, `[D]`: what rounding errors are relative to.
    pub(super) sizes: Vec<f64>,
    /// How far f32 may move a weight, relative.
    weight_error: f64,
}

impl Exact {
    pub(super) fn new(case: &Case, (row, length): (usize, usize), t: usize, head: usize) -> Exact {
        let (width, ld) = (case.width, case.ld());
        let kv_head = head / (case.heads / case.kv_heads);
        let at = |row: usize, head: usize| {
            case.qkv[row * ld + head * width..][..width]
                .iter()
                .map(|&bits| value(bits))
        };
        let scale = f64::from(case.scale());
        let keys = case.sight.keys(t, length);
        let (mut scores, mut largest_sum) = (Vec::new(), 0.0f64);
        for s in 0..keys {
            let products = at(row + t, head).zip(at(row + s, case.heads + kv_head));
            let (score, sum) = products.fold((0.0, 0.0), |(score, sum), (q, k)| {
                (score + q * k, sum + (q * k).abs())
            });
            scores.push(score * scale);
            largest_sum = largest_sum.max(sum * scale);
        }
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp2()).collect();
        let total: f64 = weights.iter().sum();
        let (mut values, mut sizes) = (vec![0.0; width], vec![0.0; width]);
        for (s, weight) in weights.iter().enumerate() {
            for (d, v) in at(row + s, case.heads + case.kv_heads + kv_head).enumerate() {
                values[d] += weight / total * v;
                sizes[d] += weight / total * v.abs();
            }
        }
        // A score is a sum of `width` exact products, then subtracted and scaled; a difference of
        // two goes into an exponent. Powers are within four roundings, and a weight is multiplied by
        // one each step; sums over the keys round once a key.
        let exponent = 2.0 * (width as f64 + 2.0) * ROUND_F32 * largest_sum;
        let weight_error =
            std::f64::consts::LN_2 * exponent + (keys as f64 + 7.0) * 2.0 * ROUND_F32;
        Exact {
            values,
            sizes,
            weight_error,
        }
    }

    /// Weights are rounded to bf16 above the fraction and not below it, f32 moves them on both
    /// sides, and the result is rounded to bf16; a hundredth covers products of these.
    pub(super) fn tolerance(&self, exact: f64, size: f64) -> f64 {
        1.01 * (size * (ROUND + 2.0 * self.weight_error) + exact.abs() * ROUND)
    }
}

pub(super) fn value(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}
