//! The tensors of a BERT-family encoder by their Hugging Face names, with their shapes.

use super::EncoderConfig;

/// Token embedding, `[V, C]`.
pub(crate) const WORDS: &str = "embeddings.word_embeddings.weight";
/// Position embedding, `[positions, C]`.
pub(crate) const POSITIONS: &str = "embeddings.position_embeddings.weight";
/// Token type embedding, `[types, C]`.
pub(crate) const TOKEN_TYPES: &str = "embeddings.token_type_embeddings.weight";
/// The norm of the embeddings' sum, a gain and a bias `[C]`.
pub(crate) const EMBEDDING_NORM: &str = "embeddings.LayerNorm";

/// A part of one layer that has a `weight` and a `bias`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LayerPart {
    /// Query projection, `[C, C]`.
    Query,
    /// Key projection, `[C, C]`.
    Key,
    /// Value projection, `[C, C]`.
    Value,
    /// Attention's output projection, `[C, C]`.
    Output,
    /// The norm after attention, `[C]`.
    AttentionNorm,
    /// The feed-forward layer's first projection, `[F, C]`.
    Up,
    /// The feed-forward layer's second projection, `[C, F]`.
    Down,
    /// The norm after the feed-forward layer, `[C]`.
    FeedForwardNorm,
}

impl LayerPart {
    const ALL: [LayerPart; 8] = [
        LayerPart::Query,
        LayerPart::Key,
        LayerPart::Value,
        LayerPart::Output,
        LayerPart::AttentionNorm,
        LayerPart::Up,
        LayerPart::Down,
        LayerPart::FeedForwardNorm,
    ];

    /// The part's name in a layer, without `.weight` or `.bias`.
    pub(crate) fn name(self, layer: usize) -> String {
        let part = match self {
            LayerPart::Query => "attention.self.query",
            LayerPart::Key => "attention.self.key",
            LayerPart::Value => "attention.self.value",
            LayerPart::Output => "attention.output.dense",
            LayerPart::AttentionNorm => "attention.output.LayerNorm",
            LayerPart::Up => "intermediate.dense",
            LayerPart::Down => "output.dense",
            LayerPart::FeedForwardNorm => "output.LayerNorm",
        };
        format!("encoder.layer.{layer}.{part}")
    }

    /// The weight's shape; the bias has its first size.
    fn shape(self, config: &EncoderConfig) -> Vec<usize> {
        let (c, f) = (config.width, config.hidden);
        match self {
            LayerPart::AttentionNorm | LayerPart::FeedForwardNorm => vec![c],
            LayerPart::Up => vec![f, c],
            LayerPart::Down => vec![c, f],
            _ => vec![c, c],
        }
    }
}

/// Every tensor of a model with its shape.
pub(crate) fn all(config: &EncoderConfig) -> impl Iterator<Item = (String, Vec<usize>)> {
    let c = config.width;
    let tables = [
        (WORDS, config.vocabulary),
        (POSITIONS, config.positions),
        (TOKEN_TYPES, config.token_types),
    ];
    let tables = tables.map(|(name, rows)| (name.to_string(), vec![rows, c]));
    let parts = (0..config.layers)
        .flat_map(|layer| LayerPart::ALL.map(|part| (part.name(layer), part.shape(config))));
    let norm = (EMBEDDING_NORM.to_string(), vec![c]);
    let with_bias = [norm].into_iter().chain(parts).flat_map(|(name, shape)| {
        let bias = (format!("{name}.bias"), vec![shape[0]]);
        [(format!("{name}.weight"), shape), bias]
    });
    tables.into_iter().chain(with_bias)
}

/// Whether a tensor may be there without being used: the pooler serves next-sentence prediction,
/// and position ids count from 0.
pub(crate) fn is_redundant(name: &str) -> bool {
    name == "embeddings.position_ids" || name.starts_with("pooler.")
}
