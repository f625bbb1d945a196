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

#[cfg(test)]
mod tests {
    use kernels::{DocumentScore, ModelInfo};

    use super::super::pending::{Likelihood, Step};
    use super::*;
    use crate::log::{Position, Record};
    use crate::records::Scored;

    /// Scores a document with the sum of its ids.
    struct Sums;

    impl LanguageModel for Sums {
        fn describe(&self) -> &ModelInfo {
            unreachable!("what it is stands in the scorer's text")
        }

        fn score(&mut self, batch: &Batch) -> Result<Vec<DocumentScore>, ScoreError> {
            let score = |ids: &[u32]| DocumentScore {
                nll_nats: ids.iter().map(|id| f64::from(*id)).sum(),
                tokens: ids.len(),
            };
            Ok(batch.documents().map(score).collect())
        }
    }

    fn pending(to_score: Option<&[u32]>, mean_nll_nats: f64) -> Step {
        Step::Measure(Pending {
            to_score: to_score.map(Vec::from),
            likelihood: Likelihood {
                mean_nll_nats,
                tokens: 2,
                truncated: false,
            },
            ..Pending::default()
        })
    }

    #[test]
    fn each_document_gets_its_own_score_and_what_has_none_to_get_keeps_its() {
        let takedown = Record {
            key: Some(b"gone".to_vec()),
            value: None,
            headers: Vec::new(),
        };
        let steps = [
            pending(Some(&[3, 4]), 0.0),
            Step::Append(takedown.clone(), 0),
            pending(None, 1.25),
            pending(Some(&[1, 1]), 0.0),
        ];
        let records = (0..).zip(steps).map(|(offset, step)| Prepared {
            position: Position::new(0, offset),
            step,
        });
        let job = Job {
            epoch: 0,
            records: records.collect(),
        };
        let mut measure = Measure {
            model: Some(Box::new(Sums)),
            embedder: None,
            scorer: "sums".into(),
        };
        let measured = measure.measure(job).expect("sums do not fail");
        let mut found = Vec::new();
        for (offset, prepared) in (0..).zip(measured) {
            assert_eq!(prepared.position, Position::new(0, offset));
            let Step::Append(record, _) = prepared.step else {
                panic!("something is left to do: {:?}", prepared.step);
            };
            let Some(value) = &record.value else {
                assert_eq!(record, takedown);
                continue;
            };
            let scored = Scored::decode(value).expect("it was just written");
            assert_eq!((scored.scorer, scored.sketch), ("sums", 0));
            found.push(scored.mean_nll_nats);
        }
        assert_eq!(found, [3.5, 1.25, 1.0]);
    }
}
