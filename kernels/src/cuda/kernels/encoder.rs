//! The kernels of an encoder's forward pass.

use super::Kernel;

/// The widest row that LayerNorm and pooling hold in a warp's registers, in channels: as wide as
/// the largest BERT.
pub(crate) const NORM_WIDTH_MAX: usize = 1024;

/// The kernels of an encoder's forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncoderKernels {
    /// Token and position embeddings, normed.
    pub(crate) embed: Kernel,
    /// LayerNorm of the stream.
    pub(crate) layer_norm: Kernel,
    /// Embeddings of documents.
    pub(crate) pool: Kernel,
}

impl EncoderKernels {
    /// Those of a family.
    pub(crate) fn new() -> Self {
        EncoderKernels {
            embed: row("bert_embed", "bert_embed.cu"),
            layer_norm: row("layer_norm", "layer_norm.cu"),
            pool: POOL,
        }
    }

    /// All of them, in the order of the forward pass.
    pub(crate) fn all(&self) -> [Kernel; 3] {
        [self.embed, self.layer_norm, self.pool]
    }
}

/// A kernel that gives each row a warp.
const fn row(name: &'static str, file: &'static str) -> Kernel {
    Kernel {
        name,
        file,
        threads: 256,
        shared_bytes: 0,
        tile_rows: 8,
        tile_columns: 1,
    }
}

/// A row for each of seven warps.
const POOL: Kernel = Kernel {
    name: "pool",
    file: "pool.cu",
    threads: 256,
    shared_bytes: 7 * 4 * NORM_WIDTH_MAX as u32,
    tile_rows: 1,
    tile_columns: 1,
};
