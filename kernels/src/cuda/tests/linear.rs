//! The encoder's projections with a bias, and GELU, against products in f64.

use super::bounded::Bounded;
use super::matrix::{Matrix, Random};
use super::norm;
use super::version::Version;
use super::{ROWS, TILE, at, launch, tiles};
use crate::cuda::device::Address;
use crate::cuda::emulated::{Emulated, Landing, Policy};
use crate::cuda::parameters::{Linear, Parameter};
use crate::normal::cumulative;

/// What happens to a projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    None,
    Gelu,
}

#[derive(Clone)]
pub(super) struct Case {
    pub(super) activation: Activation,
    columns: usize,
    operand: Matrix,
    weight: Matrix,
    bias: Vec<f32>,
}

impl Case {
    /// `size` is the standard deviation of the product.
    pub(super) fn new(rows: usize, inner: usize, columns: usize, size: f32) -> Self {
        let random = &mut Random(rows as u64 + 3);
        let scale = size / (inner as f32).sqrt();
        let bias = norm::rows(random, 1, columns, 1.0);
        Case {
            activation: Activation::None,
            columns,
            operand: Matrix::random(random, rows, inner, 1.0),
            weight: Matrix::random(random, columns, inner, scale).whole_tiles(TILE),
            bias,
        }
    }

    pub(super) fn with(self, activation: Activation) -> Self {
        Case { activation, ..self }
    }

    fn rows(&self) -> usize {
        self.operand.values.len() / self.operand.stride
    }

    /// Columns that are written: the rest of the last slice is zeros.
    fn width(&self) -> usize {
        self.bias.len()
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
        let operand = device.upload(&self.operand.values);
        let weight = device.upload(&self.weight.values);
        let bias = device.upload(&self.bias);
        let out = device.poisoned(self.rows() * self.width());
        let parameters = Linear {
            operand: at(&operand),
            weight: at(&weight),
            bias: at(&bias),
            out: at(&out),
            rows: self.rows() as i32,
            inner: self.operand.stride as i32,
            columns: self.columns as i32,
            ld_out: self.width() as i32,
        };
        let name = match self.activation {
            Activation::None => "linear",
            Activation::Gelu => "linear_gelu",
        };
        let operands = [(&operand, &self.operand), (&weight, &self.weight)];
        let grid = tiles(self.rows(), self.columns);
        version.launch(device, name, grid, &parameters, operands);
        Matrix {
            stride: self.width(),
            values: out.read(),
        }
    }

    pub(super) fn check(&self, out: &Matrix) {
        for row in 0..self.rows() {
            for (column, got) in out.row(row).enumerate() {
                let product = match column < self.columns {
                    true => self.operand.product(row, &self.weight, column),
                    false => Bounded::default(),
                };
                let biased = product + Bounded::exact(self.bias[column]);
                let expected = match self.activation {
                    Activation::None => biased,
                    Activation::Gelu => biased.gelu(),
                };
                expected
                    .to_bf16()
                    .check(got, || format!("row {row}, column {column}"));
            }
        }
    }
}

const BOTH: [Activation; 2] = [Activation::None, Activation::Gelu];

#[test]
fn oracle_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        for activation in BOTH {
            let case = Case::new(rows, 100, 190, 2.0).with(activation);
            for policy in Policy::all() {
                case.check(&case.run(policy));
            }
        }
    }
}

#[test]
fn oracle_for_several_tiles_of_columns() {
    for activation in BOTH {
        let case = Case::new(70, 384, 320, 1.0).with(activation);
        case.check(&case.run(Policy {
            landing: Landing::Late,
            ..Policy::PLAIN
        }));
    }
}

#[test]
fn oracle_for_projections_of_hundreds() {
    let case = Case::new(65, 64, 64, 300.0).with(Activation::Gelu);
    case.check(&case.run(Policy::PLAIN));
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    for activation in BOTH {
        let case = Case::new(130, 192, 192, 1.0).with(activation);
        let together = case.run(Policy::PLAIN);
        let moved: Vec<usize> = (0..130).map(|row| (row * 37 + 11) % 130).collect();
        for rows in [&moved[..], &[0], &[9], &[64], &[129]] {
            let apart = case.pick(rows).run(Policy::PLAIN);
            assert_eq!(apart.values, together.pick(rows).values);
        }
    }
}

/// What `emulator/probe_gelu.cu` takes.
#[repr(C)]
struct Gelu {
    input: Address,
    out: Address,
    count: i32,
}

// SAFETY: `repr(C)` with the fields of the struct in probe_gelu.cu, in its order.
unsafe impl Parameter for Gelu {}

fn gelu(inputs: &[f32]) -> Vec<f32> {
    let device = Emulated::new(Policy::PLAIN);
    let (input, out) = (device.upload(inputs), device.poisoned(inputs.len()));
    let parameters = Gelu {
        input: at(&input),
        out: at(&out),
        count: inputs.len() as i32,
    };
    launch(device, "probe_gelu", [1, 1, 1], &parameters);
    out.read()
}

/// The bounds that linear.cuh states.
#[test]
fn oracle_gelu_is_within_its_bounds() {
    let inputs: Vec<f32> = (-200_000..=200_000).map(|i| i as f32 * 6e-5).collect();
    for (&z, got) in inputs.iter().zip(gelu(&inputs)) {
        let exact = f64::from(z) * cumulative(f64::from(z));
        let error = (f64::from(got) - exact).abs();
        assert!(error <= 6e-7, "gelu({z}) is off by {error}");
        let relative = exact.abs() / f64::from(1 << 17);
        assert!(
            error <= relative || z < -6.0,
            "gelu({z}) is off by {error:e} of {relative:e}"
        );
    }
}

#[test]
fn gelu_of_numbers_far_out() {
    let far = [20.0, 1e4, 1e20, f32::MAX];
    assert_eq!(gelu(&far), far);
    assert!(gelu(&far.map(|z| -z)).iter().all(|&x| x == 0.0));
    assert_eq!(gelu(&[0.0, -0.0]), [0.0, 0.0]);
    assert!(gelu(&[f32::NAN])[0].is_nan());
}
