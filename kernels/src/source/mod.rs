//! Where weights come from: one trait over the file formats.
//!
//! A source is opened in two steps: the header gives the configuration and every tensor's shape,
//! checked against the length of the file; only then does [`Source::tensor`] read and dequantise
//! one tensor at a time, so that loading needs the memory of the model and of one tensor.

mod gguf;
mod huggingface;
pub(crate) mod json;
pub(crate) mod safetensors;
mod sentence;

use std::path::Path;

pub(crate) use gguf::Gguf;
pub(crate) use huggingface::HuggingFace;
pub(crate) use sentence::SentenceDirectory;

use crate::{Config, ModelError, Tokenizer};

/// A tensor of a Llama-family decoder, by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Token embedding, `[V, C]`.
    Embedding,
    /// Gain of the last norm, `[C]`.
    FinalNorm,
    /// LM head where it is not tied, `[V, C]`.
    Head,
    /// A tensor of one layer.
    Layer(usize, LayerPart),
}

/// A tensor of one decoder layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LayerPart {
    /// Gain of the norm before attention, `[C]`.
    AttentionNorm,
    /// Query projection, `[H·D, C]`.
    Query,
    /// Key projection, `[G·D, C]`.
    Key,
    /// Value projection, `[G·D, C]`.
    Value,
    /// Attention's output projection, `[C, H·D]`.
    Output,
    /// Gain of the norm before the feed-forward layer, `[C]`.
    FeedForwardNorm,
    /// SwiGLU's gate, `[F, C]`.
    Gate,
    /// SwiGLU's up projection, `[F, C]`.
    Up,
    /// SwiGLU's down projection, `[C, F]`.
    Down,
}

impl LayerPart {
    /// All tensors of a layer.
    pub(crate) const ALL: [LayerPart; 9] = [
        LayerPart::AttentionNorm,
        LayerPart::Query,
        LayerPart::Key,
        LayerPart::Value,
        LayerPart::Output,
        LayerPart::FeedForwardNorm,
        LayerPart::Gate,
        LayerPart::Up,
        LayerPart::Down,
    ];
}

impl Part {
    /// Every tensor of a model, in the order of the forward pass.
    pub(crate) fn all(config: &Config) -> Vec<Part> {
        let layers = (0..config.layers)
            .flat_map(|layer| LayerPart::ALL.map(|part| Part::Layer(layer, part)));
        let head = (!config.tied).then_some(Part::Head);
        [Part::Embedding]
            .into_iter()
            .chain(layers)
            .chain([Part::FinalNorm])
            .chain(head)
            .collect()
    }

    /// The tensor's shape by the configuration, rows first.
    pub(crate) fn shape(self, config: &Config) -> Vec<usize> {
        let (c, f) = (config.width, config.hidden);
        let (q, kv) = (config.query_width(), config.kv_width());
        match self {
            Part::Embedding | Part::Head => vec![config.vocabulary, c],
            Part::FinalNorm => vec![c],
            Part::Layer(_, part) => match part {
                LayerPart::AttentionNorm | LayerPart::FeedForwardNorm => vec![c],
                LayerPart::Query => vec![q, c],
                LayerPart::Key | LayerPart::Value => vec![kv, c],
                LayerPart::Output => vec![c, q],
                LayerPart::Gate | LayerPart::Up => vec![f, c],
                LayerPart::Down => vec![c, f],
            },
        }
    }
}

/// An opened model: its configuration is checked, and each tensor is inside its file.
pub(crate) trait Source {
    /// The model's shape.
    fn config(&self) -> &Config;

    /// The tokenizer that belongs to the model.
    fn tokenizer(&self) -> Result<Tokenizer, ModelError>;

    /// The values of a tensor, rows first, with queries and keys in the half-split order in which
    /// rotary embedding turns channel `i` of a head with channel `i + D/2`.
    fn tensor(&mut self, part: Part) -> Result<Vec<f32>, ModelError>;
}

/// Fails when the file holds another shape for a tensor than the configuration implies.
fn check_shape(
    path: &Path,
    tensor: &str,
    found: &[usize],
    needed: &[usize],
) -> Result<(), ModelError> {
    if found == needed {
        return Ok(());
    }
    Err(ModelError::Shape {
        path: path.into(),
        tensor: tensor.into(),
        found: found.into(),
        needed: needed.into(),
    })
}

/// Fails when a file holds a tensor that the model would not use.
///
/// Leaving one out (a bias, say, or scaled rotary frequencies) gives wrong scores without a sign.
fn check_all_used<'a>(
    path: &Path,
    mut tensors: impl Iterator<Item = &'a str>,
    used: &std::collections::HashSet<String>,
) -> Result<(), ModelError> {
    match tensors.find(|name| !used.contains(*name)) {
        None => Ok(()),
        Some(name) => Err(ModelError::Unsupported {
            path: path.into(),
            what: format!("the tensor {name}"),
        }),
    }
}

/// candle's error as it was before it took a backtrace along, which `RUST_BACKTRACE` makes it do:
/// a damaged file is the user's matter, and one line tells it.
fn without_backtrace(error: candle_core::Error) -> candle_core::Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => without_backtrace(*inner),
        other => other,
    }
}
