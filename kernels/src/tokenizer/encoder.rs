//! Text to the tokens that an encoder reads: special ones around it, as many as it was made for.

use std::path::Path;

use super::Encoded;
use super::pieces::Pieces;
use crate::{ModelError, TokenizeError};

/// An encoder's tokenizer; share it by reference between any number of threads.
pub struct EncoderTokenizer {
    pieces: Pieces,
    /// Special tokens before a text, such as `[CLS]`.
    before: Vec<u32>,
    /// Special tokens behind a text, such as `[SEP]`.
    behind: Vec<u32>,
    tokens_max: usize,
}

impl EncoderTokenizer {
    /// The tokenizer that a tokenizer.json describes, for documents of at most `tokens_max` tokens.
    pub(crate) fn from_json(
        path: &Path,
        json: &[u8],
        tokens_max: usize,
    ) -> Result<Self, ModelError> {
        let pieces = Pieces::from_json(path, json)?;
        let (before, behind) = around(&pieces.inner).map_err(|what| ModelError::Unsupported {
            path: path.into(),
            what,
        })?;
        let special = before.len() + behind.len();
        if special > tokens_max {
            return Err(ModelError::OutOfRange {
                path: path.into(),
                key: "number of special tokens around a text".into(),
                value: special as u64,
                least: 0,
                most: tokens_max as u64,
            });
        }
        Ok(EncoderTokenizer {
            pieces,
            before,
            behind,
            tokens_max,
        })
    }

    /// Tokens of the longest document, special ones counted: what the model was made to read.
    pub fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    /// One more than the largest token id.
    pub fn vocabulary(&self) -> usize {
        self.pieces.vocabulary()
    }

    /// The tokens of a text with the model's special ones around them, at most
    /// [`Self::tokens_max`], and whether the text had more.
    ///
    /// An empty text has the special tokens alone. Special tokens spelled out in the text are plain
    /// text. The time taken depends on the limit and not on the length of the text, as long as the
    /// text holds a space or a mark now and then.
    ///
    /// # Errors
    /// [`TokenizeError`] when the tokenizer has no token for a part of the text.
    pub fn encode(&self, text: &str) -> Result<Encoded, TokenizeError> {
        let special = self.before.len() + self.behind.len();
        let Encoded { ids, truncated } = self.pieces.first(text, self.tokens_max - special)?;
        Ok(Encoded {
            ids: [&self.before[..], &ids, &self.behind].concat(),
            truncated,
        })
    }
}

/// The special tokens that a tokenizer puts before and behind a text, or what in them is not
/// supported.
fn around(tokenizer: &tokenizers::Tokenizer) -> Result<(Vec<u32>, Vec<u32>), String> {
    let encode = |special| {
        let encoding = tokenizer.encode_fast("a", special);
        encoding.map_err(|e| format!("a tokenizer that cannot read one letter ({e})"))
    };
    let (bare, whole) = (encode(false)?, encode(true)?);
    if whole.get_type_ids().iter().any(|kind| *kind != 0) {
        return Err("a token type other than 0".into());
    }
    let (bare, whole) = (bare.get_ids(), whole.get_ids());
    let is_bare = |start: &usize| whole[*start..].starts_with(bare);
    match (0..=whole.len()).find(is_bare) {
        Some(start) if !bare.is_empty() => Ok((
            whole[..start].to_vec(),
            whole[start + bare.len()..].to_vec(),
        )),
        _ => Err("a tokenizer that changes texts between special tokens".into()),
    }
}
