//! Prepares documents: parses them, refuses what is none, and tokenizes or reads the score.

use std::sync::Arc;

use kernels::Tokenizer;

use crate::config::FieldPath;
use crate::dataflow::Job;
use crate::engine::EngineError;
use crate::log::{Position, Received, Record};
use crate::records::{Codes, Document, DocumentError, Scored, dead_letter, field};

/// The header by which a feed says that it knows a record to be unusable, and why.
const REJECTED: &str = "riffle-reject";

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
    /// Score with the model.
    Measure(Tokenized),
}

/// A document that waits for the model.
#[derive(Clone, Debug)]
pub struct Tokenized {
    /// The document's id.
    pub key: Vec<u8>,
    /// The JSON to be carried on.
    pub document: Vec<u8>,
    /// The tokens to be scored; at least one.
    pub ids: Vec<u32>,
    /// Whether the text has more tokens.
    pub truncated: bool,
}

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
}

impl Prepared {
    /// Tokens for the model.
    pub fn tokens(&self) -> usize {
        match &self.step {
            Step::Measure(tokenized) => tokenized.ids.len(),
            _ => 0,
        }
    }
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
        match &self.source {
            Source::Model(tokenizer, max) => {
                let kernels::Encoded { ids, truncated } = tokenizer.encode(&document.text, *max)?;
                if ids.is_empty() {
                    return Err(Unusable::NoTokens);
                }
                Ok(Step::Measure(Tokenized {
                    key,
                    document: json.into_owned(),
                    ids,
                    truncated,
                }))
            }
            Source::Fields(perplexity, tokens) => {
                read_score(key, &json, perplexity, tokens.as_ref())
            }
        }
    }
}

/// The scored record of a document that says its score itself.
fn read_score(
    key: Vec<u8>,
    document: &[u8],
    perplexity: &FieldPath,
    tokens: Option<&FieldPath>,
) -> Result<Step, Unusable> {
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
    let scored = Scored {
        mean_nll_nats: value.ln(),
        tokens,
        truncated: false,
        scorer: perplexity.as_str(),
        sketch: 0,
        codes: Codes::default(),
        embedding: Vec::new(),
        quality: None,
        skill: None,
        document,
    };
    let value = Some(scored.encode());
    Ok(Step::Append(
        Record {
            key: Some(key),
            value,
            headers: Vec::new(),
        },
        tokens,
    ))
}
