//! The shape of a BERT-family encoder and how its rows become one embedding, checked before
//! anything of that size is allocated.

use std::path::Path;

use crate::ModelError;
use crate::config::check_limits;

/// The shape of an encoder. Every field is inside its limits once [`EncoderConfig::check`] has
/// passed.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// The name of the model's directory.
    pub name: String,
    /// Encoder layers.
    pub layers: usize,
    /// `C`, channels of the stream, and of an embedding.
    pub width: usize,
    /// `F`, channels inside the feed-forward layer.
    pub hidden: usize,
    /// `H`, heads; each has `C / H` channels.
    pub heads: usize,
    /// `V`, token ids.
    pub vocabulary: usize,
    /// Longest document that the model has positions for, in tokens.
    pub positions: usize,
    /// Token types that the model has embeddings for; documents are of type 0.
    pub token_types: usize,
    /// What LayerNorm adds to the variance.
    pub norm_epsilon: f32,
    /// Tokens of a document that the model was made to read, special ones counted; at most
    /// `positions`.
    pub tokens_max: usize,
    /// How a document's rows become one.
    pub pooling: Pooling,
    /// Whether embeddings are scaled to length 1.
    pub normalised: bool,
}

/// How a document's rows, one a token, become its embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of all rows, special tokens counted.
    Mean,
    /// The first row.
    First,
}

impl EncoderConfig {
    /// Passes when every size is one that a real model could have.
    ///
    /// The limits keep every product of sizes below 2⁶³, so later arithmetic cannot overflow.
    ///
    /// # Errors
    /// [`ModelError::OutOfRange`] or [`ModelError::Unsupported`], for the first field that is not.
    pub fn check(&self, path: &Path) -> Result<(), ModelError> {
        let limits = [
            ("number of layers", self.layers, 1, 1 << 10),
            ("embedding width", self.width, 1, 1 << 16),
            ("feed-forward width", self.hidden, 1, 1 << 18),
            ("number of heads", self.heads, 1, 1 << 10),
            ("vocabulary", self.vocabulary, 1, 1 << 22),
            ("number of positions", self.positions, 1, 1 << 22),
            ("number of token types", self.token_types, 1, 1 << 10),
            ("token limit", self.tokens_max, 1, self.positions),
        ];
        check_limits(path, &limits)?;
        let unsupported = |what| {
            Err(ModelError::Unsupported {
                path: path.into(),
                what,
            })
        };
        if !self.width.is_multiple_of(self.heads) {
            return unsupported(format!("{} channels over {} heads", self.width, self.heads));
        }
        if !(self.norm_epsilon.is_finite() && self.norm_epsilon >= 0.0) {
            return unsupported(format!("norm epsilon {}", self.norm_epsilon));
        }
        Ok(())
    }

    /// `D`, channels of one head.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Weights of the model.
    pub fn parameters(&self) -> u64 {
        let [layers, width, hidden] = [self.layers, self.width, self.hidden].map(|n| n as u64);
        let rows = (self.vocabulary + self.positions + self.token_types + 2) as u64;
        // Four projections with their biases, the feed-forward network, two norms.
        let layer = 4 * width * (width + 1) + (2 * hidden + 1) * width + hidden + 4 * width;
        rows * width + layers * layer
    }

    /// Floating-point operations to embed one token of a document of `tokens` tokens.
    ///
    /// A multiplication and an addition are two. Norms, softmax and GELU are not counted.
    pub fn operations_per_token(&self, tokens: usize) -> f64 {
        let products = 4 * self.width * self.width + 2 * self.width * self.hidden;
        let attention = 2 * self.width * tokens;
        2.0 * (self.layers * (products + attention)) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minilm() -> EncoderConfig {
        EncoderConfig {
            name: "all-MiniLM-L6-v2".into(),
            layers: 6,
            width: 384,
            hidden: 1536,
            heads: 12,
            vocabulary: 30522,
            positions: 512,
            token_types: 2,
            norm_epsilon: 1e-12,
            tokens_max: 256,
            pooling: Pooling::Mean,
            normalised: true,
        }
    }

    #[test]
    fn parameters_of_minilm_are_the_published_count() {
        // 22,713,216 with the pooler, 384 · 385, which sentence embeddings do not use.
        assert_eq!(minilm().parameters(), 22_713_216 - 384 * 385);
    }

    #[test]
    fn operations_are_two_a_weight_plus_attention() {
        let operations = minilm().operations_per_token(256);
        assert!(
            (operations / 1e6 - 21.23 - 2.36).abs() < 0.01,
            "{operations}"
        );
    }

    #[test]
    fn sizes_outside_their_limits_are_refused_by_name() {
        type Change = fn(&mut EncoderConfig);
        let break_one: [(&str, Change); 6] = [
            ("number of layers", |c| c.layers = 0),
            ("embedding width", |c| c.width = 1 << 17),
            ("token limit is 513, outside 1..=512", |c| {
                c.tokens_max = 513
            }),
            ("number of token types", |c| c.token_types = 0),
            ("384 channels over 7 heads", |c| c.heads = 7),
            ("norm epsilon", |c| c.norm_epsilon = f32::NAN),
        ];
        minilm()
            .check(Path::new("m"))
            .expect("the real shape passes");
        for (claim, change) in break_one {
            let mut config = minilm();
            change(&mut config);
            let error = config.check(Path::new("m")).expect_err(claim).to_string();
            assert!(error.contains(claim), "{error}");
        }
    }
}
