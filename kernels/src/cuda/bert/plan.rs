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

#[cfg(test)]
mod tests {
    use super::super::encoder::Encoder;
    use super::super::tests::{hashes, odd, random};
    use super::*;
    use crate::cuda::budget::TOKENS_WISHED;
    use crate::cuda::emulated::{EmulatedDevice, Policy};
    use crate::cuda::kernels::Family;
    use crate::{EncoderConfig, LoadOptions, Pooling};

    #[test]
    fn minilm_takes_what_arithmetic_says() {
        let config = EncoderConfig {
            name: "all-MiniLM-L6-v2".into(),
            layers: 6,
            width: 384,
            hidden: 1536,
            heads: 12,
            vocabulary: 30522,
            positions: 512,
            token_types: 2,
            norm_epsilon: 1e-12,
            tokens_max: 256,
            pooling: Pooling::Mean,
            normalised: true,
        };
        let shape = Shape::new(&config, Family::Hopper).unwrap();
        let plan = Plan::new(&shape, None, TOKENS_WISHED);
        // A layer's matrices in bf16, its biases and norms in f32; nothing here needs padding.
        let layer = 2 * (4 * 384 * 384 + 2 * 384 * 1536) + 4 * (4 * 384 + 1536 + 384 + 4 * 384);
        let tables = 2 * 30522 * 384 + 4 * 512 * 384 + 4 * 2 * 384;
        assert_eq!(plan.weights, 6 * layer + tables);
        // 384·(4 + 2) + 1152·2 + 384·2 + 1536·2 bytes a row, and the slots.
        let slots = 2 * (Group::bytes_max(TOKENS_WISHED) + TOKENS_WISHED * 4 * (384 + 1));
        assert_eq!(plan.batch_bytes(), (TOKENS_WISHED * 8448 + slots) as u64);
    }

    #[test]
    fn an_encoder_takes_the_memory_that_was_planned() {
        let folder = tempfile::tempdir().unwrap();
        let directory = random(&folder, &odd());
        let shape = Shape::new(&odd(), Family::Ampere).unwrap();
        for lsh in [None, hashes(odd().width)] {
            let lsh = lsh.as_deref();
            let plan = Plan::new(&shape, lsh, 300);
            let planned = plan.weight_bytes() + plan.batch_bytes();
            let device = EmulatedDevice::new(Policy::PLAIN);
            let tensors = directory.tensors();
            let encoder = Encoder::load(device, shape.clone(), plan, tensors, lsh).unwrap();
            assert_eq!(encoder.device.allocated_bytes(), planned);
        }
    }

    #[test]
    fn the_least_that_an_encoder_needs_is_what_a_language_model_leaves() {
        use crate::cuda::budget::Budget;
        let folder = tempfile::tempdir().unwrap();
        random(&folder, &odd());
        let mut options = LoadOptions::default();
        let least = crate::encoder_gpu_bytes(folder.path(), &options).unwrap();
        let shape = Shape::new(&odd(), Family::Hopper).unwrap();
        let fit = |options: &LoadOptions, free_bytes| {
            let budget = Budget::of(options, odd().positions, free_bytes);
            budget.fit(|rows| Plan::new(&shape, None, rows))
        };
        assert!(fit(&options, least).is_ok());
        assert!(
            fit(&options, least - 1).is_err(),
            "a byte less is too little"
        );
        options.gpu_bytes_kept = 1 << 30;
        assert!(fit(&options, least + (1 << 30)).is_ok());
        assert!(
            fit(&options, least + (1 << 30) - 1).is_err(),
            "what is kept is not taken"
        );
    }
}
