//! Hugging Face directories: config.json, tokenizer.json and safetensors, in one file or sharded.
//!
//! Headers are parsed by the `safetensors` crate; offsets are checked here against the length of
//! each file, and tensors are read one at a time, so a model larger than memory fails before
//! anything is allocated.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use super::{LayerPart, Part, Source, check_all_used, check_shape, without_backtrace};
use crate::{Config, ModelError, Tokenizer};

/// Longest JSON file or safetensors header read; tokenizer.json of 250,000 tokens takes 35 MB.
const JSON_BYTES_MAX: u64 = 128 << 20;
/// Most shards of one model.
const SHARDS_MAX: usize = 1024;

/// An opened Hugging Face directory.
pub(crate) struct HuggingFace {
    path: PathBuf,
    config: Config,
    begin: Option<usize>,
    shards: Vec<Shard>,
    places: HashMap<String, usize>,
}

/// One safetensors file.
struct Shard {
    path: PathBuf,
    file: File,
    header: Metadata,
    data_offset: u64,
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

/// model.safetensors.index.json: which shard holds which tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
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
        let shards = open_shards(path)?;
        let mut places = HashMap::new();
        for (place, shard) in shards.iter().enumerate() {
            places.extend(shard.header.tensors().into_keys().map(|name| (name, place)));
        }
        let model = HuggingFace {
            path: path.into(),
            config,
            begin,
            shards,
            places,
        };
        model.check_tensors()?;
        Ok(model)
    }

    /// Fails unless the shards hold exactly the decoder's tensors, each of its shape.
    fn check_tensors(&self) -> Result<(), ModelError> {
        let mut used = HashSet::new();
        for part in Part::all(&self.config) {
            let name = name(part);
            let (shard, info) = self.info(&name)?;
            check_shape(&shard.path, &name, &info.shape, &part.shape(&self.config))?;
            if dtype(info.dtype).is_none() {
                let what = format!("the tensor {name} of type {:?}", info.dtype);
                return Err(ModelError::Unsupported {
                    path: shard.path.clone(),
                    what,
                });
            }
            used.insert(name);
        }
        // Frequencies are computed, and a tied head is the embedding again.
        let redundant = |name: &&str| {
            name.ends_with("rotary_emb.inv_freq")
                || (self.config.tied && **name == *self::name(Part::Head))
        };
        let names = self
            .places
            .keys()
            .map(String::as_str)
            .filter(|name| !redundant(name));
        check_all_used(&self.path, names, &used)
    }

    fn info(&self, name: &str) -> Result<(&Shard, &TensorInfo), ModelError> {
        let found = self.places.get(name).map(|place| &self.shards[*place]);
        found
            .and_then(|shard| Some((shard, shard.header.info(name)?)))
            .ok_or_else(|| ModelError::Missing {
                path: self.path.clone(),
                key: format!("the tensor {name}"),
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
        let (shard, info) = self.info(&name(part))?;
        let (start, end) = info.data_offsets;
        let io = |source| ModelError::Io {
            path: shard.path.clone(),
            source,
        };
        let mut bytes = vec![0; end - start];
        let mut file = &shard.file;
        file.seek(SeekFrom::Start(shard.data_offset + start as u64))
            .map_err(io)?;
        file.read_exact(&mut bytes).map_err(io)?;
        let dtype = dtype(info.dtype).expect("check_tensors has let no other type pass");
        Tensor::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1())
            .map_err(|e| malformed(&shard.path, without_backtrace(e)))
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

/// The safetensors files of a directory: those of the index, or model.safetensors alone.
fn open_shards(path: &Path) -> Result<Vec<Shard>, ModelError> {
    let index_path = path.join("model.safetensors.index.json");
    if !index_path.exists() {
        return Ok(vec![Shard::open(&path.join("model.safetensors"))?]);
    }
    let index: Index = read_json(&index_path)?;
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    if names.len() > SHARDS_MAX {
        return Err(malformed(
            &index_path,
            format!("{} shards, more than {SHARDS_MAX}", names.len()),
        ));
    }
    let open = |name: &&String| {
        // A name is a file of this directory, never a way out of it.
        let is_plain = Path::new(name)
            .file_name()
            .is_some_and(|plain| plain == name.as_str());
        match is_plain {
            true => Shard::open(&path.join(name)),
            false => Err(malformed(
                &index_path,
                format!("{name:?} is no plain file name"),
            )),
        }
    };
    names.iter().map(open).collect()
}

impl Shard {
    /// Opens a safetensors file and checks that each tensor lies inside it.
    fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io {
            path: path.into(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length > JSON_BYTES_MAX.min(file_bytes - 8) {
            return Err(malformed(path, format!("a header of {length} bytes")));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(io)?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| malformed(path, e))?;
        let shard = Shard {
            path: path.into(),
            file,
            header,
            data_offset: 8 + length,
        };
        for (name, info) in shard.header.tensors() {
            shard.check_place(&name, info, file_bytes)?;
        }
        Ok(shard)
    }

    /// Fails unless a tensor's bytes are as many as its shape needs, and inside the file.
    fn check_place(
        &self,
        name: &str,
        info: &TensorInfo,
        file_bytes: u64,
    ) -> Result<(), ModelError> {
        let (start, end) = info.data_offsets;
        let values = info
            .shape
            .iter()
            .try_fold(1usize, |product, n| product.checked_mul(*n));
        let needed = values.and_then(|values| values.checked_mul(info.dtype.bitsize()));
        let held = end
            .checked_sub(start)
            .and_then(|bytes| bytes.checked_mul(8));
        if needed.is_none() || needed != held {
            return Err(malformed(
                &self.path,
                format!("the tensor {name} has a wrong size"),
            ));
        }
        if end as u64 > file_bytes - self.data_offset {
            let what = format!("the tensor {name} goes past the file's {file_bytes} bytes");
            return Err(malformed(&self.path, what));
        }
        Ok(())
    }
}

/// candle's name of a supported element type.
fn dtype(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
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

fn malformed(path: &Path, what: impl ToString) -> ModelError {
    ModelError::Malformed {
        path: path.into(),
        what: what.to_string(),
    }
}

fn read_limited(path: &Path) -> Result<Vec<u8>, ModelError> {
    let io = |source| ModelError::Io {
        path: path.into(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(JSON_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > JSON_BYTES_MAX {
        return Err(malformed(
            path,
            format!("it is longer than {JSON_BYTES_MAX} bytes"),
        ));
    }
    Ok(bytes)
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, ModelError> {
    serde_json::from_slice(&read_limited(path)?).map_err(|e| malformed(path, e))
}
