//! Memory of an encoder on a device, counted before any of it is taken.

use super::hashes::{self, Layout};
use super::shape::Shape;
use crate::Lsh;
use crate::cuda::budget::Planned;
use crate::cuda::group::Group;
use crate::cuda::shape::weight_rows;

/// How much memory each buffer takes, for one number of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Rows of a forward pass at most.
    pub(crate) rows: usize,
    /// `[rows, Cp]` f32.
    pub(crate) stream: usize,
    /// `[rows, Cp]` bf16.
    pub(crate) operand: usize,
    /// `[rows, (3·C)p]` bf16.
    pub(crate) qkv: usize,
    /// `[rows, Cp]` bf16.
    pub(crate) attended: usize,
    /// `[rows, Fp]` bf16.
    pub(crate) hidden: usize,
    /// A group's block, for each slot.
    pub(crate) inputs: usize,
    /// Embeddings, checks and codes of as many documents as rows, for each slot.
    pub(crate) results: usize,
    /// All weights, and the hashes.
    pub(crate) weights: u64,
}

impl Plan {
    /// The buffers for so many rows.
    pub(crate) fn new(shape: &Shape, lsh: Option<&Lsh>, rows: usize) -> Self {
        let codes = lsh.map_or(0, |lsh| lsh.config().rows);
        Plan {
            rows,
            stream: rows * shape.width * 4,
            operand: rows * shape.width * 2,
            qkv: rows * shape.qkv * 2,
            attended: rows * shape.width * 2,
            hidden: rows * shape.hidden * 2,
            inputs: Group::bytes_max(rows),
            results: Layout::new(rows, shape.config.width, codes).end,
            weights: weight_bytes(shape) + lsh.map_or(0, hashes::bytes),
        }
    }
}

impl Planned for Plan {
    fn rows(&self) -> usize {
        self.rows
    }

    fn weight_bytes(&self) -> u64 {
        self.weights
    }

    fn batch_bytes(&self) -> u64 {
        let once = [
            self.stream,
            self.operand,
            self.qkv,
            self.attended,
            self.hidden,
        ];
        let twice = [self.inputs, self.results];
        (once.iter().sum::<usize>() + 2 * twice.iter().sum::<usize>()) as u64
    }
}

/// Memory of all weights: matrices in bf16, what is added or scaled by in f32.
fn weight_bytes(shape: &Shape) -> u64 {
    let (width, hidden, config) = (shape.width, shape.hidden, &shape.config);
    let linear = |rows: usize, columns: usize| {
        let rows = weight_rows(rows);
        (rows * columns * 2 + rows * 4) as u64
    };
    let norm = (2 * width * 4) as u64;
    let layer = linear(shape.qkv, width)
        + linear(width, width)
        + linear(hidden, width)
        + linear(width, hidden)
        + 2 * norm;
    let tables = (config.vocabulary * width * 2 + config.positions * width * 4) as u64;
    tables + norm + config.layers as u64 * layer
}
