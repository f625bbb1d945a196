//! Embeds documents, and finds the codes and the skills that follow from the embeddings.

use std::sync::Arc;

use kernels::{Batch, Encoder, EncoderTokenizer, LoadedEncoder, ModelInfo, ScoreError, Wanted};

use super::pending::Embedded;
use crate::config::Sketch;
use crate::records::Codes;
use crate::skills::Centroids;

/// An encoder with what is made of its embeddings, to be owned by one thread.
pub struct Embedder {
    encoder: Box<dyn Encoder>,
    rows: usize,
    fingerprint: u64,
    keeps_embeddings: bool,
    centroids: Option<Centroids>,
}

impl Embedder {
    /// The embedder of an encoder that was loaded with the hashes of this sketch, and the tokenizer
    /// of what it embeds. `keeps_embeddings` says whether embeddings are wanted beside their codes,
    /// and `centroids`, which must be of this encoder, to which skills documents belong.
    pub fn new(
        loaded: LoadedEncoder,
        sketch: &Sketch,
        keeps_embeddings: bool,
        centroids: Option<Centroids>,
    ) -> (Self, Arc<EncoderTokenizer>) {
        let embedder = Embedder {
            rows: sketch.rows.into(),
            encoder: loaded.encoder,
            fingerprint: sketch.fingerprint(),
            keeps_embeddings,
            centroids,
        };
        (embedder, Arc::new(loaded.tokenizer))
    }

    /// What the encoder is and what it runs on.
    pub fn describe(&self) -> &ModelInfo {
        self.encoder.describe()
    }

    /// What is found of each document of the batch, in order.
    pub(super) fn embed(&mut self, batch: &Batch) -> Result<Vec<Embedded>, ScoreError> {
        let encoding = self.encoder.encode(batch, self.wanted())?;
        let codes = encoding.codes.expect("codes are always wanted");
        let mut embeddings = encoding.embeddings.iter().flat_map(|it| it.documents());
        let each = codes.chunks_exact(self.rows);
        let embedded = each.map(|codes| {
            let embedding = embeddings.next().unwrap_or_default();
            Embedded {
                sketch: self.fingerprint,
                codes: Codes::bytes_of(codes),
                skill: self.skill(embedding),
                embedding: match self.keeps_embeddings {
                    true => embedding.to_vec(),
                    false => Vec::new(),
                },
            }
        });
        Ok(embedded.collect())
    }

    /// On a GPU embeddings that nobody looks at stay there.
    fn wanted(&self) -> Wanted {
        match self.keeps_embeddings || self.centroids.is_some() {
            true => Wanted::Both,
            false => Wanted::Codes,
        }
    }

    fn skill(&self, embedding: &[f32]) -> Option<String> {
        let centroids = self.centroids.as_ref()?;
        Some(centroids.nearest(embedding).to_owned())
    }
}
