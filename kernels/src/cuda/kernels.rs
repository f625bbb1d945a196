//! Launch facts of every kernel; the `.cu` files hold the same numbers, and a test compares them.

pub(crate) mod encoder;

/// A kernel as it is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// Its name in the module.
    pub(crate) name: &'static str,
    /// The source file that it is compiled from.
    pub(crate) file: &'static str,
    /// Threads of a block.
    pub(crate) threads: u32,
    /// Dynamic shared memory of a block, in bytes.
    pub(crate) shared_bytes: u32,
    /// Rows of a block's tile.
    pub(crate) tile_rows: u32,
    /// Columns of a block's tile.
    pub(crate) tile_columns: u32,
}

/// Which instructions the products use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// mma.sync and cp.async: sm_80 and up.
    Ampere,
    /// wgmma and the TMA: sm_90a.
    Hopper,
}

/// The kernels of a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernels {
    /// Which instructions the products use.
    pub(crate) family: Family,
    /// Token embeddings.
    pub(crate) embed: Kernel,
    /// Norm, queries, keys and values, rotary embedding.
    pub(crate) qkv: Kernel,
    /// Causal attention of heads of one width.
    pub(crate) attention: Kernel,
    /// A product added to the residual stream.
    pub(crate) residual: Kernel,
    /// Norm, gate and up, SwiGLU.
    pub(crate) gate_up: Kernel,
    /// Norm, LM head, log-sum-exp.
    pub(crate) head: Kernel,
    /// Sums by document.
    pub(crate) documents: Kernel,
}

impl Kernels {
    /// Those for heads of a width; `None` when attention is not made for it.
    pub(crate) fn new(family: Family, head_width: usize) -> Option<Self> {
        let attention = ATTENTION.iter().find(|(width, _)| *width == head_width);
        let (_, attention) = attention?;
        let [qkv, residual, gate_up, head] = match family {
            Family::Ampere => AMPERE,
            Family::Hopper => HOPPER,
        };
        Some(Kernels {
            family,
            embed: EMBED,
            qkv,
            attention: *attention,
            residual,
            gate_up,
            head,
            documents: DOCUMENTS,
        })
    }

    /// All of them, in the order of the forward pass.
    pub(crate) fn all(&self) -> [Kernel; 7] {
        [
            self.embed,
            self.qkv,
            self.attention,
            self.residual,
            self.gate_up,
            self.head,
            self.documents,
        ]
    }
}

/// Widths of heads that attention is made for.
pub(crate) fn head_widths() -> impl Iterator<Item = usize> {
    ATTENTION.iter().map(|(width, _)| *width)
}

/// Every kernel of a family, of all models, once each, by name.
#[cfg(test)]
pub(crate) fn every(family: Family) -> Vec<Kernel> {
    let decoders = head_widths().filter_map(|width| Kernels::new(family, width));
    let mut kernels: Vec<Kernel> = decoders.flat_map(|kernels| kernels.all()).collect();
    let encoders =
        encoder::head_widths().filter_map(|width| encoder::EncoderKernels::new(family, width));
    kernels.extend(encoders.flat_map(|kernels| kernels.all()));
    kernels.sort_by_key(|kernel| kernel.name);
    kernels.dedup();
    kernels
}

const EMBED: Kernel = Kernel {
    name: "embed",
    file: "embed.cu",
    threads: 256,
    shared_bytes: 0,
    tile_rows: 32,
    tile_columns: 64,
};

const DOCUMENTS: Kernel = Kernel {
    name: "documents",
    file: "documents.cu",
    threads: 128,
    shared_bytes: 128 * 8,
    tile_rows: 1,
    tile_columns: 1,
};

/// `qkv`, `residual`, `gate_up` and `head` with mma.sync; `extra` is what stands behind the ring of
/// four stages.
const AMPERE: [Kernel; 4] = [
    ampere("qkv", "qkv.cu", 512),
    ampere("residual", "residual.cu", 0),
    ampere("gate_up", "gate_up.cu", 512),
    ampere("head", "head.cu", 2560),
];

const fn ampere(name: &'static str, file: &'static str, extra: u32) -> Kernel {
    Kernel {
        name,
        file,
        threads: 128,
        shared_bytes: (64 << 10) + extra,
        tile_rows: 128,
        tile_columns: 128,
    }
}

/// The same with wgmma.
const HOPPER: [Kernel; 4] = [
    hopper("qkv_sm90", "qkv_sm90.cu"),
    hopper("residual_sm90", "residual_sm90.cu"),
    hopper("gate_up_sm90", "gate_up_sm90.cu"),
    hopper("head_sm90", "head_sm90.cu"),
];

/// Nine chunks of the operand, three of the weight, 26 barriers.
const fn hopper(name: &'static str, file: &'static str) -> Kernel {
    Kernel {
        name,
        file,
        threads: 384,
        shared_bytes: 9 * (128 * 128) + 3 * (192 * 128) + 26 * 8,
        tile_rows: 128,
        tile_columns: 192,
    }
}

/// Where attention to the rows before is.
const CAUSAL: &str = "attention.cu";

const ATTENTION: [(usize, Kernel); 7] = [
    (16, attention("attention_16", CAUSAL, 16, 128, 64)),
    (32, attention("attention_32", CAUSAL, 32, 128, 64)),
    (64, attention("attention_64", CAUSAL, 64, 128, 64)),
    (80, attention("attention_80", CAUSAL, 80, 128, 64)),
    (96, attention("attention_96", CAUSAL, 96, 128, 64)),
    (128, attention("attention_128", CAUSAL, 128, 128, 32)),
    (256, attention("attention_256", CAUSAL, 256, 64, 32)),
];

/// The queries' rows, and two stages of keys and of values, in rows eight wider than the head.
const fn attention(
    name: &'static str,
    file: &'static str,
    width: u32,
    rows: u32,
    keys: u32,
) -> Kernel {
    Kernel {
        name,
        file,
        threads: 128,
        shared_bytes: (rows + 4 * keys) * (width + 8) * 2,
        tile_rows: rows,
        tile_columns: keys,
    }
}
