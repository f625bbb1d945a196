//! LayerNorm of the stream against its formula in f64.

use super::bounded::Bounded;
use super::matrix::Random;
use super::norm::{Norm, rows};
use super::residual::pick;
use super::{ROWS, at, launch};
use crate::cuda::emulated::{Emulated, Policy};
use crate::cuda::kernels::encoder::NORM_WIDTH_MAX;
use crate::cuda::parameters::LayerNorm;

struct Case {
    norm: Norm,
    stream: Vec<f32>,
}

impl Case {
    fn new(count: usize, channels: usize, size: f32, epsilon: f32) -> Self {
        let random = &mut Random(count as u64);
        Case {
            stream: rows(random, count, channels, size),
            norm: Norm::random(random, channels, epsilon),
        }
    }

    fn run(&self, policy: Policy) -> (Vec<f32>, Vec<u16>) {
        let device = Emulated::new(policy);
        let width = self.norm.width();
        let rows = self.stream.len() / width;
        let stream = device.upload(&self.stream);
        let operand = device.poisoned(self.stream.len());
        let (gain, bias) = (
            device.upload(&self.norm.gain),
            device.upload(&self.norm.bias),
        );
        let parameters = LayerNorm {
            stream: at(&stream),
            operand: at(&operand),
            gain: at(&gain),
            bias: at(&bias),
            epsilon: self.norm.epsilon,
            rows: rows as i32,
            channels: self.norm.channels as i32,
            width: width as i32,
        };
        let grid = [rows.div_ceil(8) as u32, 1, 1];
        launch(device, "layer_norm", grid, &parameters);
        (stream.read(), operand.read())
    }

    fn check(&self, policy: Policy) {
        let rows = self.stream.chunks(self.norm.width());
        let rows: Vec<Vec<Bounded>> = rows
            .map(|row| {
                row[..self.norm.channels]
                    .iter()
                    .map(|&x| Bounded::exact(x))
                    .collect()
            })
            .collect();
        let (stream, operand) = self.run(policy);
        self.norm.check(&rows, &stream, &operand);
    }
}

#[test]
fn oracle_for_any_number_of_rows_under_every_policy() {
    for rows in ROWS {
        let case = Case::new(rows, 384, 2.0, 1e-12);
        Policy::all().for_each(|policy| case.check(policy));
    }
}

#[test]
fn oracle_for_widths_around_the_lanes_parts() {
    for channels in [1, 3, 30, 64, 127, 129, 312, 768, 1021, NORM_WIDTH_MAX] {
        Case::new(3, channels, 1.0, 1e-5).check(Policy::PLAIN);
    }
}

/// A mean of a thousand standard deviations: a variance taken as a difference of squares would have
/// no digit left.
#[test]
fn oracle_for_rows_far_from_zero() {
    let mut case = Case::new(9, 384, 1.0, 1e-12);
    case.stream.iter_mut().for_each(|x| *x += 1000.0);
    case.check(Policy::PLAIN);
}

#[test]
fn a_row_of_equal_values_becomes_the_bias() {
    let mut case = Case::new(1, 128, 1.0, 1e-5);
    case.stream.fill(2.5);
    assert_eq!(case.run(Policy::PLAIN).0, case.norm.bias);
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    let case = Case::new(77, 384, 1.0, 1e-12);
    let (stream, operand) = case.run(Policy::PLAIN);
    for row in [0, 7, 8, 76] {
        let alone = Case {
            stream: pick(&case.stream, 384, &[row]),
            norm: case.norm.clone(),
        };
        let got = alone.run(Policy::PLAIN);
        assert_eq!(got.0, pick(&stream, 384, &[row]));
        assert_eq!(got.1, pick(&operand, 384, &[row]));
    }
}
