//! A random decoder of two layers, written to disk in every format that the crate reads.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use serde_json::json;

use crate::gguf_name::gguf_name;

pub const WIDTH: usize = 256;
pub const HIDDEN: usize = 512;
pub const LAYERS: usize = 2;
pub const HEADS: usize = 4;
pub const KV_HEADS: usize = 2;
pub const HEAD_WIDTH: usize = 64;
pub const CONTEXT: usize = 512;

/// Weights by their Hugging Face names.
pub struct Tiny {
    pub tensors: BTreeMap<String, Tensor>,
    tied: bool,
    pub tokens: Vec<String>,
    merges: Vec<String>,
}

impl Tiny {
    /// A model with weights from a fixed sequence, rounded to a type that all formats hold exactly.
    pub fn new(tied: bool, rounded: DType) -> Self {
        let tokens = tokens();
        let mut tiny = Tiny {
            tensors: BTreeMap::new(),
            tied,
            tokens,
            merges: vec!["Ġ t".into(), "h e".into()],
        };
        let vocabulary = tiny.tokens.len();
        let kv = KV_HEADS * HEAD_WIDTH;
        tiny.add("model.embed_tokens.weight", &[vocabulary, WIDTH], rounded);
        for layer in 0..LAYERS {
            for (name, shape) in [
                ("input_layernorm", vec![WIDTH]),
                ("self_attn.q_proj", vec![HEADS * HEAD_WIDTH, WIDTH]),
                ("self_attn.k_proj", vec![kv, WIDTH]),
                ("self_attn.v_proj", vec![kv, WIDTH]),
                ("self_attn.o_proj", vec![WIDTH, HEADS * HEAD_WIDTH]),
                ("post_attention_layernorm", vec![WIDTH]),
                ("mlp.gate_proj", vec![HIDDEN, WIDTH]),
                ("mlp.up_proj", vec![HIDDEN, WIDTH]),
                ("mlp.down_proj", vec![WIDTH, HIDDEN]),
            ] {
                tiny.add(
                    &format!("model.layers.{layer}.{name}.weight"),
                    &shape,
                    rounded,
                );
            }
        }
        tiny.add("model.norm.weight", &[WIDTH], rounded);
        if !tied {
            tiny.add("lm_head.weight", &[vocabulary, WIDTH], rounded);
        }
        tiny
    }

    fn add(&mut self, name: &str, shape: &[usize], rounded: DType) {
        let seed = name
            .bytes()
            .fold(7u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
        let mut state = seed;
        let values: Vec<f32> = (0..shape.iter().product::<usize>())
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let uniform = (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
                if shape.len() == 1 {
                    1.0 + uniform
                } else {
                    uniform * 0.3
                }
            })
            .collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        let tensor = tensor
            .to_dtype(rounded)
            .unwrap()
            .to_dtype(DType::F32)
            .unwrap();
        self.tensors.insert(name.into(), tensor);
    }

    /// Replaces each weight by what is left of it after quantisation.
    pub fn quantised(mut self, dtype: GgmlDType) -> Self {
        for tensor in self
            .tensors
            .values_mut()
            .filter(|tensor| tensor.rank() == 2)
        {
            let quantised = QTensor::quantize(tensor, dtype).unwrap();
            *tensor = quantised.dequantize(&Device::Cpu).unwrap();
        }
        self
    }

