//! Runs the models over batches, on the one thread that owns them.

use std::sync::Arc;

use kernels::{Batch, LanguageModel, ScoreError};

use super::embedder::Embedder;
use super::pending::{Pending, Prepared};
use crate::dataflow::Job;
use crate::engine::EngineError;

/// The models, and what they are called together.
pub struct Measure {
    /// Scores, unless a field says the likelihood.
    pub model: Option<Box<dyn LanguageModel>>,
    /// Embeds, where there is an encoder.
    pub embedder: Option<Embedder>,
    /// What scored records say that they come from.
    pub scorer: Arc<str>,
}

impl Measure {
    /// The batch with its documents measured; other records pass.
    pub fn measure(&mut self, job: Job<Prepared>) -> Result<Vec<Prepared>, EngineError> {
        let mut records = job.records;
        let mut pending: Vec<&mut Pending> =
            records.iter_mut().filter_map(Prepared::pending).collect();
        self.score(&mut pending)?;
        self.embed(&mut pending)?;
        let scored = records.into_iter().map(|it| it.scored(&self.scorer));
        Ok(scored.collect())
    }

    /// Fills in the likelihood of the documents that the reference model has to score.
    fn score(&mut self, pending: &mut [&mut Pending]) -> Result<(), ScoreError> {
        let Some(model) = &mut self.model else {
            return Ok(());
        };
        let batch: Batch = pending
            .iter()
            .filter_map(|it| it.to_score.as_deref())
            .collect();
        let waiting = pending.iter_mut().filter(|it| it.to_score.is_some());
        for (pending, score) in waiting.zip(model.score(&batch)?) {
            let tokens = f64::from(pending.likelihood.tokens);
            pending.likelihood.mean_nll_nats = score.nll_nats / tokens;
        }
        Ok(())
    }

    /// Fills in the codes of the documents that the encoder has to embed.
    fn embed(&mut self, pending: &mut [&mut Pending]) -> Result<(), ScoreError> {
        let Some(embedder) = &mut self.embedder else {
            return Ok(());
        };
        let batch: Batch = pending
            .iter()
            .filter_map(|it| it.to_embed.as_deref())
            .collect();
        let waiting = pending.iter_mut().filter(|it| it.to_embed.is_some());
        for (pending, embedded) in waiting.zip(embedder.embed(&batch)?) {
            pending.embedded = embedded;
        }
        Ok(())
    }
}
