//! What the operators know of a document, and how it is read from a scored record.

use operators::{DocumentHash, Upsert};
use serde::{Deserialize, Serialize};

use super::document::Document;
use super::groups::{GroupCode, Groups};
use crate::config::Sketch;
use crate::log::{Position, Received};
use crate::records::{Scored, ScoredError};

/// The facts of a live document, 24 bytes by value in every stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Where its scored record stands: its text is read back from there.
    pub position: Position,
    /// Mean negative log-likelihood, in billionths of a nat, rounded to the nearest.
    pub mean_nll: i64,
    /// Tokens scored.
    pub tokens: u32,
    /// The values of the fields that stages group by.
    pub group: GroupCode,
}

/// The unit of [`Facts::mean_nll`] in nats.
pub const NANO: f64 = 1e-9;

/// The largest mean negative log-likelihood that is taken, in nats: well within the integers, and
/// far beyond what a language model gives.
const MEAN_NLL_MAX: f64 = 1e9;

/// Why a scored record cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The record has no key, so it names no document.
    #[error("a scored record without a key")]
    NoKey,
    /// The record does not decode.
    #[error(transparent)]
    Scored(#[from] ScoredError),
    /// The score has no place in an order.
    #[error("a score of {0} nats")]
    Score(f64),
    /// The codes were not made under the configured sketch, or there are none.
    #[error("codes of sketch {found:016x}, not {wanted:016x}")]
    Sketch {
        /// The fingerprint of the record's codes; 0 without codes.
        found: u64,
        /// The fingerprint of the configured sketch.
        wanted: u64,
    },
    /// The codes bear the sketch's fingerprint, but it cannot have made them.
    #[error("codes that the sketch does not make")]
    Codes,
}

/// What is read of scored records besides whose they are.
pub struct Reading {
    /// The fields that stages group by.
    pub groups: Groups,
    /// The sketch that codes are of.
    pub sketch: Sketch,
    /// Its fingerprint.
    pub fingerprint: u64,
}

impl Reading {
    /// Reads these groups, and codes of this sketch.
    pub fn new(groups: Groups, sketch: Sketch) -> Self {
        Reading {
            groups,
            fingerprint: sketch.fingerprint(),
            sketch,
        }
    }
}

/// What a scored record says of its document, or that it is taken down.
///
/// # Errors
/// [`FactsError`] when the record is not one of ours.
pub fn upsert<D: Document>(
    received: &Received,
    reading: &Reading,
) -> Result<Upsert<D>, FactsError> {
    let key = received.record.key.as_deref().ok_or(FactsError::NoKey)?;
    let id = document_hash(key);
    let Some(value) = received.record.value.as_deref() else {
        return Ok(Upsert { id, record: None });
    };
    let scored = Scored::decode(value)?;
    let nll = scored.mean_nll_nats;
    if !nll.is_finite() || nll.abs() > MEAN_NLL_MAX {
        return Err(FactsError::Score(nll));
    }
    let facts = Facts {
        position: received.position,
        mean_nll: (nll / NANO).round() as i64,
        tokens: scored.tokens,
        group: reading.groups.code(&scored),
    };
    let record = Some(D::of(facts, &scored, reading)?);
    Ok(Upsert { id, record })
}

/// The hash that a document goes by in the operators, from the id's UTF-8.
pub fn document_hash(id: &[u8]) -> DocumentHash {
    let hash = blake3::hash(id);
    DocumentHash::from_bytes(
        hash.as_bytes()[..16]
            .try_into()
            .expect("a hash has 32 bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Record;
    use crate::records::Codes;

    fn received(mean_nll_nats: f64) -> Received {
        let scored = Scored {
            mean_nll_nats,
            tokens: 3,
            truncated: false,
            scorer: "test",
            sketch: 0,
            codes: Codes::default(),
            embedding: Vec::new(),
            quality: None,
            skill: None,
            document: b"{}",
        };
        let record = Record {
            key: Some(b"a".to_vec()),
            value: Some(scored.encode()),
            headers: Vec::new(),
        };
        Received {
            position: Position::new(1, 2),
            record,
        }
    }

    #[test]
    fn a_record_becomes_facts_and_a_tombstone_a_takedown() {
        let reading = Reading::new(Groups::new([], None), Sketch::default());
        let scored: Upsert<Facts> = upsert(&received(2.5), &reading).unwrap();
        let facts = scored.record.unwrap();
        assert_eq!((facts.mean_nll, facts.tokens), (2_500_000_000, 3));
        assert_eq!(facts.position, Position::new(1, 2));
        let mut takedown = received(2.5);
        takedown.record.value = None;
        let gone: Upsert<Facts> = upsert(&takedown, &reading).unwrap();
        assert_eq!((gone.id, gone.record), (document_hash(b"a"), None));
    }

    #[test]
    fn scores_without_a_place_in_an_order_are_refused() {
        let reading = Reading::new(Groups::new([], None), Sketch::default());
        for nll in [f64::NAN, f64::INFINITY, -1e300] {
            let error = upsert::<Facts>(&received(nll), &reading).unwrap_err();
            assert!(matches!(error, FactsError::Score(_)), "{error}");
        }
    }
}
