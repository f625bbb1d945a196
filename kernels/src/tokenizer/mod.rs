//! Text to token ids, by the model's own tokenizer.
//!
//! The algorithms are the `tokenizers` crate's; what is ours is the vocabulary out of a GGUF file,
//! the choice of the separator, and reading only as much of a long text as the token limit needs.

mod cut;
mod encoder;
mod pieces;

use std::path::Path;

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use crate::{ModelError, TokenizeError};
use cut::Splits;
pub use encoder::EncoderTokenizer;
use pieces::Pieces;

/// The separator's spelling in GPT-2's family, preferred over the model's beginning-of-sequence
/// token because chat models put the start of a chat turn there.
const END_OF_TEXT: &str = "<|endoftext|>";

/// A tokenizer; share it by reference between any number of threads.
pub struct Tokenizer {
    pieces: Pieces,
    separator: u32,
}

/// The tokens of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, at most as many as were asked for; no special token is added.
    pub ids: Vec<u32>,
    /// Whether the text had more tokens than were asked for.
    pub truncated: bool,
}

impl Tokenizer {
    /// The byte-level BPE tokenizer of a GGUF file.
    ///
    /// `pre` names how text is split before merging: `smollm` splits off every digit, then by
    /// GPT-2's pattern; `gpt-2` and `default` go by that pattern alone. `begin` is the id of the
    /// beginning-of-sequence token.
    pub(crate) fn from_vocabulary(
        path: &Path,
        tokens: Vec<String>,
        merges: Vec<String>,
        pre: &str,
        begin: Option<usize>,
    ) -> Result<Self, ModelError> {
        let malformed = |what: String| ModelError::Malformed {
            path: path.into(),
            what,
        };
        let byte_level = ByteLevel::new(false, true, true);
        let (splits, splitter): (_, PreTokenizerWrapper) = match pre {
            "smollm" => {
                let steps = vec![Digits::new(true).into(), byte_level.into()];
                (Splits::DigitsAndWords, Sequence::new(steps).into())
            }
            "gpt-2" | "default" => (Splits::Words, byte_level.into()),
            other => {
                let what = format!("the pre-tokenizer {other}");
                return Err(ModelError::Unsupported {
                    path: path.into(),
                    what,
                });
            }
        };
        let merges = merges
            .into_iter()
            .map(|merge| match merge.split_once(' ') {
                Some((left, right)) => Ok((left.to_string(), right.to_string())),
                None => Err(malformed(format!("the merge {merge:?} is not two tokens"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let separator = separator(path, tokens.iter().position(|t| t == END_OF_TEXT).or(begin))?;
        let vocabulary = tokens
            .into_iter()
            .zip(0u32..)
            .collect::<tokenizers::models::bpe::Vocab>();
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .build()
            .map_err(|e| malformed(format!("its vocabulary and merges do not fit: {e}")))?;
        // Special tokens are left out on purpose: a document that spells one out must not be able
        // to forge a separator, so the spelling is tokenized as the text that it is.
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_pre_tokenizer(Some(splitter));
        Ok(Tokenizer {
            pieces: Pieces { inner, splits },
            separator,
        })
    }

    /// The tokenizer that a tokenizer.json describes.
    pub(crate) fn from_json(
        path: &Path,
        json: &[u8],
        begin: Option<usize>,
    ) -> Result<Self, ModelError> {
        let pieces = Pieces::from_json(path, json)?;
        let end_of_text = pieces.inner.token_to_id(END_OF_TEXT).map(|id| id as usize);
        let separator = separator(path, end_of_text.or(begin))?;
        Ok(Tokenizer { pieces, separator })
    }

    /// The id that a model puts before every document.
    pub fn separator(&self) -> u32 {
        self.separator
    }

    /// One more than the largest token id.
    pub fn vocabulary(&self) -> usize {
        self.pieces.vocabulary()
    }

    /// The first `tokens_max` tokens of a text, and whether there were more.
    ///
    /// An empty text has no tokens. Special tokens spelled out in the text are plain text. The time
    /// taken depends on `tokens_max` and not on the length of the text, as long as the text holds a
    /// space or a digit now and then; a single word is read whole, because its tokens may depend on
    /// its end.
    ///
    /// # Errors
    /// [`TokenizeError`] when the tokenizer has no token for a part of the text.
    pub fn encode(&self, text: &str, tokens_max: usize) -> Result<Encoded, TokenizeError> {
        self.pieces.first(text, tokens_max)
    }
}

fn separator(path: &Path, id: Option<usize>) -> Result<u32, ModelError> {
    let missing = || ModelError::Missing {
        path: path.into(),
        key: format!("a document separator ({END_OF_TEXT}, or a beginning-of-sequence token)"),
    };
    id.and_then(|id| u32::try_from(id).ok()).ok_or_else(missing)
}
