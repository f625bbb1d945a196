//! Memory of a decoder on a device, counted before any of it is taken.

use super::budget::Planned;
use super::group::Group;
use super::parameters::PARTIAL_BYTES;
use super::shape::{SLICE, Shape, weight_rows};

/// How much memory each buffer takes, for one number of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Rows of a forward pass at most.
    pub(crate) rows: usize,
    /// `[rows, Cp]` f32.
    pub(crate) stream: usize,
    /// `[rows, Cp]` bf16.
    pub(crate) operand: usize,
    /// `[rows, Cp/64]` f32.
    pub(crate) squares: usize,
    /// `[rows, ((H + 2G)·D)p]` bf16.
    pub(crate) qkv: usize,
    /// `[rows, (H·D)p]` bf16.
    pub(crate) attended: usize,
    /// `[rows, Fp]` bf16.
    pub(crate) hidden: usize,
    /// `[rows, splits]` of three f32.
    pub(crate) partial: usize,
    /// `[positions, D/2]` f32: cosines, and as much for sines.
    pub(crate) angles: usize,
    /// A group's block, for each slot.
    pub(crate) inputs: usize,
    /// `[rows]` f64, for each slot.
    pub(crate) nll_nats: usize,
    /// All weights.
    pub(crate) weights: u64,
}

impl Plan {
    /// The buffers for so many rows.
    pub(crate) fn new(shape: &Shape, rows: usize) -> Self {
        let positions = rows.min(shape.config.context);
        Plan {
            rows,
            stream: rows * shape.width * 4,
            operand: rows * shape.width * 2,
            squares: rows * (shape.width / SLICE) * 4,
            qkv: rows * shape.qkv * 2,
            attended: rows * shape.attended * 2,
            hidden: rows * shape.hidden * 2,
            partial: rows * shape.splits * PARTIAL_BYTES,
            angles: positions * (shape.config.head_width / 2) * 4,
            inputs: Group::bytes_max(rows),
            nll_nats: rows * 8,
            weights: weight_bytes(shape),
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
            self.squares,
            self.qkv,
            self.attended,
            self.hidden,
            self.partial,
        ];
        let twice = [self.angles, self.inputs, self.nll_nats];
        (once.iter().sum::<usize>() + 2 * twice.iter().sum::<usize>()) as u64
    }
}

/// Memory of all weights in bf16, with padding.
fn weight_bytes(shape: &Shape) -> u64 {
    let matrix = |rows: usize, columns: usize| 2 * (rows * columns) as u64;
    let layer = matrix(weight_rows(shape.qkv), shape.width)
        + matrix(weight_rows(shape.width), shape.attended)
        + matrix(weight_rows(2 * shape.hidden), shape.width)
        + matrix(weight_rows(shape.width), shape.hidden);
    let vocabulary = shape.config.vocabulary;
    let ends = matrix(vocabulary, shape.width) + matrix(weight_rows(vocabulary), shape.width);
    shape.config.layers as u64 * layer + ends
}

#[cfg(test)]
mod tests {
    use super::super::budget::TOKENS_WISHED;
    use super::super::kernels::Family;
    use super::*;
    use crate::Config;

    fn smollm2() -> Shape {
        let config = Config {
            name: "SmolLM2-135M".into(),
            layers: 30,
            width: 576,
            hidden: 1536,
            heads: 9,
            kv_heads: 3,
            head_width: 64,
            vocabulary: 49152,
            context: 8192,
            rope_base: 100_000.0,
            norm_epsilon: 1e-5,
            tied: true,
        };
        Shape::new(&config, Family::Ampere).unwrap()
    }

    #[test]
    fn smollm2_takes_what_arithmetic_says() {
        let plan = Plan::new(&smollm2(), TOKENS_WISHED);
        // 30 layers of (1024·576 + 640·576 + 3072·576 + 640·1536) weights, and two tables.
        let weights = 30 * (1024 * 576 + 640 * 576 + 3072 * 576 + 640 * 1536) + 2 * 49152 * 576;
        assert_eq!(plan.weights, 2 * weights as u64);
        // 576·(4 + 2) + 9·4 + 960·2 + 576·2 + 1536·2 + 8·12 bytes a row, and the slots.
        let row = 576 * 6 + 36 + 960 * 2 + 576 * 2 + 1536 * 2 + 96;
        let slots = 2 * (8192 * 32 * 4 + Group::bytes_max(TOKENS_WISHED) + 8 * TOKENS_WISHED);
        assert_eq!(plan.batch_bytes(), (TOKENS_WISHED * row + slots) as u64);
    }
}
