//! What every encoder offers, whatever it runs on, and how one is loaded.

use std::path::Path;

use crate::bert::Bert;
use crate::source::SentenceDirectory;
use crate::{
    Batch, EncoderConfig, EncoderTokenizer, LoadOptions, ModelError, ModelInfo, ScoreError,
};

/// A model that gives each document a vector, near to those of documents with a similar meaning.
///
/// One thread owns a model and calls it; the model may use more threads inside. A document's
/// embedding has the same bits alone and in any batch.
pub trait Encoder: Send {
    /// What the model is and what it runs on.
    fn describe(&self) -> &ModelInfo;

    /// The embedding of each document of the batch, in order.
    ///
    /// A document's tokens are what [`EncoderTokenizer::encode`] gives, special ones among them. An
    /// empty batch gives an empty result, a document without tokens zeros. On an error nothing was
    /// embedded.
    ///
    /// # Errors
    /// [`ScoreError::TooLong`] when a document has more tokens than the model positions,
    /// [`ScoreError::UnknownToken`] when an id is outside its vocabulary,
    /// [`ScoreError::NotFinite`] when the model's weights give no numbers for a document.
    fn embed(&mut self, batch: &Batch) -> Result<Embeddings, ScoreError>;
}

/// The embeddings of a batch, `[documents, C]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    width: usize,
    values: Vec<f32>,
}

impl Embeddings {
    /// Embeddings of `width` channels, end to end.
    pub(crate) fn new(width: usize, values: Vec<f32>) -> Self {
        Embeddings { width, values }
    }

    /// `C`, channels of an embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The embeddings in the batch's order.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// All embeddings end to end, `[documents, C]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// An encoder with the tokenizer that belongs to it.
pub struct LoadedEncoder {
    /// The encoder, to be owned by one thread.
    pub encoder: Box<dyn Encoder>,
    /// The tokenizer, to be shared by many.
    pub tokenizer: EncoderTokenizer,
    /// The model's shape.
    pub config: EncoderConfig,
}

/// Loads an encoder from a sentence-transformers directory, or from a plain Hugging Face one, which
/// says nothing of pooling: its rows are averaged and the mean is not scaled.
///
/// # Errors
/// [`ModelError`]: the path holds no encoder, another architecture or pooling, a damaged file, or a
/// model that does not fit.
pub fn load_encoder(path: &Path, options: &LoadOptions) -> Result<LoadedEncoder, ModelError> {
    let directory = SentenceDirectory::open(path)?;
    let config = directory.config().clone();
    let needed_bytes = 4 * config.parameters();
    if needed_bytes > options.weight_bytes_max {
        return Err(ModelError::Memory {
            path: path.into(),
            needed_bytes,
            limit_bytes: options.weight_bytes_max,
        });
    }
    let tokenizer = directory.tokenizer()?;
    let encoder = Bert::load(&config, directory.tensors(), options.threads)?;
    Ok(LoadedEncoder {
        encoder: Box::new(encoder),
        tokenizer,
        config,
    })
}

/// The shape of the encoder at `path`, whose weights are not read.
///
/// # Errors
/// As [`load_encoder`], but for those of the weights.
pub fn describe_encoder(path: &Path) -> Result<EncoderConfig, ModelError> {
    let directory = SentenceDirectory::open(path)?;
    directory.tokenizer()?;
    Ok(directory.config().clone())
}
