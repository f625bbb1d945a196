//! Prepares documents: parses them, refuses what is none, and tokenizes or reads the score.

use std::sync::Arc;

use kernels::{Encoded, EncoderTokenizer, Tokenizer};

use super::pending::{Embedded, Likelihood, Pending, Prepared, Step};
use crate::config::FieldPath;
use crate::dataflow::Job;
use crate::engine::EngineError;
use crate::log::{Received, Record};
use crate::records::{Document, DocumentError, dead_letter, field};

/// The header by which a feed says that it knows a record to be unusable, and why.
const REJECTED: &str = "riffle-reject";

/// Why a record of the documents log is a dead letter.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0}")]
    ByFeed(String),
    #[error("the record has no key; the key must be the document's id")]
    NoKey,
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("{0}")]
    Tokenize(#[from] kernels::TokenizeError),
    #[error("the field {0} is missing or no number")]
    NoNumber(String),
    #[error("a perplexity of {0} is not greater than 0")]
    Perplexity(f64),
    #[error("the field {0} is no whole number of tokens from 0 to {max}", max = u32::MAX)]
    Tokens(String),
    #[error("no token of the text can be scored")]
    NoTokens,
}

/// Where scores come from.
#[derive(Clone)]
pub enum Source {
    /// The model scores what this tokenizes, up to so many tokens a document.
    Model(Arc<Tokenizer>, usize),
    /// Fields of the document say the perplexity and, it may be, the tokens.
    Fields(FieldPath, Option<FieldPath>),
}

/// Prepares documents on one thread.
#[derive(Clone)]
pub struct Prepare {
    /// The log that documents come from, for dead letters.
    pub topic: String,
    /// The largest document taken.
    pub document_bytes_max: usize,
    /// Where scores come from.
    pub source: Source,
    /// Tokenizes for the encoder, where there is one.
    pub encoder: Option<Arc<EncoderTokenizer>>,
    /// What scored records say that they come from.
    pub scorer: Arc<str>,
}

impl Prepare {
    /// Each record prepared, in the same order.
    pub fn prepare(&self, job: Job<Received>) -> Result<Vec<Prepared>, EngineError> {
        Ok(job
            .records
            .into_iter()
            .map(|received| self.one(received))
            .collect())
    }

    fn one(&self, Received { position, record }: Received) -> Prepared {
        let step = self.step(&record).unwrap_or_else(|unusable| {
            let reason = unusable.to_string();
            Step::DeadLetter(dead_letter(record, &reason, &self.topic, position))
        });
        Prepared { position, step }
    }

    fn step(&self, record: &Record) -> Result<Step, Unusable> {
        if let Some((_, reason)) = record.headers.iter().find(|(name, _)| name == REJECTED) {
            return Err(Unusable::ByFeed(
                String::from_utf8_lossy(reason).into_owned(),
            ));
        }
        let key = record
            .key
            .clone()
            .filter(|key| !key.is_empty())
            .ok_or(Unusable::NoKey)?;
        let Some(value) = &record.value else {
            let takedown = Record {
                key: Some(key),
                value: None,
                headers: Vec::new(),
            };
            return Ok(Step::Append(takedown, 0));
        };
        let document = Document::parse(value, self.document_bytes_max)?;
        if document.id.as_bytes() != key {
            return Err(DocumentError::KeyMismatch {
                id: document.id.into_owned(),
            }
            .into());
        }
        let json = document.without_measures(value);
        let (likelihood, to_score) = self.source.likelihood(&document.text, &json)?;
        let to_embed = match &self.encoder {
            Some(tokenizer) => Some(tokenizer.encode(&document.text)?.ids),
            None => None,
        };
        let pending = Pending {
            key,
            document: json.into_owned(),
            to_score,
            to_embed,
            likelihood,
            embedded: Embedded::default(),
        };
        Ok(match pending.is_measured() {
            true => pending.scored(&self.scorer),
            false => Step::Measure(pending),
        })
    }
}

impl Source {
    /// What is known of a document's likelihood, and the tokens that the model has to score.
    fn likelihood(
        &self,
        text: &str,
        json: &[u8],
    ) -> Result<(Likelihood, Option<Vec<u32>>), Unusable> {
        match self {
            Source::Model(tokenizer, max) => {
                let Encoded { ids, truncated } = tokenizer.encode(text, *max)?;
                let likelihood = Likelihood {
                    mean_nll_nats: 0.0,
                    tokens: ids.len() as u32,
                    truncated,
                };
                match ids.is_empty() {
                    true => Err(Unusable::NoTokens),
                    false => Ok((likelihood, Some(ids))),
                }
            }
            Source::Fields(perplexity, tokens) => {
                let likelihood = read_likelihood(json, perplexity, tokens.as_ref())?;
                Ok((likelihood, None))
            }
        }
    }
}

/// The likelihood that a document says itself.
fn read_likelihood(
    document: &[u8],
    perplexity: &FieldPath,
    tokens: Option<&FieldPath>,
) -> Result<Likelihood, Unusable> {
    let value = field(document, perplexity.as_str()).and_then(|value| value.as_f64());
    let value = value.ok_or_else(|| Unusable::NoNumber(perplexity.to_string()))?;
    if !(value > 0.0 && value.is_finite()) {
        return Err(Unusable::Perplexity(value));
    }
    let tokens = match tokens {
        None => 0,
        Some(path) => field(document, path.as_str())
            .and_then(|value| u32::try_from(value.as_u64()?).ok())
            .ok_or_else(|| Unusable::Tokens(path.to_string()))?,
    };
    Ok(Likelihood {
        mean_nll_nats: value.ln(),
        tokens,
        truncated: false,
    })
}
