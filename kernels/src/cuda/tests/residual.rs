//! A projection into the residual stream against product and sum in f64.

use super::bounded::Bounded;
use super::matrix::{Matrix, Random, SLICE, round};
use super::version::Version;
use super::{ROWS, TILE, at, tiles};
use crate::cuda::emulated::{Emulated, Landing, Policy};
use crate::cuda::parameters::Residual;

#[derive(Clone)]
pub(super) struct Case {
    width: usize,
    operand: Matrix,
    weight: Matrix,
    stream: Vec<f32>,
}

pub(super) struct Results {
    pub(super) stream: Vec<f32>,
    pub(super) operand: Vec<u16>,
    pub(super) squares: Vec<f32>,
}

impl Case {
    /// `size` is the standard deviation of the stream; that of the product is 1.
    pub(super) fn new(rows: usize, inner: usize, width: usize, size: f32) -> Self {
        let random = &mut Random(rows as u64 + 2);
        let scale = 1.0 / (inner as f32).sqrt();
        Case {
            width,
            operand: Matrix::random(random, rows, inner, 1.0),
            weight: Matrix::random(random, width, inner, scale).whole_tiles(TILE),
            stream: (0..rows * width).map(|_| random.unit() * size).collect(),
        }
    }

    fn rows(&self) -> usize {
        self.stream.len() / self.width
    }

    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        Case {
            operand: self.operand.pick(rows),
            stream: pick(&self.stream, self.width, rows),
            ..self.clone()
        }
    }

    fn run(&self, policy: Policy) -> Results {
        self.run_as(Version::Sm80, policy)
    }

    pub(super) fn run_as(&self, version: Version, policy: Policy) -> Results {
        let device = Emulated::new(policy);
        let operand = device.upload(&self.operand.values);
        let weight = device.upload(&self.weight.values);
        let stream = device.upload(&self.stream);
        let operand_out = device.poisoned(self.stream.len());
        let squares = device.poisoned(self.stream.len() / SLICE);
        let parameters = Residual {
            operand: at(&operand),
            weight: at(&weight),
            stream: at(&stream),
            operand_out: at(&operand_out),
            squares: at(&squares),
            rows: self.rows() as i32,
            inner: self.operand.stride as i32,
            width: self.width as i32,
        };
        let operands = [(&operand, &self.operand), (&weight, &self.weight)];
        version.launch(
            device,
            "residual",
            tiles(self.rows(), self.width),
            &parameters,
            operands,
        );
        Results {
            stream: stream.read(),
            operand: operand_out.read(),
            squares: squares.read(),
        }
    }

    pub(super) fn check(&self, results: &Results) {
        for (i, (&got, &before)) in results.stream.iter().zip(&self.stream).enumerate() {
            let (row, column) = (i / self.width, i % self.width);
            let expected = self.operand.product(row, &self.weight, column);
            let expected = expected + Bounded::exact(before);
            expected.check(got, || format!("row {row}, column {column}"));
        }
        for (i, (&copy, &value)) in results.operand.iter().zip(&results.stream).enumerate() {
            assert_eq!(copy, round(value), "copy of {value}, {i}");
        }
        for (i, (&got, slice)) in results
            .squares
            .iter()
            .zip(results.stream.chunks(64))
            .enumerate()
        {
            let values = slice.iter().map(|&x| f64::from(x));
            let expected = Bounded::sum_of_products(values.clone().zip(values));
            expected.check(got, || format!("squares {i}"));
        }
    }
}

pub(super) fn pick<T: Copy>(values: &[T], width: usize, rows: &[usize]) -> Vec<T> {
    rows.iter()
        .flat_map(|&row| values[row * width..][..width].iter().copied())
        .collect()
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
    for (inner, width) in [(192, 64), (64, 256)] {
        let case = Case::new(66, inner, width, 1.0);
        case.check(&case.run(Policy {
            landing: Landing::Late,
            ..Policy::PLAIN
        }));
    }
}

/// A bf16 stream would lose the product altogether.
#[test]
fn oracle_for_a_stream_a_thousand_times_the_product() {
    let case = Case::new(64, 128, 128, 1000.0);
    case.check(&case.run(Policy::PLAIN));
}

#[test]
fn oracle_for_more_tiles_of_rows_than_share_weights() {
    let case = Case::new(8 * TILE + 1, 64, 192, 1.0);
    case.check(&case.run(Policy::PLAIN));
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    let case = Case::new(130, 192, 192, 1.0);
    let together = case.run(Policy::PLAIN);
    let moved: Vec<usize> = (0..130).map(|row| (row * 37 + 11) % 130).collect();
    for rows in [&moved[..], &[0], &[9], &[64], &[129]] {
        let apart = case.pick(rows).run(Policy::PLAIN);
        assert_eq!(apart.stream, pick(&together.stream, 192, rows));
        assert_eq!(apart.operand, pick(&together.operand, 192, rows));
        assert_eq!(apart.squares, pick(&together.squares, 3, rows));
    }
}
