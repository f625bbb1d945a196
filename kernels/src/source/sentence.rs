//! Directories of a BERT-family encoder: those of Hugging Face's transformers, with what
//! sentence-transformers adds on token limit, pooling and scaling.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::json::{malformed, read_json, read_limited};
use super::safetensors::Safetensors;
use crate::bert::weights;
use crate::{EncoderConfig, EncoderTokenizer, ModelError, Pooling};

/// An opened directory: its configuration is checked, and each tensor is inside its file.
pub(crate) struct SentenceDirectory {
    path: PathBuf,
    config: EncoderConfig,
    tensors: Safetensors,
}

/// config.json, as far as it shapes a BERT-family encoder.
#[derive(Deserialize)]
struct ConfigJson {
    num_hidden_layers: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f32,
    hidden_act: String,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

/// One module of modules.json, which an embedding passes in order.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// sentence_bert_config.json.
#[derive(Deserialize)]
struct SentenceJson {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

/// config_sentence_transformers.json.
#[derive(Deserialize)]
struct PromptsJson {
    default_prompt_name: Option<String>,
}

/// How a document's rows become an embedding.
struct Readout {
    pooling: Pooling,
    normalised: bool,
}

impl SentenceDirectory {
    /// Opens a directory and checks every header, without reading weights.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let config_path = path.join("config.json");
        if !config_path.is_file() {
            return Err(ModelError::NotAnEncoder { path: path.into() });
        }
        let json: serde_json::Value = read_json(&config_path)?;
        let architecture = json.get("model_type").and_then(|value| value.as_str());
        if let Some(architecture) = architecture.filter(|name| *name != "bert") {
            return unsupported(&config_path, format!("the architecture {architecture}"));
        }
        let json: ConfigJson =
            serde_json::from_value(json).map_err(|e| malformed(&config_path, e))?;
        let tokens_max = token_limit(path)?.unwrap_or(json.max_position_embeddings);
        let config = json.check(path, &config_path, tokens_max, readout(path)?)?;
        config.check(&config_path)?;
        let tensors = Safetensors::open(path)?;
        tensors.check(weights::all(&config), weights::is_redundant)?;
        Ok(SentenceDirectory {
            path: path.into(),
            config,
            tensors,
        })
    }

    /// The model's shape.
    pub(crate) fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The model's weights.
    pub(crate) fn tensors(&self) -> &Safetensors {
        &self.tensors
    }

    /// The tokenizer that belongs to the model.
    pub(crate) fn tokenizer(&self) -> Result<EncoderTokenizer, ModelError> {
        let path = self.path.join("tokenizer.json");
        let tokenizer =
            EncoderTokenizer::from_json(&path, &read_limited(&path)?, self.config.tokens_max)?;
        let vocabulary = self.config.vocabulary;
        match tokenizer.vocabulary() > vocabulary {
            true => Err(malformed(
                &path,
                format!(
                    "it knows {} tokens, the embedding {vocabulary}",
                    tokenizer.vocabulary()
                ),
            )),
            false => Ok(tokenizer),
        }
    }
}

impl ConfigJson {
    /// The encoder's shape, or what in it is not supported.
    fn check(
        self,
        directory: &Path,
        path: &Path,
        tokens_max: usize,
        readout: Readout,
    ) -> Result<EncoderConfig, ModelError> {
        // `gelu` is the exact form; the tanh forms have other names.
        if self.hidden_act != "gelu" {
            return unsupported(path, format!("the activation {}", self.hidden_act));
        }
        let positions = self.position_embedding_type.as_deref();
        if let Some(kind) = positions.filter(|kind| *kind != "absolute") {
            return unsupported(path, format!("position embedding of type {kind}"));
        }
        if self.is_decoder {
            return unsupported(path, "an encoder used as a decoder".into());
        }
        let name = directory
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(EncoderConfig {
            name: name.unwrap_or_default(),
            layers: self.num_hidden_layers,
            width: self.hidden_size,
            hidden: self.intermediate_size,
            heads: self.num_attention_heads,
            vocabulary: self.vocab_size,
            positions: self.max_position_embeddings,
            token_types: self.type_vocab_size,
            norm_epsilon: self.layer_norm_eps,
            tokens_max,
            pooling: readout.pooling,
            normalised: readout.normalised,
        })
    }
}

/// The token limit of sentence_bert_config.json, where there is one.
fn token_limit(path: &Path) -> Result<Option<usize>, ModelError> {
    let path = path.join("sentence_bert_config.json");
    if !path.exists() {
        return Ok(None);
    }
    let json: SentenceJson = read_json(&path)?;
    match json.do_lower_case {
        true => unsupported(&path, "lower case ahead of the tokenizer".into()),
        false => Ok(json.max_seq_length),
    }
}

/// What modules.json says of pooling and scaling; the mean as it is where there is no such file.
fn readout(path: &Path) -> Result<Readout, ModelError> {
    let mut readout = Readout {
        pooling: Pooling::Mean,
        normalised: false,
    };
    let modules_path = path.join("modules.json");
    if !modules_path.exists() {
        return Ok(readout);
    }
    check_prompts(path)?;
    let modules: Vec<Module> = read_json(&modules_path)?;
    let kinds = modules
        .iter()
        .map(|module| module.kind.rsplit('.').next().unwrap_or_default());
    let (transformer, pooling) = match kinds.collect::<Vec<_>>().as_slice() {
        ["Transformer", "Pooling"] => (&modules[0], &modules[1]),
        ["Transformer", "Pooling", "Normalize"] => {
            readout.normalised = true;
            (&modules[0], &modules[1])
        }
        other => return unsupported(&modules_path, format!("the modules {}", other.join(", "))),
    };
    if !transformer.path.is_empty() {
        let what = format!("a transformer in {:?}", transformer.path);
        return unsupported(&modules_path, what);
    }
    // A path is a folder of this directory, never a way out of it.
    let is_plain = Path::new(&pooling.path)
        .file_name()
        .is_some_and(|plain| plain == pooling.path.as_str());
    if !is_plain {
        let what = format!("{:?} is no plain folder name", pooling.path);
        return Err(malformed(&modules_path, what));
    }
    readout.pooling = read_pooling(&path.join(&pooling.path).join("config.json"))?;
    Ok(readout)
}

/// The one mode that a pooling module's config.json sets.
fn read_pooling(path: &Path) -> Result<Pooling, ModelError> {
    let json: serde_json::Map<String, serde_json::Value> = read_json(path)?;
    let modes = json
        .iter()
        .filter(|(key, value)| key.starts_with("pooling_mode_") && **value == true);
    let modes: Vec<&str> = modes.map(|(key, _)| key.as_str()).collect();
    match modes.as_slice() {
        ["pooling_mode_mean_tokens"] => Ok(Pooling::Mean),
        ["pooling_mode_cls_token"] => Ok(Pooling::First),
        other => unsupported(path, format!("pooling by {}", other.join(" and "))),
    }
}

/// Fails when sentence-transformers would put a prompt before every text.
fn check_prompts(path: &Path) -> Result<(), ModelError> {
    let path = path.join("config_sentence_transformers.json");
    if !path.exists() {
        return Ok(());
    }
    let json: PromptsJson = read_json(&path)?;
    match json.default_prompt_name {
        Some(name) => unsupported(&path, format!("the default prompt {name}")),
        None => Ok(()),
    }
}

fn unsupported<T>(path: &Path, what: String) -> Result<T, ModelError> {
    Err(ModelError::Unsupported {
        path: path.into(),
        what,
    })
}
