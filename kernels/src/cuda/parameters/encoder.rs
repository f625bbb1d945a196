//! What the encoder's kernels take.

use crate::cuda::device::Address;

/// Token and position embeddings, summed and normed, to the stream.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct BertEmbed {
    /// `[T]` u32.
    pub(crate) ids: Address,
    /// `[V, Cp]` bf16.
    pub(crate) table: Address,
    /// `[positions, Cp]` f32, the embedding of token type 0 added.
    pub(crate) places: Address,
    /// `[T]` u32, each row's position in its document.
    pub(crate) positions: Address,
    /// `[Cp]` f32.
    pub(crate) gain: Address,
    /// `[Cp]` f32.
    pub(crate) bias: Address,
    /// `[T, Cp]` f32, written.
    pub(crate) stream: Address,
    /// `[T, Cp]` bf16, written: the stream rounded.
    pub(crate) operand: Address,
    /// What LayerNorm adds to the variance.
    pub(crate) epsilon: f32,
    /// `T`.
    pub(crate) rows: i32,
    /// `C`.
    pub(crate) channels: i32,
    /// `Cp`, at most [`NORM_WIDTH_MAX`](crate::cuda::kernels::encoder::NORM_WIDTH_MAX).
    pub(crate) width: i32,
}

/// A projection with its bias: `linear` and `linear_gelu`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    /// `[T, inner]` bf16.
    pub(crate) operand: Address,
    /// `[Np, inner]` bf16.
    pub(crate) weight: Address,
    /// `[N to a multiple of 64]` f32.
    pub(crate) bias: Address,
    /// `[T, ld_out]` bf16, written up to the columns' next multiple of 64.
    pub(crate) out: Address,
    /// `T`.
    pub(crate) rows: i32,
    /// A multiple of 64.
    pub(crate) inner: i32,
    /// `N`, columns of the product that are used.
    pub(crate) columns: i32,
    /// Values between rows of `out`.
    pub(crate) ld_out: i32,
}

/// A projection with its bias, added to the stream: `linear_add`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearAdd {
    /// `[T, inner]` bf16.
    pub(crate) operand: Address,
    /// `[Np, inner]` bf16.
    pub(crate) weight: Address,
    /// `[Cp]` f32.
    pub(crate) bias: Address,
    /// `[T, Cp]` f32, added to.
    pub(crate) stream: Address,
    /// `T`.
    pub(crate) rows: i32,
    /// A multiple of 64.
    pub(crate) inner: i32,
    /// `Cp`.
    pub(crate) width: i32,
}

/// LayerNorm of the stream in place.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    /// `[T, Cp]` f32, read and written.
    pub(crate) stream: Address,
    /// `[T, Cp]` bf16, written: the stream rounded.
    pub(crate) operand: Address,
    /// `[Cp]` f32.
    pub(crate) gain: Address,
    /// `[Cp]` f32.
    pub(crate) bias: Address,
    /// What it adds to the variance.
    pub(crate) epsilon: f32,
    /// `T`.
    pub(crate) rows: i32,
    /// `C`.
    pub(crate) channels: i32,
    /// `Cp`, at most [`NORM_WIDTH_MAX`](crate::cuda::kernels::encoder::NORM_WIDTH_MAX).
    pub(crate) width: i32,
}

/// From a document's rows to its embedding.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    /// `[T, Cp]` f32.
    pub(crate) stream: Address,
    /// `[documents + 1]` u32: first rows, ascending.
    pub(crate) bounds: Address,
    /// `[documents, C]` f32, written.
    pub(crate) embeddings: Address,
    /// `[documents]` f32, written: 0 where all channels are finite, else NaN.
    pub(crate) checks: Address,
    /// How many documents.
    pub(crate) documents: i32,
    /// `C`.
    pub(crate) channels: i32,
    /// `Cp`, at most [`NORM_WIDTH_MAX`](crate::cuda::kernels::encoder::NORM_WIDTH_MAX).
    pub(crate) width: i32,
    /// 1 for a document's first row, 0 for the mean of its rows.
    pub(crate) first_token: i32,
    /// 1 to scale embeddings to length 1.
    pub(crate) normalize: i32,
}

/// Locality-sensitive hashes of embeddings.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes {
    /// `[documents, C]` f32.
    pub(crate) embeddings: Address,
    /// As [`Tables`](crate::lsh::Tables) holds them, f32.
    pub(crate) directions: Address,
    /// As `Tables` holds them, f32.
    pub(crate) offsets: Address,
    /// `[R, n]` u64.
    pub(crate) factors: Address,
    /// `[R]` u64.
    pub(crate) addends: Address,
    /// `[documents, R]` u16, written.
    pub(crate) codes: Address,
    /// How many documents.
    pub(crate) documents: i32,
    /// `C`.
    pub(crate) channels: i32,
    /// `R`.
    pub(crate) rows: i32,
    /// `n`, at most 16.
    pub(crate) concatenated: i32,
    /// `B`, at most 65,536.
    pub(crate) cells: i32,
}
