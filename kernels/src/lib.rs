//! Language models that give documents their likelihood, encoders that give them embeddings, and
//! the tokenizers that go with them.
//!
//! [`load`] reads a model from a GGUF file or a Hugging Face directory and returns a
//! [`LanguageModel`] with its [`Tokenizer`]. A model scores packed batches of documents, and a
//! document's score has the same bits alone and in any batch, on any number of threads.
//! [`load_encoder`] does the same for an [`Encoder`] with its [`EncoderTokenizer`].
//!
//! Shape legend, used in every comment of this crate:
//! `T` rows (tokens of a batch), `C` channels (width of the residual stream), `F` channels inside
//! the feed-forward layer, `H` query heads, `G` key/value heads, `D` channels of one head,
//! `V` vocabulary.

mod batch;
mod bert;
mod config;
mod cpu;
mod cuda;
mod encoder;
mod error;
mod llama;
mod load;
mod lsh;
mod model;
mod normal;
mod placement;
mod source;
mod tokenizer;

pub use batch::Batch;
pub use bert::{EncoderConfig, Pooling};
pub use config::Config;
pub use cpu::backend as cpu_backend;
pub use cuda::{
    CudaError, DeviceInfo, DeviceReport, KernelReport, Resources, Version, encoder_gpu_bytes,
    inspect, inspect_encoder, probe,
};
pub use encoder::{
    Embeddings, Encoder, Encoding, LoadedEncoder, Wanted, describe_encoder, load_encoder,
};
pub use error::{ModelError, ScoreError, TokenizeError};
pub use load::{LoadOptions, Loaded, describe, load};
pub use lsh::{Lsh, LshConfig, LshError};
pub use model::{DocumentScore, LanguageModel, ModelInfo};
pub use placement::{DeviceChoice, DeviceChoiceError};
pub use tokenizer::{Encoded, EncoderTokenizer, Tokenizer};
