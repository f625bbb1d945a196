//! The kernels of an encoder's forward pass.

use super::{Family, Kernel, ampere, attention, hopper};

/// The widest row that LayerNorm and pooling hold in a warp's registers, in channels: as wide as
/// the largest BERT.
pub(crate) const NORM_WIDTH_MAX: usize = 1024;

/// The kernels of an encoder's forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncoderKernels {
    /// Which instructions the products use.
    pub(crate) family: Family,
    /// Token and position embeddings, normed.
    pub(crate) embed: Kernel,
    /// A projection: queries, keys and values.
    pub(crate) linear: Kernel,
    /// Attention of heads of one width, over whole documents.
    pub(crate) attention: Kernel,
    /// A projection added to the stream.
    pub(crate) linear_add: Kernel,
    /// LayerNorm of the stream.
    pub(crate) layer_norm: Kernel,
    /// A projection with GELU.
    pub(crate) linear_gelu: Kernel,
    /// Embeddings of documents.
    pub(crate) pool: Kernel,
    /// Hashes of embeddings.
    pub(crate) codes: Kernel,
}

impl EncoderKernels {
    /// Those for heads of a width; `None` when attention is not made for it.
    pub(crate) fn new(family: Family, head_width: usize) -> Option<Self> {
        let attention = ATTENTION.iter().find(|(width, _)| *width == head_width);
        let (_, attention) = attention?;
        let [linear, linear_gelu, linear_add] = match family {
            Family::Ampere => AMPERE,
            Family::Hopper => HOPPER,
        };
        Some(EncoderKernels {
            family,
            embed: row("bert_embed", "bert_embed.cu"),
            linear,
            attention: *attention,
            linear_add,
            layer_norm: row("layer_norm", "layer_norm.cu"),
            linear_gelu,
            pool: POOL,
            codes: CODES,
        })
    }

    /// All of them, in the order of the forward pass.
    pub(crate) fn all(&self) -> [Kernel; 8] {
        [
            self.embed,
            self.linear,
            self.attention,
            self.linear_add,
            self.layer_norm,
            self.linear_gelu,
            self.pool,
            self.codes,
        ]
    }
}

/// Widths of heads that attention over whole documents is made for.
pub(crate) fn head_widths() -> impl Iterator<Item = usize> {
    ATTENTION.iter().map(|(width, _)| *width)
}

/// `linear`, `linear_gelu` and `linear_add` with mma.sync.
const AMPERE: [Kernel; 3] = [
    ampere("linear", "linear.cu", 0),
    ampere("linear_gelu", "linear_gelu.cu", 0),
    ampere("linear_add", "linear_add.cu", 0),
];

/// The same with wgmma.
const HOPPER: [Kernel; 3] = [
    hopper("linear_sm90", "linear_sm90.cu"),
    hopper("linear_gelu_sm90", "linear_gelu_sm90.cu"),
    hopper("linear_add_sm90", "linear_add_sm90.cu"),
];

const FULL: &str = "attention_full.cu";

const ATTENTION: [(usize, Kernel); 4] = [
    (16, attention("attention_full_16", FULL, 16, 128, 64)),
    (32, attention("attention_full_32", FULL, 32, 128, 64)),
    (64, attention("attention_full_64", FULL, 64, 128, 64)),
    (128, attention("attention_full_128", FULL, 128, 128, 32)),
];

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

/// 128 channels of 32 documents in rows of 36, and 128 integers of each. A block of the grid's second
/// dimension has as many whole rows of hashes as [`Kernel::tile_columns`] hashes make.
const CODES: Kernel = Kernel {
    name: "codes",
    file: "codes.cu",
    threads: 128,
    shared_bytes: (128 * 36 + 32 * 128) * 4,
    tile_rows: 32,
    tile_columns: 128,
};
