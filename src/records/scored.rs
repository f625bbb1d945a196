//! Scored records: what `score` hands to `curate`, one a document.

use serde::{Deserialize, Serialize, Serializer};

use super::Codes;

/// The first byte of every scored record. A change of the layout takes the next number, and the
/// decoder keeps reading the old ones.
///
/// - 1: the fields in order, as bincode writes them. Nothing made codes yet: there are none.
/// - 2: the sketch's fingerprint, then the fields as in version 1.
const VERSION: u8 = 2;

/// A document with its measurements. Takedowns have no value, so no scored record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored<'a> {
    /// Mean negative log-likelihood in nats a token; perplexity is its exponential.
    pub mean_nll_nats: f64,
    /// Tokens that were scored, the model's prefix not counted; 0 when a field gave the score and
    /// no field the count.
    pub tokens: u32,
    /// Whether tokens past the limit were left out of the score.
    pub truncated: bool,
    /// What computed the score: model and backend, or the field it was read from; then, with an
    /// encoder, what computed the codes. Scores of different backends may differ in their last bits.
    #[serde(borrow)]
    pub scorer: &'a str,
    /// The fingerprint of the sketch that the codes were made under; 0 without codes.
    #[serde(skip)]
    pub sketch: u64,
    /// Locality-sensitive hash codes of the embedding, one a sketch row; empty without an encoder.
    #[serde(borrow)]
    pub codes: Codes<'a>,
    /// The embedding itself; empty unless asked for.
    pub embedding: Vec<f32>,
    /// Ask-LLM's P(yes), where that was asked.
    pub quality: Option<f32>,
    /// The skill's label or centroid, where there are skills.
    #[serde(borrow)]
    pub skill: Option<&'a str>,
    /// The document's JSON as it came in, without an earlier engine's `riffle` object.
    #[serde(borrow, serialize_with = "as_bytes")]
    pub document: &'a [u8],
}

/// Why bytes are no scored record.
#[derive(Debug, thiserror::Error)]
pub enum ScoredError {
    /// The record is of a version this program does not read.
    #[error("scored record of version {version}; this program reads up to {VERSION}")]
    Version {
        /// The version byte.
        version: u8,
    },
    /// The record has no version byte.
    #[error("empty scored record")]
    Empty,
    /// The bytes do not decode.
    #[error("damaged scored record: {0}")]
    Decode(#[from] bincode::error::DecodeError),
}

impl<'a> Scored<'a> {
    /// The record as bytes: the version, then bincode with variable-length integers.
    pub fn encode(&self) -> Vec<u8> {
        let measures = 2 * self.codes.len() + 4 * self.embedding.len();
        let mut bytes = Vec::with_capacity(self.document.len() + measures + 128);
        bytes.push(VERSION);
        let parts = (self.sketch, self);
        bincode::serde::encode_into_std_write(parts, &mut bytes, bincode::config::standard())
            .expect("writing to memory does not fail, and every field can be written");
        bytes
    }

    /// The record in `bytes`, borrowing its texts.
    ///
    /// # Errors
    /// [`ScoredError`] when the bytes are of another version or damaged.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ScoredError> {
        let (version, rest) = bytes.split_first().ok_or(ScoredError::Empty)?;
        let config = bincode::config::standard();
        match *version {
            1 => Ok(bincode::serde::borrow_decode_from_slice(rest, config)?.0),
            2 => {
                let parts = bincode::serde::borrow_decode_from_slice(rest, config)?;
                let ((sketch, scored), _): ((u64, Scored), usize) = parts;
                Ok(Scored { sketch, ..scored })
            }
            version => Err(ScoredError::Version { version }),
        }
    }

    /// Negative log-likelihood of all scored tokens, in nats.
    pub fn nll_nats(&self) -> f64 {
        self.mean_nll_nats * f64::from(self.tokens)
    }

    /// Perplexity: the exponential of the mean negative log-likelihood.
    pub fn perplexity(&self) -> f64 {
        self.mean_nll_nats.exp()
    }
}

/// Writes bytes as one piece. Serde takes a slice for a sequence, of which bincode writes one byte
/// after the other: the same result, for a third of all the time that scoring from a field takes.
fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored() -> Scored<'static> {
        Scored {
            mean_nll_nats: 2.5,
            tokens: 7,
            truncated: true,
            scorer: "model",
            sketch: 300,
            codes: Codes::of_bytes(&[1, 0, 2, 1]).expect("they are whole"),
            embedding: Vec::new(),
            quality: None,
            skill: Some("code"),
            document: br#"{"id":"a","text":"b"}"#,
        }
    }

    #[test]
    fn encode_then_decode_gives_the_record() {
        assert_eq!(Scored::decode(&scored().encode()).unwrap(), scored());
    }

    #[test]
    fn damaged_records_are_errors() {
        let bytes = scored().encode();
        for end in 0..bytes.len() {
            assert!(Scored::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(matches!(
            Scored::decode(&[9, 9]),
            Err(ScoredError::Version { version: 9 })
        ));
    }

    /// Version 1 as written by the first release: it must be readable for ever.
    #[test]
    fn the_fixture_of_version_1_still_reads() {
        let mut bytes = vec![1u8];
        bytes.extend(1.5f64.to_le_bytes());
        bytes.extend([3, 0, 1, b'm', 0, 0, 0, 0, 2, b'{', b'}']);
        let scored = Scored::decode(&bytes).unwrap();
        assert_eq!(
            (scored.mean_nll_nats, scored.tokens, scored.scorer),
            (1.5, 3, "m")
        );
        assert_eq!((scored.skill, scored.document), (None, &b"{}"[..]));
        assert_eq!((scored.sketch, scored.codes.len()), (0, 0));
    }

    #[test]
    fn the_fixture_of_version_2_still_reads() {
        let mut bytes = vec![2u8];
        // A number of more than a byte is marked by its width: 251 for two bytes.
        bytes.extend([251, 44, 1]);
        bytes.extend(2.5f64.to_le_bytes());
        bytes.extend([7, 1, 5, b'm', b'o', b'd', b'e', b'l']);
        bytes.extend([4, 1, 0, 2, 1, 0, 0, 1, 4, b'c', b'o', b'd', b'e']);
        let document = br#"{"id":"a","text":"b"}"#;
        bytes.push(document.len() as u8);
        bytes.extend(document);
        assert_eq!(Scored::decode(&bytes).unwrap(), scored());
        assert_eq!(scored().encode(), bytes);
    }

    #[test]
    fn half_a_code_is_damage() {
        let bytes = scored().encode();
        let place = bytes
            .windows(5)
            .position(|five| five == [4, 1, 0, 2, 1])
            .expect("the codes lie behind their length");
        let mut damaged = bytes;
        damaged[place] = 3;
        let error = Scored::decode(&damaged).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
    }
}
