//! A batch of documents, what attention makes of it, and whether that is right.

use std::ffi::c_void;

use super::exact::{Exact, ROUND, value};
use crate::cuda::device::Address;
use crate::cuda::emulated::{Emulated, Policy};
use crate::cuda::parameters::Attention;
use crate::cuda::work::{queries_per_tile, tiles};

const NAN: u16 = 0x7FFF;
/// What unwritten memory holds.
const POISON: u16 = 0xFFFF;

/// Which rows of its document a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Those before it, and its own.
    Causal,
    /// All.
    Full,
}

impl Sight {
    pub(super) const BOTH: [Sight; 2] = [Sight::Causal, Sight::Full];

    /// Widths of heads that there are kernels for.
    pub(super) fn widths(self) -> &'static [usize] {
        match self {
            Sight::Causal => &[16, 32, 64, 80, 96, 128, 256],
            Sight::Full => &[16, 32, 64, 128],
        }
    }

    /// The file and the name of the kernel for heads of a width.
    pub(super) fn kernel(self, width: usize) -> (&'static str, String) {
        match self {
            Sight::Causal => ("attention.cu", format!("attention_{width}")),
            Sight::Full => ("attention_full.cu", format!("attention_full_{width}")),
        }
    }

    /// How many rows query `t` of a document sees, from the first on.
    pub(super) fn keys(self, t: usize, length: usize) -> usize {
        match self {
            Sight::Causal => t + 1,
            Sight::Full => length,
        }
    }
}

/// Documents and heads, and what they hold.
#[derive(Clone)]
pub(super) struct Case {
    /// Which rows a query sees.
    pub(super) sight: Sight,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// First row and length of each document.
    pub(super) documents: Vec<(usize, usize)>,
    rows: usize,
    /// `[rows, ld]` bf16.
    pub(super) qkv: Vec<u16>,
}

impl Case {
    /// Documents of these lengths, a row of NaN before each and after the last. Queries are uniform
    /// in ±`spread`, keys and values in ±2.
    pub(super) fn new(
        sight: Sight,
        width: usize,
        (heads, kv_heads): (usize, usize),
        lengths: &[usize],
        spread: f32,
    ) -> Case {
        let mut documents = Vec::new();
        let mut rows = 1;
        for &length in lengths {
            documents.push((rows, length));
            rows += length + 1;
        }
        let mut case = Case {
            sight,
            width,
            heads,
            kv_heads,
            documents,
            rows,
            qkv: Vec::new(),
        };
        case.qkv = vec![NAN; rows * case.ld()];
        for (number, &(row, length)) in case.documents.clone().iter().enumerate() {
            // A document's values follow from its place in `lengths`, not from its rows.
            let mut state = 0x9E37_79B9_7F4A_7C15 ^ (number * 1_000_003 + length) as u64;
            for row in row..row + length {
                for column in 0..case.columns() {
                    let size = if column < heads * width { spread } else { 2.0 };
                    let at = row * case.ld() + column;
                    case.qkv[at] = bf16(uniform(&mut state) * size);
                }
            }
        }
        case
    }

    fn columns(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.width
    }

    pub(super) fn ld(&self) -> usize {
        self.columns().next_multiple_of(64)
    }

    fn ld_out(&self) -> usize {
        (self.heads * self.width).next_multiple_of(64)
    }

    pub(super) fn scale(&self) -> f32 {
        std::f32::consts::LOG2_E / (self.width as f32).sqrt()
    }

    /// `[rows, ld_out]` as the kernel writes it.
    pub(super) fn run(&self, policy: Policy) -> Vec<u16> {
        let device = Emulated::new(policy);
        let (file, kernel) = self.sight.kernel(self.width);
        let tile_rows = device.facts(file, &kernel).tile_rows;
        let queries = queries_per_tile(tile_rows, self.heads, self.kv_heads).expect("heads fit");
        let mut bounds: Vec<u32> = vec![0];
        for &(row, length) in &self.documents {
            bounds.extend([row as u32, (row + length) as u32]);
        }
        let mut work = tiles(&bounds, queries);
        work.retain(|tile| self.documents.iter().any(|&(row, _)| row as u32 == tile[0]));
        let (qkv, list) = (device.upload(&self.qkv), device.upload(&work));
        let out = device.poisoned::<u16>(self.rows * self.ld_out());
        let mut parameters = Attention {
            qkv: Address(qkv.address()),
            out: Address(out.address()),
            work: Address(list.address()),
            scale: self.scale(),
            heads: self.heads as i32,
            kv_heads: self.kv_heads as i32,
            head_width: self.width as i32,
            ld: self.ld() as i32,
            ld_out: self.ld_out() as i32,
        };
        let grid = [work.len() as u32, self.kv_heads as u32, 1];
        let parameters = [(&raw mut parameters).cast::<c_void>()];
        // SAFETY: the kernel takes one Attention, whose addresses hold what its sizes say.
        unsafe { device.launch(file, &kernel, grid, &parameters) }.expect("no mistake");
        out.read()
    }

    /// Runs it and compares every value with the definition.
    pub(super) fn check(&self) -> Vec<u16> {
        let out = self.run(Policy::PLAIN);
        let (mut errors, mut values) = (0.0, 0.0);
        for &(row, length) in &self.documents {
            for head in 0..self.heads {
                for t in 0..length {
                    let exact = Exact::new(self, (row, length), t, head);
                    for (d, (&exact_value, &size)) in
                        exact.values.iter().zip(&exact.sizes).enumerate()
                    {
                        let got = value(out[(row + t) * self.ld_out() + head * self.width + d]);
                        let error = (got - exact_value).abs();
                        let tolerance = exact.tolerance(exact_value, size);
                        assert!(
                            error <= tolerance,
                            "{:?}, width {}, {}/{} heads, document of {length}: query {t}, head {head}, channel {d}: \
                             {got} is not {exact_value} within {tolerance}",
                            self.sight,
                            self.width,
                            self.heads,
                            self.kv_heads
                        );
                        errors += error * error;
                        values += exact_value * exact_value;
                    }
                }
            }
        }
        // Rounding the weights averages out, so what is left is the output's own rounding.
        assert!(
            f64::sqrt(errors / values) < ROUND,
            "relative error {}",
            f64::sqrt(errors / values)
        );
        self.check_untouched(&out);
        out
    }

    /// Rows between documents and columns past the heads' keep what they held.
    fn check_untouched(&self, out: &[u16]) {
        for (row, values) in out.chunks_exact(self.ld_out()).enumerate() {
            let inside = |&(first, length): &(usize, usize)| (first..first + length).contains(&row);
            let written = if self.documents.iter().any(inside) {
                self.heads * self.width
            } else {
                0
            };
            assert!(
                values[written..].iter().all(|&it| it == POISON),
                "row {row} was written"
            );
        }
    }

    /// The bits of a document's rows.
    pub(super) fn document<'a>(&self, out: &'a [u16], number: usize) -> &'a [u16] {
        let (row, length) = self.documents[number];
        &out[row * self.ld_out()..(row + length) * self.ld_out()]
    }
}

/// Rounded to the nearest, ties to even.
pub(super) fn bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16
}

/// Uniform in ±1.
fn uniform(state: &mut u64) -> f32 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}
