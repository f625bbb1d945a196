//! Text encoders on an NVIDIA GPU, in bf16 with f32 accumulation, and the codes of their embeddings
//! computed right behind them.
//!
//! The order of launches is in `forward.rs`; what any model on a device needs, and the CPU encoder
//! that this one is held against, stand elsewhere.
//!
//! Floors for all-MiniLM-L6-v2 a token, by arithmetic, on an H100 at 798 TFLOP/s and 3.0 TB/s: 21.2
//! MFLOP in products and 9.2 KFLOP a token of its document in attention, 27 to 30 ns; and 170 KB
//! between kernels (27.6 KB a layer: qkv and attention 3,072 B each, the two sums 3,840 and 6,144,
//! each norm 3,840, up 3,840; 3,076 to embed and 1,536 to pool), 57 ns where a group is larger than
//! L2. So memory bounds it, at 17.6 M tokens a second. Fewer rows at once, whose buffers of 8,448 B
//! a row stay in L2, would be the way past that, at the price of more launches.

mod encoder;
mod forward;
mod hashes;
mod model;
mod open;
mod plan;
mod shape;
#[cfg(test)]
pub(super) mod tests;
mod weights;

pub(crate) use open::load_encoder;
pub use open::{encoder_gpu_bytes, inspect_encoder};
