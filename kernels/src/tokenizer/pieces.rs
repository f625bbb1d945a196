//! The tokens of a text without special ones, reading only as much of it as a limit needs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;

use super::Encoded;
use super::cut::Splits;
use crate::{ModelError, TokenizeError};

/// Bytes of text read first for each token wanted. English takes about 4.5 a token.
const BYTES_PER_TOKEN: usize = 8;

/// A tokenizer of the `tokenizers` crate, and where texts may be cut under it.
pub(super) struct Pieces {
    pub(super) inner: tokenizers::Tokenizer,
    pub(super) splits: Splits,
}

impl Pieces {
    /// The tokenizer that a tokenizer.json describes, without its padding and truncation.
    ///
    /// Special tokens that a text spells out are tokenized as the text that they are: a document
    /// must not be able to forge a separator.
    pub(super) fn from_json(path: &Path, json: &[u8]) -> Result<Self, ModelError> {
        let malformed = |e| ModelError::Malformed {
            path: path.into(),
            what: format!("{e}"),
        };
        let json = without_decoder(json).map_err(|e| malformed(e.into()))?;
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(malformed)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(malformed)?;
        inner.set_encode_special_tokens(true);
        let splits = Splits::of(&inner);
        Ok(Pieces { inner, splits })
    }

    /// One more than the largest token id.
    pub(super) fn vocabulary(&self) -> usize {
        self.inner
            .get_vocab(true)
            .into_values()
            .max()
            .map_or(0, |largest| largest as usize + 1)
    }

    /// The first `tokens_max` tokens of a text, and whether there were more.
    pub(super) fn first(&self, text: &str, tokens_max: usize) -> Result<Encoded, TokenizeError> {
        let mut bytes = tokens_max.saturating_add(1).saturating_mul(BYTES_PER_TOKEN);
        loop {
            let read = &text[..self.splits.place(text, bytes)];
            let encoding = self.inner.encode_fast(read, false);
            let encoding = encoding.map_err(|e| TokenizeError {
                what: e.to_string(),
            })?;
            let ids = encoding.get_ids();
            if ids.len() > tokens_max || read.len() == text.len() {
                let truncated = ids.len() > tokens_max;
                return Ok(Encoded {
                    ids: ids[..ids.len().min(tokens_max)].to_vec(),
                    truncated,
                });
            }
            bytes = bytes.saturating_mul(4);
        }
    }
}

/// The description without the part that turns tokens into text, which nobody here does: the crate
/// panics where that part is malformed.
fn without_decoder(json: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut parts: BTreeMap<String, &RawValue> = serde_json::from_slice(json)?;
    parts.remove("decoder");
    serde_json::to_vec(&parts)
}
