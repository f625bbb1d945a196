//! A number in f64 with a bound on how far a kernel's may lie from it.
//!
//! Every operation adds what one rounding of fp32 may add, so that a reference written in the
//! kernel's formula carries its own tolerance. Sums of n products count 4·√n roundings instead of
//! the worst case of n: rounding errors are as good as independent (Higham and Mary, 2019), and the
//! worst case would hide real mistakes.

use std::ops::{Add, Mul, Sub};

use crate::normal::cumulative;

/// Half a unit in the last place of fp32, relative.
const FP32: f64 = 1.0 / (1 << 24) as f64;
/// The same of bf16.
const BF16: f64 = 1.0 / (1 << 8) as f64;
/// Error of the hardware's exp2 and reciprocal, relative.
const APPROXIMATE: f64 = 4.0 * FP32;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounded {
    pub(super) value: f64,
    pub(super) error: f64,
}

impl Bounded {
    /// A number that a kernel reads.
    pub(super) fn exact(value: impl Into<f64>) -> Self {
        let value = value.into();
        Bounded { value, error: 0.0 }
    }

    /// What fp32 makes of Σ a·b.
    pub(super) fn sum_of_products(pairs: impl Iterator<Item = (f64, f64)>) -> Self {
        let (mut value, mut size, mut count) = (0.0, 0.0, 0);
        for (a, b) in pairs {
            value += a * b;
            size += (a * b).abs();
            count += 1;
        }
        let error = 4.0 * f64::from(count).sqrt() * FP32 * size;
        Bounded { value, error }
    }

    /// What fp32 makes of a sum.
    pub(super) fn sum(terms: impl Iterator<Item = Bounded>) -> Self {
        let (mut value, mut size, mut error, mut count) = (0.0, 0.0, 0.0, 0);
        for term in terms {
            value += term.value;
            size += term.value.abs();
            error += term.error;
            count += 1;
        }
        let error = error + 4.0 * f64::from(count).sqrt() * FP32 * size;
        Bounded { value, error }
    }

    /// 1/√x.
    pub(super) fn reciprocal_root(self) -> Self {
        let value = 1.0 / self.value.sqrt();
        let error = value * (self.error / self.value / 2.0 + 4.0 * FP32);
        Bounded { value, error }
    }

    /// RMSNorm's factor, 1/√(Σ/channels + epsilon).
    pub(super) fn norm_scale(squares: Bounded, channels: usize, epsilon: f32) -> Self {
        let mean = squares.value / channels as f64 + f64::from(epsilon);
        let value = 1.0 / mean.sqrt();
        let mean_error = squares.error / channels as f64 / mean;
        let error = value * (mean_error / 2.0 + 4.0 * FP32);
        Bounded { value, error }
    }

    /// x / (1 + exp(-x)).
    pub(super) fn silu(self) -> Self {
        let value = self.value / (1.0 + (-self.value).exp());
        // The slope of silu is at most 1.1; the exponent's own rounding grows with it.
        let rounding = 3.0 * APPROXIMATE + 2.0 * FP32 * self.value.abs();
        let error = 1.1 * self.error + rounding * value.abs();
        Bounded { value, error }
    }

    /// x·Φ(x), as linear.cuh states to have it.
    pub(super) fn gelu(self) -> Self {
        let value = self.value * cumulative(self.value);
        // The slope of GELU is at most 1.13. What lies below -6 is 6e-9 at most.
        let error = 1.13 * self.error + 1e-9 + value.abs() / f64::from(1 << 17);
        Bounded { value, error }
    }

    /// ln Σ exp(x).
    pub(super) fn log_sum_exp(terms: &[Bounded]) -> Self {
        let largest = terms
            .iter()
            .map(|x| x.value)
            .fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = terms.iter().map(|x| (x.value - largest).exp()).sum();
        let value = largest + sum.ln();
        let of_terms = terms.iter().map(|x| x.error).fold(0.0, f64::max);
        let size = terms.iter().map(|x| x.value.abs()).fold(0.0, f64::max);
        let of_sum = 4.0 * (terms.len() as f64).sqrt() * FP32;
        let error = of_terms + 4.0 * FP32 * size + of_sum + 2.0 * APPROXIMATE;
        Bounded { value, error }
    }

    /// Rounded to bf16.
    pub(super) fn to_bf16(self) -> Self {
        let error = self.error + BF16 * (self.value.abs() + self.error);
        Bounded { error, ..self }
    }

    /// Fails when `got` lies further from this than it may, or is no number.
    #[track_caller]
    pub(super) fn check(self, got: impl Into<f64>, what: impl FnOnce() -> String) {
        let got = got.into();
        let off = (got - self.value).abs();
        let near = off <= self.error;
        assert!(
            near,
            "{}: {got} for {}, off by {off:e} of {:e}",
            what(),
            self.value,
            self.error
        );
    }

    fn rounded(value: f64, error: f64) -> Self {
        let error = error + FP32 * (value.abs() + error);
        Bounded { value, error }
    }
}

impl Mul for Bounded {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let error = self.value.abs() * other.error
            + other.value.abs() * self.error
            + self.error * other.error;
        Self::rounded(self.value * other.value, error)
    }
}

impl Add for Bounded {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::rounded(self.value + other.value, self.error + other.error)
    }
}

impl Sub for Bounded {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::rounded(self.value - other.value, self.error + other.error)
    }
}
