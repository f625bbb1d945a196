//! A projection of the encoder into its stream against product and sums in f64.

use super::bounded::Bounded;
use super::matrix::{Matrix, Random};
use super::norm;
use super::residual::pick;
use super::version::Version;
use super::{ROWS, TILE, at, tiles};
use crate::cuda::emulated::{Emulated, Landing, Policy};
use crate::cuda::parameters::LinearAdd;

#[derive(Clone)]
pub(super) struct Case {
    operand: Matrix,
    weight: Matrix,
    bias: Vec<f32>,
    stream: Vec<f32>,
}

impl Case {
    /// `size` is the standard deviation of the stream; that of the product is 1. `width` is a
    /// multiple of 64.
    pub(super) fn new(rows: usize, inner: usize, width: usize, size: f32) -> Self {
        let random = &mut Random(rows as u64 + 4);
        let scale = 1.0 / (inner as f32).sqrt();
        Case {
            operand: Matrix::random(random, rows, inner, 1.0),
            weight: Matrix::random(random, width, inner, scale).whole_tiles(TILE),
            bias: norm::rows(random, 1, width, 1.0),
            stream: norm::rows(random, rows, width, size),
        }
    }

    fn width(&self) -> usize {
        self.bias.len()
    }

    fn rows(&self) -> usize {
        self.stream.len() / self.width()
    }

    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        Case {
            operand: self.operand.pick(rows),
            stream: pick(&self.stream, self.width(), rows),
            ..self.clone()
        }
    }

    fn run(&self, policy: Policy) -> Vec<f32> {
        self.run_as(Version::Sm80, policy)
    }

    pub(super) fn run_as(&self, version: Version, policy: Policy) -> Vec<f32> {
        let device = Emulated::new(policy);
        let operand = device.upload(&self.operand.values);
        let weight = device.upload(&self.weight.values);
        let (bias, stream) = (device.upload(&self.bias), device.upload(&self.stream));
        let parameters = LinearAdd {
            operand: at(&operand),
            weight: at(&weight),
            bias: at(&bias),
            stream: at(&stream),
            rows: self.rows() as i32,
            inner: self.operand.stride as i32,
            width: self.width() as i32,
        };
        let operands = [(&operand, &self.operand), (&weight, &self.weight)];
        let grid = tiles(self.rows(), self.width());
        version.launch(device, "linear_add", grid, &parameters, operands);
        stream.read()
    }

    pub(super) fn check(&self, stream: &[f32]) {
        for (i, (&got, &before)) in stream.iter().zip(&self.stream).enumerate() {
            let (row, column) = (i / self.width(), i % self.width());
            let product = self.operand.product(row, &self.weight, column);
            let expected = product + Bounded::exact(self.bias[column]) + Bounded::exact(before);
            expected.check(got, || format!("row {row}, column {column}"));
        }
    }
}

#[test]
fn oracle_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        let case = Case::new(rows, 100, 192, 5.0);
        for policy in Policy::all() {
            case.check(&case.run(policy));
        }
    }
}

#[test]
fn oracle_for_a_width_below_a_tile_and_one_of_whole_tiles() {
    for (inner, width) in [(192, 64), (64, 384)] {
        let case = Case::new(66, inner, width, 1.0);
        case.check(&case.run(Policy {
            landing: Landing::Late,
            ..Policy::PLAIN
        }));
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    let case = Case::new(130, 192, 192, 1.0);
    let together = case.run(Policy::PLAIN);
    let moved: Vec<usize> = (0..130).map(|row| (row * 37 + 11) % 130).collect();
    for rows in [&moved[..], &[0], &[9], &[64], &[129]] {
        let apart = case.pick(rows).run(Policy::PLAIN);
        assert_eq!(apart, pick(&together, 192, rows));
    }
}
