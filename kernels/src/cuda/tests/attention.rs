//! `attention.cu` against the definition in float64.
//!
//! Documents lie between rows of NaN, and so do the columns that pad a row: a value read from
//! outside a document would be seen in every weighted sum, even with weight zero.

use std::ffi::c_void;

use crate::cuda::device::Address;
use crate::cuda::emulated::{Emulated, Landing, Policy};
use crate::cuda::parameters::Attention;
use crate::cuda::work::{queries_per_tile, tiles};

const FILE: &str = "attention.cu";
const WIDTHS: [usize; 7] = [16, 32, 64, 80, 96, 128, 256];
const NAN: u16 = 0x7FFF;
/// What unwritten memory holds.
const POISON: u16 = 0xFFFF;

/// Documents and heads, and what they hold.
#[derive(Clone)]
struct Case {
    width: usize,
    heads: usize,
    kv_heads: usize,
    /// First row and length of each document.
    documents: Vec<(usize, usize)>,
    rows: usize,
    /// `[rows, ld]` bf16.
    qkv: Vec<u16>,
}

impl Case {
    /// Documents of these lengths, a row of NaN before each and after the last. Queries are uniform
    /// in ±`spread`, keys and values in ±2.
    fn new(
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

    fn ld(&self) -> usize {
        self.columns().next_multiple_of(64)
    }

    fn ld_out(&self) -> usize {
        (self.heads * self.width).next_multiple_of(64)
    }

    fn scale(&self) -> f32 {
        std::f32::consts::LOG2_E / (self.width as f32).sqrt()
    }

    /// `[rows, ld_out]` as the kernel writes it.
    fn run(&self, policy: Policy) -> Vec<u16> {
        let device = Emulated::new(policy);
        let kernel = format!("attention_{}", self.width);
        let tile_rows = device.facts(FILE, &kernel).tile_rows;
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
        unsafe { device.launch(FILE, &kernel, grid, &parameters) }.expect("no mistake");
        out.read()
    }

    /// Runs it and compares every value with the definition.
    fn check(&self) -> Vec<u16> {
        let out = self.run(Policy::PLAIN);
        let (mut errors, mut values) = (0.0, 0.0);
        for &(row, length) in &self.documents {
            for head in 0..self.heads {
                for t in 0..length {
                    let exact = Exact::new(self, row, t, head);
                    for (d, (&exact_value, &size)) in
                        exact.values.iter().zip(&exact.sizes).enumerate()
                    {
                        let got = value(out[(row + t) * self.ld_out() + head * self.width + d]);
                        let error = (got - exact_value).abs();
                        let tolerance = exact.tolerance(exact_value, size);
                        assert!(
                            error <= tolerance,
                            "width {}, {}/{} heads, document of {length}: query {t}, head {head}, channel {d}: \
                             {got} is not {exact_value} within {tolerance}",
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
    fn document<'a>(&self, out: &'a [u16], number: usize) -> &'a [u16] {
        let (row, length) = self.documents[number];
        &out[row * self.ld_out()..(row + length) * self.ld_out()]
    }
}

/// Half a step of bf16, relative: what rounding to it changes at most.
const ROUND: f64 = 1.0 / 256.0;
/// The same of f32.
const ROUND_F32: f64 = 1.0 / 16_777_216.0;

/// One head of one query from the definition.
struct Exact {
    /// `[D]`.
    values: Vec<f64>,
    /// The same with values taken without their sign, `[D]`: what rounding errors are relative to.
    sizes: Vec<f64>,
    /// How far f32 may move a weight, relative.
    weight_error: f64,
}

impl Exact {
    fn new(case: &Case, row: usize, t: usize, head: usize) -> Exact {
        let (width, ld) = (case.width, case.ld());
        let kv_head = head / (case.heads / case.kv_heads);
        let at = |row: usize, head: usize| {
            case.qkv[row * ld + head * width..][..width]
                .iter()
                .map(|&bits| value(bits))
        };
        let scale = f64::from(case.scale());
        let (mut scores, mut largest_sum) = (Vec::new(), 0.0f64);
        for s in 0..=t {
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
        let weight_error = std::f64::consts::LN_2 * exponent + (t as f64 + 8.0) * 2.0 * ROUND_F32;
        Exact {
            values,
            sizes,
            weight_error,
        }
    }

    /// Weights are rounded to bf16 above the fraction and not below it, f32 moves them on both
    /// sides, and the result is rounded to bf16; a hundredth covers products of these.
    fn tolerance(&self, exact: f64, size: f64) -> f64 {
        1.01 * (size * (ROUND + 2.0 * self.weight_error) + exact.abs() * ROUND)
    }
}

fn value(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

/// Rounded to the nearest, ties to even.
fn bf16(x: f32) -> u16 {
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

/// Lengths around the tile's queries and the step's keys, in no order.
fn lengths(width: usize, (heads, kv_heads): (usize, usize)) -> Vec<usize> {
    let facts = Emulated::new(Policy::PLAIN).facts(FILE, &format!("attention_{width}"));
    let queries = facts.tile_rows as usize / (heads / kv_heads);
    let keys = facts.tile_columns as usize;
    vec![
        1,
        queries + 1,
        2,
        keys,
        200,
        queries,
        keys + 1,
        queries - 1,
        keys - 1,
        1,
    ]
}

#[test]
fn oracle_attention_of_every_head_width() {
    for width in WIDTHS {
        for heads in [(9, 3), (2, 2)] {
            Case::new(width, heads, &lengths(width, heads), 2.0).check();
        }
    }
}

#[test]
fn oracle_attention_of_every_group_size() {
    for heads in [
        (1, 1),
        (6, 3),
        (4, 1),
        (10, 2),
        (7, 1),
        (16, 2),
        (12, 1),
        (16, 1),
        (33, 1),
        (64, 1),
    ] {
        Case::new(64, heads, &[1, 40, 2, 130], 2.0).check();
        Case::new(256, heads, &[1, 5, 40], 2.0).check();
    }
}

#[test]
fn oracle_attention_of_large_scores() {
    for spread in [50.0, 1e3, 1e6, 1e12] {
        for width in [16, 64, 128] {
            Case::new(width, (6, 2), &[100, 1, 70], spread).check();
        }
    }
}

#[test]
fn equal_scores_weigh_alike() {
    let mut case = Case::new(64, (9, 3), &[150], 0.0);
    case.check();
    // The mean of ones is exactly one, however many there are.
    let (first, ld) = (12 * 64, case.ld());
    for (row, length) in case.documents.clone() {
        for row in row..row + length {
            case.qkv[row * ld + first..][..3 * 64].fill(bf16(1.0));
        }
    }
    let out = case.run(Policy::PLAIN);
    assert!(case.document(&out, 0).iter().all(|&bits| bits == bf16(1.0)));
}

#[test]
fn bits_do_not_depend_on_the_schedule_or_on_when_copies_land() {
    for width in WIDTHS {
        let case = Case::new(width, (6, 2), &[3, 150, 64, 20], 2.0);
        let expected = case.run(Policy::PLAIN);
        for landing in [Landing::Early, Landing::Late] {
            for seed in [0, 5, 6, 7] {
                let policy = Policy {
                    landing,
                    seed,
                    host_threads: 0,
                };
                assert!(case.run(policy) == expected, "width {width}, {policy:?}");
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_company() {
    for width in WIDTHS {
        let batch = Case::new(width, (9, 3), &[7, 1, 150, 64, 43, 90], 2.0);
        let together = batch.run(Policy::PLAIN);
        for (number, &(row, length)) in batch.documents.iter().enumerate() {
            let mut alone = Case::new(width, (9, 3), &[length], 2.0);
            let (to, from) = (alone.documents[0].0 * batch.ld(), row * batch.ld());
            let values = length * batch.ld();
            alone.qkv[to..to + values].copy_from_slice(&batch.qkv[from..from + values]);
            let out = alone.run(Policy::PLAIN);
            assert!(
                alone.document(&out, 0) == batch.document(&together, number),
                "width {width}, document {number}"
            );
        }
    }
}
