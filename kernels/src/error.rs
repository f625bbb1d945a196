//! What can go wrong with a model: in loading it, and in scoring with it.
//!
//! Each message says what failed, the value and its limit, and where there is one the next step.

use std::path::PathBuf;

use crate::{CudaError, LshError};

/// Why a model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The path is neither a GGUF file nor a Hugging Face directory.
    #[error(
        "{path} is neither a GGUF file nor a directory with config.json, tokenizer.json and \
         *.safetensors"
    )]
    NotAModel {
        /// The path as given.
        path: PathBuf,
    },
    /// The path is no directory of an encoder.
    #[error("{path} is no directory with config.json, tokenizer.json and *.safetensors")]
    NotAnEncoder {
        /// The path as given.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file does not hold what its format demands.
    #[error("{path} is damaged or not in its format: {what}; fetch it again")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The model is of a kind that is not implemented.
    #[error(
        "{path}: {what} is not supported; use a Llama-family language model such as \
         SmolLM2, or a BERT-family encoder such as all-MiniLM-L6-v2"
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The unsupported thing and its value.
        what: String,
    },
    /// A configuration value is missing.
    #[error("{path} does not say {key}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The key as the format spells it.
        key: String,
    },
    /// A configuration value is outside its limits.
    #[error("{path}: {key} is {value}, outside {least}..={most}")]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The quantity.
        key: String,
        /// Its value.
        value: u64,
        /// The smallest value allowed.
        least: u64,
        /// The largest value allowed.
        most: u64,
    },
    /// A tensor has another shape than the configuration implies.
    #[error("{path}: tensor {tensor} has shape {found:?}, but the configuration needs {needed:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape by the configuration.
        needed: Vec<usize>,
    },
    /// The model does not fit the memory allowed.
    #[error(
        "the model at {path} needs {needed_bytes} bytes of memory, more than the limit of \
         {limit_bytes}; choose a smaller model or raise the limit"
    )]
    Memory {
        /// The file.
        path: PathBuf,
        /// Memory that its weights take once loaded.
        needed_bytes: u64,
        /// The limit given to [`load`](crate::load).
        limit_bytes: u64,
    },
    /// The GPU cannot be used.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The hashes of an encoder's codes cannot be drawn.
    #[error(transparent)]
    Hashes(#[from] LshError),
    /// The worker threads cannot be started.
    #[error("cannot start {threads} threads for the model: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        source: rayon::ThreadPoolBuildError,
    },
}

/// Why a batch cannot be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// A document exceeds the model's context.
    #[error(
        "document {document} of the batch has {tokens} tokens, more than the model's context of \
         {context}; truncate it"
    )]
    TooLong {
        /// Its place in the batch, from 0.
        document: usize,
        /// Its length.
        tokens: usize,
        /// The longest allowed.
        context: usize,
    },
    /// A token id is outside the vocabulary.
    #[error(
        "document {document} of the batch holds token id {id}, outside the model's vocabulary of \
         {vocabulary}; the tokenizer is another model's"
    )]
    UnknownToken {
        /// The document's place in the batch, from 0.
        document: usize,
        /// The id.
        id: u32,
        /// Ids must be below this.
        vocabulary: usize,
    },
    /// The GPU failed.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// Codes are wanted of an encoder without hashes.
    #[error("the encoder was loaded without hashes to make codes by; give it some")]
    NoHashes,
    /// What the model gives for a document is not a number.
    #[error(
        "the model's result for document {document} of the batch is not finite; its weights are \
         damaged"
    )]
    NotFinite {
        /// Its place in the batch, from 0.
        document: usize,
    },
}

/// Why a text cannot be tokenized.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot tokenize the text: {what}")]
pub struct TokenizeError {
    /// What the tokenizer says.
    pub(crate) what: String,
}
