//! What every encoder offers, whatever it runs on, and how one is loaded.

use std::path::Path;
use std::sync::Arc;

use crate::bert::Bert;
use crate::load::{Placed, choose};
use crate::source::SentenceDirectory;
use crate::{
    Batch, CudaError, DeviceInfo, EncoderConfig, EncoderTokenizer, LoadOptions, Lsh, ModelError,
    ModelInfo, ScoreError, cuda,
};

/// A model that gives each document a vector, near to those of documents with a similar meaning.
///
/// One thread owns a model and calls it; the model may use more threads inside. A document's
/// embedding has the same bits alone and in any batch.
pub trait Encoder: Send {
    /// What the model is and what it runs on.
    fn describe(&self) -> &ModelInfo;

    /// What is wanted of each document of the batch, in order.
    ///
    /// A document's tokens are what [`EncoderTokenizer::encode`] gives, special ones among them. An
    /// empty batch gives an empty result, a document without tokens an embedding of zeros and that
    /// embedding's codes. Codes are those that [`Lsh::codes`] gives for the embedding. On an error
    /// nothing was embedded.
    ///
    /// # Errors
    /// [`ScoreError::TooLong`] when a document has more tokens than the model positions,
    /// [`ScoreError::UnknownToken`] when an id is outside its vocabulary,
    /// [`ScoreError::NotFinite`] when the model's weights give no numbers for a document,
    /// [`ScoreError::NoHashes`] when codes are wanted and [`LoadOptions::hashes`] was `None`.
    fn encode(&mut self, batch: &Batch, wanted: Wanted) -> Result<Encoding, ScoreError>;

    /// The embedding of each document of the batch, in order.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    fn embed(&mut self, batch: &Batch) -> Result<Embeddings, ScoreError> {
        let encoding = self.encode(batch, Wanted::Embeddings)?;
        Ok(encoding.embeddings.expect("they were wanted"))
    }
}

/// What an encoder is asked for. On a GPU what is not wanted is not copied back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Embeddings alone.
    Embeddings,
    /// Codes alone.
    Codes,
    /// Both.
    Both,
}

impl Wanted {
    /// Whether embeddings are among it.
    pub(crate) fn embeddings(self) -> bool {
        self != Wanted::Codes
    }

    /// Whether codes are among it.
    pub(crate) fn codes(self) -> bool {
        self != Wanted::Embeddings
    }
}

/// What an encoder gives for a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoding {
    /// The embeddings, if wanted.
    pub embeddings: Option<Embeddings>,
    /// The codes, if wanted: `[documents, R]`, end to end.
    pub codes: Option<Vec<u16>>,
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
    /// Tokens at which a batch is best handed to the encoder.
    pub batch_tokens: usize,
    /// The GPU that the encoder is on, as it was before; `None` on the CPU.
    pub gpu: Option<DeviceInfo>,
    /// Why the encoder is on the CPU, when a GPU would have been taken.
    pub fallback: Option<CudaError>,
}

/// Loads an encoder from a sentence-transformers directory, or from a plain Hugging Face one, which
/// says nothing of pooling: its rows are averaged and the mean is not scaled.
///
/// Weights are read as f32, and products' rounded to bf16 on a GPU. With [`DeviceChoice::Auto`] an
/// encoder that cannot run on a GPU runs on the CPU, and [`LoadedEncoder::fallback`] says why.
///
/// # Errors
/// [`ModelError`]: the path holds no encoder, another architecture or pooling, a damaged file, a
/// model that does not fit, hashes that cannot be drawn, or the GPU asked for cannot be used.
///
/// [`DeviceChoice::Auto`]: crate::DeviceChoice::Auto
pub fn load_encoder(path: &Path, options: &LoadOptions) -> Result<LoadedEncoder, ModelError> {
    let directory = SentenceDirectory::open(path)?;
    let tokenizer = directory.tokenizer()?;
    let config = directory.config().clone();
    let lsh = options.draw_hashes(config.width)?.map(Arc::new);
    let (placed, fallback) = choose(options.device, |ordinal| match ordinal {
        Some(ordinal) => cuda::load_encoder(&directory, lsh.clone(), ordinal, options),
        None => load_on_cpu(path, &directory, lsh.clone(), options),
    })?;
    Ok(LoadedEncoder {
        encoder: placed.model,
        tokenizer,
        config,
        batch_tokens: placed.batch_tokens,
        gpu: placed.gpu,
        fallback,
    })
}

fn load_on_cpu(
    path: &Path,
    directory: &SentenceDirectory,
    lsh: Option<Arc<Lsh>>,
    options: &LoadOptions,
) -> Result<Placed<dyn Encoder>, ModelError> {
    let config = directory.config();
    options.check_weights(path, config.parameters())?;
    let document_tokens = options.document_tokens(config.positions);
    let encoder = Bert::load(config, directory.tensors(), options.threads, lsh)?;
    Ok(Placed {
        model: Box::new(encoder),
        batch_tokens: options.cpu_batch_tokens(document_tokens),
        gpu: None,
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
