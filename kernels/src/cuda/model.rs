//! A Llama-family decoder on a GPU as a [`LanguageModel`]: batches go through in groups of at most
//! the token budget, the next group's upload beside the present one's computation.

use super::decoder::Decoder;
use super::device::Device;
use super::error::CudaError;
use super::group::Group;
use super::slots::in_turn;
use crate::batch::groups;
use crate::{Batch, DocumentScore, LanguageModel, ModelInfo, ScoreError};

/// A decoder on a device, for one thread to own.
pub(crate) struct CudaLlama<D> {
    info: ModelInfo,
    separator: u32,
    decoder: Decoder<D>,
}

impl<D: Device> CudaLlama<D> {
    /// A loaded decoder; `backend` names the device's arithmetic.
    pub(crate) fn new(decoder: Decoder<D>, separator: u32, backend: String) -> Self {
        let config = &decoder.shape.config;
        let info = ModelInfo {
            name: config.name.clone(),
            architecture: "llama".into(),
            parameters: config.parameters(),
            // A document goes through in one group.
            context_tokens: config.context.min(decoder.plan.rows),
            vocabulary: config.vocabulary,
            weight_bytes: decoder.plan.weights,
            backend,
        };
        CudaLlama {
            info,
            separator,
            decoder,
        }
    }

    /// Negative log-likelihood of each document in nats; none of them is empty.
    fn document_nll(&mut self, documents: &[&[u32]]) -> Result<Vec<f64>, CudaError> {
        let (rows, queries) = (self.decoder.plan.rows, self.decoder.shape.queries);
        let separator = self.separator;
        let groups = groups(documents, rows);
        let groups = groups.map(|documents| Group::predicted(documents, separator, queries));
        Ok(in_turn(&mut self.decoder, groups)?.concat())
    }
}

impl<D: Device + Send> LanguageModel for CudaLlama<D> {
    fn describe(&self) -> &ModelInfo {
        &self.info
    }

    fn score(&mut self, batch: &Batch) -> Result<Vec<DocumentScore>, ScoreError> {
        batch.check(self.info.context_tokens, self.info.vocabulary)?;
        let filled: Vec<&[u32]> = batch.documents().filter(|ids| !ids.is_empty()).collect();
        let mut nll_nats = self.document_nll(&filled)?.into_iter();
        let scores = batch.documents().map(|ids| DocumentScore {
            nll_nats: match ids.len() {
                0 => 0.0,
                _ => nll_nats.next().expect("a sum for each document"),
            },
            tokens: ids.len(),
        });
        let scores: Vec<DocumentScore> = scores.collect();
        match scores.iter().position(|score| !score.nll_nats.is_finite()) {
            Some(document) => Err(ScoreError::NotFinite { document }),
            None => Ok(scores),
        }
    }
}
