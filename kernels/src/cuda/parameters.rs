//! What kernels take: one struct a family, laid out as in `kernels/cuda/shapes.cuh`.
//!
//! Sizes ending in `p` in the comments are padded with zeros to what a kernel's tiles need. All
//! matrices are in rows; bf16 values are sixteen bits.

mod encoder;

use std::ffi::c_void;

use super::device::Address;
pub(crate) use encoder::{BertEmbed, Codes, LayerNorm, Linear, LinearAdd, Pool};

/// Something that a kernel takes by value.
///
/// # Safety
/// The layout is that of the C++ type of the same name.
pub(crate) unsafe trait Parameter {
    /// Where the value lies, for the driver to copy it.
    fn address(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

macro_rules! parameters {
    ($($name:ident),+) => {
        $(
            // SAFETY: `repr(C)` with the fields of the struct in shapes.cuh, in its order.
            unsafe impl Parameter for $name {}
        )+
    };
}

parameters!(
    Embed, Projection, Residual, Attention, Head, Documents, TensorMap
);
parameters!(BertEmbed, Linear, LinearAdd, LayerNorm, Pool, Codes);

/// Token embeddings to the residual stream.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Embed {
    /// `[T]` u32.
    pub(crate) ids: Address,
    /// `[V, Cp]` bf16.
    pub(crate) table: Address,
    /// `[T, Cp]` f32, written.
    pub(crate) stream: Address,
    /// `[T, Cp]` bf16, written: the stream rounded.
    pub(crate) operand: Address,
    /// `[T, Cp/64]` f32, written: sums of squares of the stream.
    pub(crate) squares: Address,
    /// `T`.
    pub(crate) rows: i32,
    /// `Cp`.
    pub(crate) width: i32,
}

/// A projection of the normed stream: `qkv` and `gate_up`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Projection {
    /// `[T, inner]` bf16.
    pub(crate) operand: Address,
    /// `[Np, inner]` bf16, the norm's gain folded in.
    pub(crate) weight: Address,
    /// `[T, ld_out]` bf16, written.
    pub(crate) out: Address,
    /// `[T, inner/64]` f32.
    pub(crate) squares: Address,
    /// `[positions, D/2]` f32; null for `gate_up`.
    pub(crate) cosines: Address,
    /// `[positions, D/2]` f32; null for `gate_up`.
    pub(crate) sines: Address,
    /// `[T]` u32, each row's position in its document; null for `gate_up`.
    pub(crate) positions: Address,
    /// What RMSNorm adds to the mean square.
    pub(crate) norm_epsilon: f32,
    /// `C`, the channels that the mean is over.
    pub(crate) channels: i32,
    /// `T`.
    pub(crate) rows: i32,
    /// `Cp`.
    pub(crate) inner: i32,
    /// Columns of the product that are used.
    pub(crate) columns: i32,
    /// Values between rows of `out`.
    pub(crate) ld_out: i32,
    /// Columns turned by rotary embedding: `(H + G)·D`, or 0.
    pub(crate) rotated: i32,
    /// `D`.
    pub(crate) head_width: i32,
}

/// A projection added to the residual stream: attention's output and `down`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Residual {
    /// `[T, inner]` bf16.
    pub(crate) operand: Address,
    /// `[Np, inner]` bf16.
    pub(crate) weight: Address,
    /// `[T, Cp]` f32, added to.
    pub(crate) stream: Address,
    /// `[T, Cp]` bf16, written: the stream rounded.
    pub(crate) operand_out: Address,
    /// `[T, Cp/64]` f32, written.
    pub(crate) squares: Address,
    /// `T`.
    pub(crate) rows: i32,
    /// `(H·D)p` or `Fp`.
    pub(crate) inner: i32,
    /// `Cp`.
    pub(crate) width: i32,
}

/// Causal attention of packed documents.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    /// `[T, ld]` bf16: queries over keys over values, queries and keys turned.
    pub(crate) qkv: Address,
    /// `[T, ld_out]` bf16, written.
    pub(crate) out: Address,
    /// One entry of four u32 a tile: the document's first row, its length, the first query, 0.
    pub(crate) work: Address,
    /// log₂(e) / √D.
    pub(crate) scale: f32,
    /// `H`.
    pub(crate) heads: i32,
    /// `G`.
    pub(crate) kv_heads: i32,
    /// `D`.
    pub(crate) head_width: i32,
    /// Values between rows of `qkv`.
    pub(crate) ld: i32,
    /// Values between rows of `out`.
    pub(crate) ld_out: i32,
}

/// The LM head with its online log-sum-exp, one part of the vocabulary a block.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// `[T, inner]` bf16.
    pub(crate) operand: Address,
    /// `[Vp, inner]` bf16, the last norm's gain folded in.
    pub(crate) weight: Address,
    /// `[T, inner/64]` f32.
    pub(crate) squares: Address,
    /// `[T]` u32.
    pub(crate) targets: Address,
    /// `[T, splits]` of three f32, written: largest, sum, the target's logit.
    pub(crate) partial: Address,
    /// What RMSNorm adds to the mean square.
    pub(crate) norm_epsilon: f32,
    /// `C`.
    pub(crate) channels: i32,
    /// `T`.
    pub(crate) rows: i32,
    /// `Cp`.
    pub(crate) inner: i32,
    /// `V`.
    pub(crate) vocabulary: i32,
    /// Parts that the vocabulary is split into.
    pub(crate) splits: i32,
    /// Columns of a part.
    pub(crate) split_columns: i32,
}

/// Sums of rows by document.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Documents {
    /// `[T, splits]` of three f32.
    pub(crate) partial: Address,
    /// `[documents + 1]` u32: first rows, ascending.
    pub(crate) bounds: Address,
    /// `[documents]` f64, written.
    pub(crate) nll_nats: Address,
    /// How many documents.
    pub(crate) documents: i32,
    /// Parts that the vocabulary is split into.
    pub(crate) splits: i32,
}

/// How the copy engine of sm_90a sees a matrix: 128 bytes that only the driver understands.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct TensorMap(pub(crate) [u64; 16]);

/// Bytes of an entry of [`Head::partial`].
pub(crate) const PARTIAL_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_have_the_sizes_of_shapes_cuh() {
        let sizes = [
            size_of::<Embed>(),
            size_of::<Projection>(),
            size_of::<Residual>(),
            size_of::<Attention>(),
            size_of::<Head>(),
            size_of::<Documents>(),
            size_of::<TensorMap>(),
        ];
        assert_eq!(sizes, [48, 88, 56, 48, 72, 32, 128]);
        let encoders = [
            size_of::<BertEmbed>(),
            size_of::<Linear>(),
            size_of::<LinearAdd>(),
            size_of::<LayerNorm>(),
            size_of::<Pool>(),
            size_of::<Codes>(),
        ];
        assert_eq!(encoders, [80, 48, 48, 48, 56, 72]);
    }
}
