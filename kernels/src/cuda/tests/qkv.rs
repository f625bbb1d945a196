//! Queries, keys and values against RMSNorm, product and rotation in f64.

use super::bounded::Bounded;
use super::matrix::{Matrix, Random};
use super::version::Version;
use super::{ROWS, TILE, at, tiles};
use crate::cuda::emulated::{Emulated, Landing, Policy};
use crate::cuda::parameters::Projection;

const EPSILON: f32 = 1e-5;
const POSITIONS: usize = 97;

#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) width: usize,
}

impl Heads {
    fn columns(self) -> usize {
        (self.queries + 2 * self.keys) * self.width
    }

    fn rotated(self) -> usize {
        (self.queries + self.keys) * self.width
    }
}

#[derive(Clone)]
pub(super) struct Case {
    channels: usize,
    heads: Heads,
    operand: Matrix,
    weight: Matrix,
    positions: Vec<u32>,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Case {
    pub(super) fn new(rows: usize, channels: usize, heads: Heads) -> Self {
        let random = &mut Random(rows as u64);
        let angle = |i: usize| {
            let (position, pair) = (i / (heads.width / 2), i % (heads.width / 2));
            position as f64 / 1e4f64.powf(2.0 * pair as f64 / heads.width as f64)
        };
        let angles = (0..POSITIONS * heads.width / 2).map(angle);
        let scale = 1.0 / (channels as f32).sqrt();
        Case {
            channels,
            heads,
            operand: Matrix::random(random, rows, channels, 3.0),
            weight: Matrix::random(random, heads.columns(), channels, scale).whole_tiles(TILE),
            positions: (0..rows).map(|_| random.below(POSITIONS) as u32).collect(),
            cosines: angles.clone().map(|angle| angle.cos() as f32).collect(),
            sines: angles.map(|angle| angle.sin() as f32).collect(),
        }
    }

    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        Case {
            operand: self.operand.pick(rows),
            positions: rows.iter().map(|&row| self.positions[row]).collect(),
            ..self.clone()
        }
    }

    /// The kernel's result, rows filled up to a multiple of 64 columns.
    fn run(&self, policy: Policy) -> Matrix {
        self.run_as(Version::Sm80, policy)
    }

    pub(super) fn run_as(&self, version: Version, policy: Policy) -> Matrix {
        let device = Emulated::new(policy);
        let (rows, columns) = (self.positions.len(), self.heads.columns());
        let stride = columns.next_multiple_of(64);
        let operand = device.upload(&self.operand.values);
        let weight = device.upload(&self.weight.values);
        let squares = device.upload(&self.operand.squares());
        let positions = device.upload(&self.positions);
        let (cosines, sines) = (device.upload(&self.cosines), device.upload(&self.sines));
        let out = device.poisoned(rows * stride);
        let parameters = Projection {
            operand: at(&operand),
            weight: at(&weight),
            out: at(&out),
            squares: at(&squares),
            cosines: at(&cosines),
            sines: at(&sines),
            positions: at(&positions),
            norm_epsilon: EPSILON,
            channels: self.channels as i32,
            rows: rows as i32,
            inner: self.operand.stride as i32,
            columns: columns as i32,
            ld_out: stride as i32,
            rotated: self.heads.rotated() as i32,
            head_width: self.heads.width as i32,
        };
        let operands = [(&operand, &self.operand), (&weight, &self.weight)];
        version.launch(device, "qkv", tiles(rows, columns), &parameters, operands);
        Matrix {
            stride,
            values: out.read(),
        }
    }

    pub(super) fn check(&self, out: &Matrix) {
        for row in 0..self.positions.len() {
            let scale = self.operand.norm_scale(row, self.channels, EPSILON);
            let expected = (0..self.heads.columns())
                .map(|column| self.operand.product(row, &self.weight, column) * scale)
                .collect::<Vec<Bounded>>();
            let padding = std::iter::repeat_n(Bounded::default(), out.stride - expected.len());
            let expected = self.turned(row, &expected).into_iter().chain(padding);
            for (column, (expected, got)) in expected.zip(out.row(row)).enumerate() {
                expected
                    .to_bf16()
                    .check(got, || format!("row {row}, column {column}"));
            }
        }
    }

    /// Neighbouring columns of queries and keys as pairs, turned to the row's position.
    fn turned(&self, row: usize, columns: &[Bounded]) -> Vec<Bounded> {
        let mut turned = columns.to_vec();
        let half = self.heads.width / 2;
        for column in (0..self.heads.rotated()).step_by(2) {
            let angle = self.positions[row] as usize * half + column % self.heads.width / 2;
            let cosine = Bounded::exact(self.cosines[angle]);
            let sine = Bounded::exact(self.sines[angle]);
            let (a, b) = (columns[column], columns[column + 1]);
            turned[column] = a * cosine - b * sine;
            turned[column + 1] = b * cosine + a * sine;
        }
        turned
    }
}

const SMALL: Heads = Heads {
    queries: 3,
    keys: 1,
    width: 32,
};

#[test]
fn oracle_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        let case = Case::new(rows, 40, SMALL);
        for policy in Policy::all() {
            case.check(&case.run(policy));
        }
    }
}

#[test]
fn oracle_for_heads_of_every_width() {
    for (queries, keys, width) in [(4, 4, 16), (9, 3, 64), (2, 2, 80), (2, 1, 96), (3, 1, 128)] {
        let case = Case::new(
            66,
            192,
            Heads {
                queries,
                keys,
                width,
            },
        );
        case.check(&case.run(Policy {
            landing: Landing::Late,
            ..Policy::PLAIN
        }));
    }
}

#[test]
fn oracle_for_more_tiles_of_rows_than_share_weights() {
    let case = Case::new(
        8 * TILE + 70,
        64,
        Heads {
            queries: 1,
            keys: 1,
            width: 64,
        },
    );
    case.check(&case.run(Policy::PLAIN));
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    let case = Case::new(130, 192, SMALL);
    let together = case.run(Policy::PLAIN);
    let moved: Vec<usize> = (0..130).map(|row| (row * 37 + 11) % 130).collect();
    assert_eq!(
        case.pick(&moved).run(Policy::PLAIN).values,
        together.pick(&moved).values
    );
    for row in [0, 9, 64, 129] {
        assert_eq!(
            case.pick(&[row]).run(Policy::PLAIN).values,
            together.pick(&[row]).values
        );
    }
}
