//! Embeds documents and hashes the embeddings to codes.

use std::sync::Arc;

use kernels::{
    Batch, Encoder, EncoderTokenizer, LoadedEncoder, Lsh, LshError, ModelInfo, ScoreError,
};

use super::pending::Embedded;
use crate::config::Sketch;
use crate::records::Codes;

/// An encoder and the hashes behind it, to be owned by one thread.
pub struct Embedder {
    encoder: Box<dyn Encoder>,
    hashes: Lsh,
    fingerprint: u64,
    keeps_embeddings: bool,
}

impl Embedder {
    /// The embedder of an encoder under these settings, and the tokenizer of what it embeds;
    /// `keeps_embeddings` says whether embeddings are wanted beside their codes.
    ///
    /// # Errors
    /// [`LshError`] when the embeddings have more channels than can be hashed.
    pub fn new(
        loaded: LoadedEncoder,
        sketch: &Sketch,
        keeps_embeddings: bool,
    ) -> Result<(Self, Arc<EncoderTokenizer>), LshError> {
        let embedder = Embedder {
            hashes: Lsh::new(sketch.lsh(), loaded.config.width)?,
            encoder: loaded.encoder,
            fingerprint: sketch.fingerprint(),
            keeps_embeddings,
        };
        Ok((embedder, Arc::new(loaded.tokenizer)))
    }

    /// What the encoder is and what it runs on.
    pub fn describe(&self) -> &ModelInfo {
        self.encoder.describe()
    }

    /// What is found of each document of the batch, in order.
    pub(super) fn embed(&mut self, batch: &Batch) -> Result<Vec<Embedded>, ScoreError> {
        let embeddings = self.encoder.embed(batch)?;
        let codes = self.hashes.codes(embeddings.values());
        let each = embeddings
            .documents()
            .zip(codes.chunks_exact(self.hashes.config().rows));
        let embedded = each.map(|(embedding, codes)| Embedded {
            sketch: self.fingerprint,
            codes: Codes::bytes_of(codes),
            embedding: match self.keeps_embeddings {
                true => embedding.to_vec(),
                false => Vec::new(),
            },
        });
        Ok(embedded.collect())
    }
}