    /// Writes a GGUF file with matrices of a type, the configuration changed by `change`.
    pub fn write_gguf(
        &self,
        directory: &Path,
        dtype: GgmlDType,
        change: impl FnOnce(&mut Vec<(&'static str, Value)>),
    ) -> PathBuf {
        let tensors: Vec<(String, QTensor)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let is_turned = name.contains("q_proj.weight") || name.contains("k_proj.weight");
                let tensor = if is_turned {
                    interleaved(tensor)
                } else {
                    tensor.clone()
                };
                let dtype = if tensor.rank() == 1 {
                    GgmlDType::F32
                } else {
                    dtype
                };
                (gguf_name(name), QTensor::quantize(&tensor, dtype).unwrap())
            })
            .collect();
        let mut metadata = self.metadata();
        change(&mut metadata);
        let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, v)| (*key, v)).collect();
        let tensors: Vec<(&str, &QTensor)> = tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
            .collect();
        let path = directory.join("tiny.gguf");
        gguf_file::write(&mut File::create(&path).unwrap(), &metadata, &tensors).unwrap();
        path
    }

    fn metadata(&self) -> Vec<(&'static str, Value)> {
        let texts =
            |list: &[String]| Value::Array(list.iter().cloned().map(Value::String).collect());
        vec![
            ("general.architecture", Value::String("llama".into())),
            ("general.name", Value::String("tiny".into())),
            ("llama.block_count", Value::U32(LAYERS as u32)),
            ("llama.context_length", Value::U32(CONTEXT as u32)),
            ("llama.embedding_length", Value::U32(WIDTH as u32)),
            ("llama.feed_forward_length", Value::U32(HIDDEN as u32)),
            ("llama.attention.head_count", Value::U32(HEADS as u32)),
            ("llama.attention.head_count_kv", Value::U32(KV_HEADS as u32)),
            ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
            ("llama.rope.freq_base", Value::F32(10_000.0)),
            ("tokenizer.ggml.model", Value::String("gpt2".into())),
            ("tokenizer.ggml.pre", Value::String("smollm".into())),
            ("tokenizer.ggml.tokens", texts(&self.tokens)),
            ("tokenizer.ggml.merges", texts(&self.merges)),
            ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ]
    }

    /// Writes a Hugging Face directory with weights of a type, in a number of shards.
    pub fn write_directory(&self, directory: &Path, dtype: DType, shards: usize) {
        let config = serde_json::to_vec(&self.config()).unwrap();
        fs::write(directory.join("config.json"), config).unwrap();
        fs::write(
            directory.join("tokenizer.json"),
            self.tokenizer().to_string(),
        )
        .unwrap();
        let mut parts = vec![HashMap::new(); shards];
        let mut places = HashMap::new();
        for (number, (name, tensor)) in self.tensors.iter().enumerate() {
            let shard = number % shards;
            parts[shard].insert(name.clone(), tensor.to_dtype(dtype).unwrap());
            places.insert(name.clone(), format!("model-{shard}.safetensors"));
        }
        if let [part] = parts.as_slice() {
            candle_core::safetensors::save(part, directory.join("model.safetensors")).unwrap();
            return;
        }
        for (shard, part) in parts.iter().enumerate() {
            let path = directory.join(format!("model-{shard}.safetensors"));
            candle_core::safetensors::save(part, path).unwrap();
        }
        let index = json!({ "metadata": {}, "weight_map": places }).to_string();
        fs::write(directory.join("model.safetensors.index.json"), index).unwrap();
    }

    /// config.json of the model.
    pub fn config(&self) -> serde_json::Value {
        json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
            "num_hidden_layers": LAYERS, "hidden_size": WIDTH, "intermediate_size": HIDDEN,
            "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
            "vocab_size": self.tokens.len(), "max_position_embeddings": CONTEXT,
            "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "rope_scaling": null,
            "tie_word_embeddings": self.tied, "bos_token_id": 1, "torch_dtype": "float32",
        })
    }

    fn tokenizer(&self) -> serde_json::Value {
        let ids: BTreeMap<&str, usize> = self
            .tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.as_str(), id))
            .collect();
        let special = |id: usize| {
            json!({ "id": id, "content": self.tokens[id], "special": true, "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false })
        };
        json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
            "added_tokens": [special(0), special(1)],
            "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
                { "type": "Digits", "individual_digits": true },
                { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
            ] },
            "post_processor": null, "decoder": null,
            "model": { "type": "BPE", "dropout": null, "unk_token": null, "fuse_unk": false,
                       "byte_fallback": false, "ignore_merges": false,
                       "continuing_subword_prefix": null, "end_of_word_suffix": null,
                       "vocab": ids, "merges": self.merges },
        })
    }
}

/// Two special tokens, GPT-2's stand-ins for the 256 bytes, two merges.
fn tokens() -> Vec<String> {
    let printable = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let shown = (0..256u32).filter(printable);
    let others = (0..256u32)
        .filter(|byte| !printable(byte))
        .zip(256..)
        .map(|(_, c)| c);
    let bytes = shown
        .chain(others)
        .filter_map(char::from_u32)
        .map(String::from);
    let special = ["<|endoftext|>", "<|begin|>"].map(String::from);
    special
        .into_iter()
        .chain(bytes)
        .chain(["Ġt".into(), "he".into()])
        .collect()
}

/// Rows of each head from the half-split order to GGUF's interleaved one.
fn interleaved(tensor: &Tensor) -> Tensor {
    let heads = tensor.dim(0).unwrap() / HEAD_WIDTH;
    let split = tensor.reshape((heads, 2, HEAD_WIDTH / 2, WIDTH)).unwrap();
    split
        .transpose(1, 2)
        .unwrap()
        .contiguous()
        .unwrap()
        .reshape(tensor.shape())
        .unwrap()
}
