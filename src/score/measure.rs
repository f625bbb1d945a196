//! Runs the reference model over batches, on the one thread that owns it.

use kernels::{Batch, LanguageModel};

use super::prepare::{Prepared, Step, Tokenized};
use crate::dataflow::Job;
use crate::engine::EngineError;
use crate::log::Record;
use crate::records::{Codes, Scored};

/// The model, and what its scores are said to come from.
pub struct Measure {
    model: Box<dyn LanguageModel>,
    scorer: String,
}

impl Measure {
    /// Measures with this model.
    pub fn new(model: Box<dyn LanguageModel>) -> Self {
        let info = model.describe();
        let scorer = format!("{} {}", info.name, info.backend);
        Measure { model, scorer }
    }

    /// The batch with its documents scored; other records pass.
    pub fn measure(&mut self, job: Job<Prepared>) -> Result<Vec<Prepared>, EngineError> {
        let mut records = job.records;
        let batch: Batch = records.iter().filter_map(ids).collect();
        let mut scores = self.model.score(&batch)?.into_iter();
        for prepared in &mut records {
            if let Step::Measure(tokenized) = &prepared.step {
                let score = scores.next().expect("one score a document");
                prepared.step = self.scored(tokenized, score.nll_nats);
            }
        }
        Ok(records)
    }

    fn scored(&self, tokenized: &Tokenized, nll_nats: f64) -> Step {
        let tokens = tokenized.ids.len() as u32;
        let scored = Scored {
            mean_nll_nats: nll_nats / f64::from(tokens),
            tokens,
            truncated: tokenized.truncated,
            scorer: &self.scorer,
            sketch: 0,
            codes: Codes::default(),
            embedding: Vec::new(),
            quality: None,
            skill: None,
            document: &tokenized.document,
        };
        let (key, value) = (Some(tokenized.key.clone()), Some(scored.encode()));
        Step::Append(
            Record {
                key,
                value,
                headers: Vec::new(),
            },
            tokens,
        )
    }
}

fn ids(prepared: &Prepared) -> Option<&[u32]> {
    match &prepared.step {
        Step::Measure(tokenized) => Some(&tokenized.ids),
        _ => None,
    }
}
