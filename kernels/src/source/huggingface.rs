//! Hugging Face directories of a decoder: config.json, tokenizer.json and safetensors.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::json::{malformed, read_json, read_limited};
use super::safetensors::Safetensors;
use super::{LayerPart, Part, Source};
use crate::{Config, ModelError, Tokenizer};

/// An opened Hugging Face directory.
pub(crate) struct HuggingFace {
    path: PathBuf,
    config: Config,
    begin: Option<usize>,
    tensors: Safetensors,
}

/// config.json, as far as it shapes a Llama-family decoder.
#[derive(Deserialize)]
struct ConfigJson {
    num_hidden_layers: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: f32,
    rope_theta: Option<f64>,
    rope_scaling: Option<Rope>,
    rope_parameters: Option<Rope>,
    #[serde(default)]
    tie_word_embeddings: bool,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    bos_token_id: Option<usize>,
}

/// Rotary settings, in the old or the current place of config.json.
#[derive(Deserialize)]
struct Rope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
}

impl HuggingFace {
    /// Opens a directory and checks every header, without reading weights.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let config_path = path.join("config.json");
        let json: serde_json::Value = read_json(&config_path)?;
        let architecture = json.get("model_type").and_then(|value| value.as_str());
        if let Some(architecture) = architecture.filter(|name| *name != "llama") {
            let what = format!("the architecture {architecture}");
            return Err(ModelError::Unsupported {
                path: config_path,
                what,
            });
        }
        let json: ConfigJson =
            serde_json::from_value(json).map_err(|e| malformed(&config_path, e))?;
        let begin = json.bos_token_id;
        let config = json.check(path, &config_path)?;
        config.check(&config_path)?;
        let tensors = Safetensors::open(path)?;
        let parts = Part::all(&config).into_iter();
        // Frequencies are computed, and a tied head is the embedding again.
        tensors.check(
            parts.map(|part| (name(part), part.shape(&config))),
            |tensor| {
                tensor.ends_with("rotary_emb.inv_freq")
                    || (config.tied && tensor == name(Part::Head))
            },
        )?;
        Ok(HuggingFace {
            path: path.into(),
            config,
            begin,
            tensors,
        })
    }
}

impl Source for HuggingFace {
    fn config(&self) -> &Config {
        &self.config
    }

    fn tokenizer(&self) -> Result<Tokenizer, ModelError> {
        let path = self.path.join("tokenizer.json");
        let json = read_limited(&path)?;
        Tokenizer::from_json(&path, &json, self.begin)
    }

    fn tensor(&mut self, part: Part) -> Result<Vec<f32>, ModelError> {
        self.tensors.read(&name(part))
    }
}

impl ConfigJson {
    /// The decoder's shape, or what in it is not supported.
    fn check(self, directory: &Path, path: &Path) -> Result<Config, ModelError> {
        let unsupported = |what| {
            Err(ModelError::Unsupported {
                path: path.into(),
                what,
            })
        };
        if let Some(act) = self.hidden_act.filter(|act| act != "silu") {
            return unsupported(format!("the activation {act}"));
        }
        if self.attention_bias || self.mlp_bias {
            return unsupported("a bias in attention or feed-forward layers".into());
        }
        let mut rope_base = self.rope_theta;
        for rope in [self.rope_scaling, self.rope_parameters]
            .into_iter()
            .flatten()
        {
            if let Some(kind) = rope.rope_type.filter(|kind| kind != "default") {
                return unsupported(format!("rotary scaling of type {kind}"));
            }
            rope_base = rope.rope_theta.or(rope_base);
        }
        let name = directory
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Config {
            name: name.unwrap_or_default(),
            layers: self.num_hidden_layers,
            width: self.hidden_size,
            hidden: self.intermediate_size,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_width: self
                .head_dim
                .unwrap_or(self.hidden_size / self.num_attention_heads.max(1)),
            vocabulary: self.vocab_size,
            context: self.max_position_embeddings,
            rope_base: rope_base.unwrap_or(10_000.0),
            norm_epsilon: self.rms_norm_eps,
            tied: self.tie_word_embeddings,
        })
    }
}

/// The tensor's name in a Hugging Face model.
fn name(part: Part) -> String {
    let (layer, part) = match part {
        Part::Embedding => return "model.embed_tokens.weight".into(),
        Part::FinalNorm => return "model.norm.weight".into(),
        Part::Head => return "lm_head.weight".into(),
        Part::Layer(layer, part) => (layer, part),
    };
    let part = match part {
        LayerPart::AttentionNorm => "input_layernorm",
        LayerPart::Query => "self_attn.q_proj",
        LayerPart::Key => "self_attn.k_proj",
        LayerPart::Value => "self_attn.v_proj",
        LayerPart::Output => "self_attn.o_proj",
        LayerPart::FeedForwardNorm => "post_attention_layernorm",
        LayerPart::Gate => "mlp.gate_proj",
        LayerPart::Up => "mlp.up_proj",
        LayerPart::Down => "mlp.down_proj",
    };
    format!("model.layers.{layer}.{part}.weight")
}
