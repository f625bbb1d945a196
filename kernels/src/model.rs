//! What every language model offers, whatever it runs on.

use crate::{Batch, ScoreError};

/// A causal language model that gives documents their likelihood.
///
/// One thread owns a model and calls it; the model may use more threads inside. A document's score
/// has the same bits alone and in any batch.
pub trait LanguageModel: Send {
    /// What the model is and what it runs on.
    fn describe(&self) -> &ModelInfo;

    /// Negative log-likelihood of each document of the batch, in order, one entry a document.
    ///
    /// Every token is scored: the first after the model's separator, each other after the
    /// separator and all tokens before it. An empty batch gives an empty result, a document
    /// without tokens 0 nats over 0 tokens. On an error nothing was scored.
    ///
    /// # Errors
    /// [`ScoreError::TooLong`] when a document exceeds the model's context,
    /// [`ScoreError::UnknownToken`] when an id is outside its vocabulary,
    /// [`ScoreError::NotFinite`] when the model's weights give no number for a document.
    fn score(&mut self, batch: &Batch) -> Result<Vec<DocumentScore>, ScoreError>;
}

/// The likelihood of one document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DocumentScore {
    /// Negative log-likelihood, summed over the document's tokens, in nats.
    pub nll_nats: f64,
    /// How many tokens were scored.
    pub tokens: usize,
}

impl DocumentScore {
    /// Mean negative log-likelihood in nats a token; `None` for a document without tokens.
    pub fn mean_nats(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.nll_nats / self.tokens as f64)
    }
}

/// What a model is and what it runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The model's own name, or its file's.
    pub name: String,
    /// The architecture as its file names it, such as `llama`.
    pub architecture: String,
    /// Weights that the model holds, tied ones counted once.
    pub parameters: u64,
    /// Longest document in tokens.
    pub context_tokens: usize,
    /// Number of token ids; ids are below it.
    pub vocabulary: usize,
    /// Memory that the weights take, in bytes.
    pub weight_bytes: u64,
    /// The arithmetic that scores depend on, such as `cpu f32 avx512`. Scores of equal identity
    /// have equal bits; between identities they differ by rounding.
    pub backend: String,
}
