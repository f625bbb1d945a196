//! The feed-forward layer's first half against RMSNorm, products and SwiGLU in f64.

use super::matrix::{Matrix, Random};
use super::version::Version;
use super::{ROWS, TILE, at, tiles};
use crate::cuda::device::Address;
use crate::cuda::emulated::{Emulated, Landing, Policy};
use crate::cuda::parameters::Projection;

const EPSILON: f32 = 1e-6;

#[derive(Clone)]
pub(super) struct Case {
    channels: usize,
    /// Channels inside, a multiple of 64.
    hidden: usize,
    operand: Matrix,
    /// Eight rows of gate, eight of up, and so on.
    weight: Matrix,
}

impl Case {
    pub(super) fn new(rows: usize, channels: usize, hidden: usize, size: f32) -> Self {
        let random = &mut Random(rows as u64 + 1);
        let scale = size / (channels as f32).sqrt();
        Case {
            channels,
            hidden,
            operand: Matrix::random(random, rows, channels, 0.5),
            weight: Matrix::random(random, 2 * hidden, channels, scale).whole_tiles(TILE),
        }
    }

    fn rows(&self) -> usize {
        self.operand.values.len() / self.operand.stride
    }

    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        Case {
            operand: self.operand.pick(rows),
            ..self.clone()
        }
    }

    fn run(&self, policy: Policy) -> Matrix {
        self.run_as(Version::Sm80, policy)
    }

    pub(super) fn run_as(&self, version: Version, policy: Policy) -> Matrix {
        let device = Emulated::new(policy);
        let (rows, columns) = (self.rows(), 2 * self.hidden);
        let operand = device.upload(&self.operand.values);
        let weight = device.upload(&self.weight.values);
        let squares = device.upload(&self.operand.squares());
        let out = device.poisoned(rows * self.hidden);
        let parameters = Projection {
            operand: at(&operand),
            weight: at(&weight),
            out: at(&out),
            squares: at(&squares),
            cosines: Address::NULL,
            sines: Address::NULL,
            positions: Address::NULL,
            norm_epsilon: EPSILON,
            channels: self.channels as i32,
            rows: rows as i32,
            inner: self.operand.stride as i32,
            columns: columns as i32,
            ld_out: self.hidden as i32,
            rotated: 0,
            head_width: 0,
        };
        let operands = [(&operand, &self.operand), (&weight, &self.weight)];
        version.launch(
            device,
            "gate_up",
            tiles(rows, columns),
            &parameters,
            operands,
        );
        Matrix {
            stride: self.hidden,
            values: out.read(),
        }
    }

    pub(super) fn check(&self, out: &Matrix) {
        for row in 0..self.rows() {
            let scale = self.operand.norm_scale(row, self.channels, EPSILON);
            let product = |column| self.operand.product(row, &self.weight, column) * scale;
            for (column, got) in out.row(row).enumerate() {
                let gate = column / 8 * 16 + column % 8;
                let expected = product(gate).silu() * product(gate + 8);
                expected
                    .to_bf16()
                    .check(got, || format!("row {row}, column {column}"));
            }
        }
    }
}

#[test]
fn oracle_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        let case = Case::new(rows, 40, 64, 2.0);
        for policy in Policy::all() {
            case.check(&case.run(policy));
        }
    }
}

#[test]
fn oracle_for_several_tiles_of_columns() {
    let case = Case::new(70, 192, 320, 1.0);
    case.check(&case.run(Policy {
        landing: Landing::Late,
        ..Policy::PLAIN
    }));
}

/// exp(-gate) overflows fp32 from -89 down; the result is 0 there, and `up` itself far above.
#[test]
fn oracle_for_gates_far_beyond_what_exp_can_hold() {
    let case = Case::new(65, 64, 64, 300.0);
    let out = case.run(Policy::PLAIN);
    case.check(&out);
    let largest = (0..65).flat_map(|row| out.row(row)).fold(0.0, f64::max);
    assert!(largest > 1e5, "{largest}: gates of some hundreds");
}

#[test]
fn zeros_stay_zeros() {
    let mut case = Case::new(3, 64, 64, 1.0);
    case.operand.values.fill(0);
    assert!(
        case.run(Policy::PLAIN)
            .values
            .iter()
            .all(|bits| bits << 1 == 0)
    );
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    let case = Case::new(130, 192, 64, 1.0);
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
