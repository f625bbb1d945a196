//! Records on their way from the documents log to the scored log: what is known, and what is left.

use crate::log::{Position, Record};
use crate::records::{Codes, Scored};

/// A record of the documents log on its way to the scored log.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Where it stands in the documents log: this is the order of the scored log too.
    pub position: Position,
    /// What is left to do.
    pub step: Step,
}

/// What is left to do with a record.
#[derive(Clone, Debug)]
pub enum Step {
    /// Append to the scored log: a scored record with this many tokens, or a tombstone.
    Append(Record, u32),
    /// Append to the dead letters.
    DeadLetter(Record),
    /// Measure with a model, or with two.
    Measure(Pending),
}

/// A document that waits for the models: what they have to do, and what is found of it.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// The document's id.
    pub key: Vec<u8>,
    /// The JSON to be carried on.
    pub document: Vec<u8>,
    /// Tokens for the reference model, at least one; none when a field has said the likelihood.
    pub to_score: Option<Vec<u32>>,
    /// Tokens for the encoder; none where there is none.
    pub to_embed: Option<Vec<u32>>,
    /// What is known of the document's likelihood.
    pub likelihood: Likelihood,
    /// What the encoder has found.
    pub embedded: Embedded,
}

/// How likely a document's text is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Likelihood {
    /// Mean negative log-likelihood in nats a token; 0 until the reference model has scored.
    pub mean_nll_nats: f64,
    /// Tokens that are scored; 0 when a field says the likelihood and no field the count.
    pub tokens: u32,
    /// Whether the text has more tokens.
    pub truncated: bool,
}

/// Where a document's text stands among others; empty without an encoder.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    /// The fingerprint of the sketch that the codes belong to.
    pub sketch: u64,
    /// The codes' bytes.
    pub codes: Vec<u8>,
    /// The embedding, where it is asked for.
    pub embedding: Vec<f32>,
}

impl Prepared {
    /// Tokens for the models: of two models the one that has more to do decides.
    pub fn tokens(&self) -> usize {
        let tokens = |ids: &Option<Vec<u32>>| ids.as_ref().map_or(0, Vec::len);
        match &self.step {
            Step::Measure(pending) => tokens(&pending.to_score).max(tokens(&pending.to_embed)),
            _ => 0,
        }
    }

    /// The record with its document scored, if one was waiting for it.
    pub fn scored(self, scorer: &str) -> Self {
        match self.step {
            Step::Measure(pending) => Prepared {
                step: pending.scored(scorer),
                ..self
            },
            _ => self,
        }
    }

    /// The document, if it waits for the models.
    pub fn pending(&mut self) -> Option<&mut Pending> {
        match &mut self.step {
            Step::Measure(pending) => Some(pending),
            _ => None,
        }
    }
}

impl Pending {
    /// Whether there is nothing for the models to do.
    pub fn is_measured(&self) -> bool {
        self.to_score.is_none() && self.to_embed.is_none()
    }

    /// The scored record, once all is found; `scorer` is what has found it.
    pub fn scored(self, scorer: &str) -> Step {
        let Likelihood {
            mean_nll_nats,
            tokens,
            truncated,
        } = self.likelihood;
        let scored = Scored {
            mean_nll_nats,
            tokens,
            truncated,
            scorer,
            sketch: self.embedded.sketch,
            codes: Codes::of_bytes(&self.embedded.codes).expect("a code has two bytes"),
            embedding: self.embedded.embedding,
            quality: None,
            skill: None,
            document: &self.document,
        };
        let value = scored.encode();
        let record = Record {
            key: Some(self.key),
            value: Some(value),
            headers: Vec::new(),
        };
        Step::Append(record, tokens)
    }
}
