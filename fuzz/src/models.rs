//! Model files: GGUF, safetensors, configurations and tokenizers, of models small enough that
//! whatever passes the checks can be loaded and run.

use std::fs;
use std::path::Path;

use kernels::{Batch, LoadOptions, load, load_encoder};
use serde_json::{Value, json};

use crate::Target;
use crate::gguf_name::gguf_name;
use crate::scratch::{directory, with_file};

pub const TARGETS: &[Target] = &[
    Target {
        name: "gguf",
        seeds: || vec![gguf()],
        run: |bytes| with_file("tiny.gguf", bytes, run_model),
    },
    Target {
        name: "safetensors",
        seeds: || vec![safetensors(&decoder_tensors())],
        run: |bytes| with_decoder("model.safetensors", bytes),
    },
    Target {
        name: "model-config",
        seeds: || vec![decoder_config().to_string().into()],
        run: |bytes| with_decoder("config.json", bytes),
    },
    Target {
        name: "tokenizer",
        seeds: || vec![bpe().to_string().into(), word_piece().to_string().into()],
        run: tokenizers,
    },
    Target {
        name: "encoder-config",
        seeds: || vec![encoder_config().to_string().into()],
        run: |bytes| with_encoder("config.json", bytes),
    },
    Target {
        name: "pooling",
        seeds: || {
            vec![br#"{"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true}"#.to_vec()]
        },
        run: |bytes| with_encoder("1_Pooling/config.json", bytes),
    },
];

const WIDTH: usize = 8;
const HIDDEN: usize = 12;
const HEADS: usize = 2;
/// Tokens of the decoder's vocabulary.
const TOKENS: [&str; 4] = ["<|endoftext|>", "a", "b", "ab"];
/// What a model may take. A seed takes a few KiB.
const WEIGHT_BYTES_MAX: u64 = 1 << 20;

fn options() -> LoadOptions {
    LoadOptions {
        threads: 1,
        weight_bytes_max: WEIGHT_BYTES_MAX,
        document_tokens_max: 16,
        ..LoadOptions::default()
    }
}

/// Loads a language model, and scores a text if it loads.
fn run_model(path: &Path) {
    let Ok(mut loaded) = load(path, &options()) else {
        return;
    };
    if let Ok(encoded) = loaded.tokenizer.encode("ab ba", 16) {
        let batch: Batch = [encoded.ids.as_slice()].into_iter().collect();
        let _ = loaded.model.score(&batch);
    }
}

/// Loads an encoder, and embeds a text if it loads.
fn run_encoder(path: &Path) {
    let Ok(mut loaded) = load_encoder(path, &options()) else {
        return;
    };
    if let Ok(encoded) = loaded.tokenizer.encode("ab ba") {
        let batch: Batch = [encoded.ids.as_slice()].into_iter().collect();
        let _ = loaded.encoder.embed(&batch);
    }
}

/// Loads a sound language model with one file replaced.
fn with_decoder(file: &str, bytes: &[u8]) {
    let weights = safetensors(&decoder_tensors());
    let sound = [
        ("config.json", decoder_config().to_string().into_bytes()),
        ("tokenizer.json", bpe().to_string().into_bytes()),
        ("model.safetensors", weights),
    ];
    in_directory("decoder", &sound, file, bytes, run_model);
}

/// Loads a sound encoder with one file replaced.
fn with_encoder(file: &str, bytes: &[u8]) {
    let modules = json!([{ "path": "", "type": "sentence_transformers.models.Transformer" },
                         { "path": "1_Pooling", "type": "sentence_transformers.models.Pooling" }]);
    let sound = [
        ("config.json", encoder_config().to_string().into_bytes()),
        ("tokenizer.json", word_piece().to_string().into_bytes()),
        ("modules.json", modules.to_string().into_bytes()),
        (
            "1_Pooling/config.json",
            br#"{"pooling_mode_mean_tokens": true}"#.to_vec(),
        ),
        ("model.safetensors", safetensors(&encoder_tensors())),
    ];
    in_directory("encoder", &sound, file, bytes, run_encoder);
}

fn tokenizers(bytes: &[u8]) {
    with_decoder("tokenizer.json", bytes);
    with_encoder("tokenizer.json", bytes);
}

fn in_directory(name: &str, sound: &[(&str, Vec<u8>)], file: &str, bytes: &[u8], run: fn(&Path)) {
    for (other, sound) in sound {
        let bytes = if *other == file { bytes } else { sound };
        with_file(&format!("{name}/{other}"), bytes, |_| {});
    }
    run(&directory().join(name));
    // A target that replaces a file must not leave it to the next one.
    let _ = fs::remove_file(directory().join(name).join(file));
}

/// Tensors by name: shapes, rows first.
type Shapes = Vec<(String, Vec<usize>)>;

fn decoder_tensors() -> Shapes {
    let mut shapes = vec![
        (
            "model.embed_tokens.weight".to_owned(),
            vec![TOKENS.len(), WIDTH],
        ),
        ("model.norm.weight".to_owned(), vec![WIDTH]),
    ];
    let layer = [
        ("input_layernorm", vec![WIDTH]),
        ("self_attn.q_proj", vec![WIDTH, WIDTH]),
        ("self_attn.k_proj", vec![WIDTH / HEADS, WIDTH]),
        ("self_attn.v_proj", vec![WIDTH / HEADS, WIDTH]),
        ("self_attn.o_proj", vec![WIDTH, WIDTH]),
        ("post_attention_layernorm", vec![WIDTH]),
        ("mlp.gate_proj", vec![HIDDEN, WIDTH]),
        ("mlp.up_proj", vec![HIDDEN, WIDTH]),
        ("mlp.down_proj", vec![WIDTH, HIDDEN]),
    ];
    shapes.extend(layer.map(|(name, shape)| (format!("model.layers.0.{name}.weight"), shape)));
    shapes
}

fn encoder_tensors() -> Shapes {
    let mut shapes = Shapes::new();
    let mut add = |name: String, shape: &[usize]| shapes.push((name, shape.to_vec()));
    for (table, rows) in [("word", 3), ("position", 16), ("token_type", 2)] {
        add(
            format!("embeddings.{table}_embeddings.weight"),
            &[rows, WIDTH],
        );
    }
    let layer = [
        ("embeddings.LayerNorm", &[WIDTH][..]),
        ("encoder.layer.0.attention.self.query", &[WIDTH, WIDTH]),
        ("encoder.layer.0.attention.self.key", &[WIDTH, WIDTH]),
        ("encoder.layer.0.attention.self.value", &[WIDTH, WIDTH]),
        ("encoder.layer.0.attention.output.dense", &[WIDTH, WIDTH]),
        ("encoder.layer.0.attention.output.LayerNorm", &[WIDTH]),
        ("encoder.layer.0.intermediate.dense", &[HIDDEN, WIDTH]),
        ("encoder.layer.0.output.dense", &[WIDTH, HIDDEN]),
        ("encoder.layer.0.output.LayerNorm", &[WIDTH]),
    ];
    for (name, shape) in layer {
        add(format!("{name}.weight"), shape);
        add(format!("{name}.bias"), &shape[..1]);
    }
    shapes
}

fn decoder_config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "num_hidden_layers": 1, "hidden_size": WIDTH, "intermediate_size": HIDDEN,
        "num_attention_heads": HEADS, "num_key_value_heads": 1, "vocab_size": TOKENS.len(),
        "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
        "rope_scaling": null, "tie_word_embeddings": true, "bos_token_id": 0,
    })
}

fn encoder_config() -> Value {
    json!({
        "model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": 1, "hidden_size": WIDTH,
        "intermediate_size": HIDDEN, "num_attention_heads": HEADS, "vocab_size": 3,
        "max_position_embeddings": 16, "type_vocab_size": 2, "layer_norm_eps": 1e-6,
    })
}

fn bpe() -> Value {
    let ids = TOKENS
        .iter()
        .zip(0..)
        .map(|(token, id)| ((*token).to_owned(), json!(id)));
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{ "id": 0, "content": TOKENS[0], "special": true, "single_word": false,
                           "lstrip": false, "rstrip": false, "normalized": false }],
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Digits", "individual_digits": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        ] },
        "post_processor": null, "decoder": null,
        "model": { "type": "BPE", "dropout": null, "unk_token": "a", "fuse_unk": false,
                   "byte_fallback": false, "ignore_merges": false,
                   "continuing_subword_prefix": null, "end_of_word_suffix": null,
                   "vocab": Value::Object(ids.collect()), "merges": ["a b"] },
    })
}

fn word_piece() -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [], "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": null, "decoder": null,
        "model": { "type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": { "u": 0, "a": 1, "##a": 2 } },
    })
}

/// A safetensors file of ones.
fn safetensors(shapes: &Shapes) -> Vec<u8> {
    let mut end = 0;
    let mut header = serde_json::Map::new();
    for (name, shape) in shapes {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        let info = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), info);
    }
    let header = Value::Object(header).to_string().into_bytes();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(1f32.to_le_bytes().repeat(end / 4));
    bytes
}

/// The decoder as a GGUF file of version 3.
fn gguf() -> Vec<u8> {
    let tensors = decoder_tensors();
    let metadata = gguf_metadata();
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        put_text(&mut bytes, key);
        bytes.extend(value);
    }
    let mut values = 0usize;
    for (name, shape) in &tensors {
        put_text(&mut bytes, &gguf_name(name));
        bytes.extend((shape.len() as u32).to_le_bytes());
        for size in shape.iter().rev() {
            bytes.extend((*size as u64).to_le_bytes());
        }
        // Of type F32, where it begins behind the header; each begins at a multiple of 32 bytes.
        bytes.extend(0u32.to_le_bytes());
        bytes.extend((4 * values as u64).to_le_bytes());
        values += shape.iter().product::<usize>().next_multiple_of(8);
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes.extend(1f32.to_le_bytes().repeat(values));
    bytes
}

/// Keys, and values with their types before them.
fn gguf_metadata() -> Vec<(&'static str, Vec<u8>)> {
    const U32: u32 = 4;
    const F32: u32 = 6;
    const TEXT: u32 = 8;
    const LIST: u32 = 9;
    let number = |value: usize| [U32.to_le_bytes(), (value as u32).to_le_bytes()].concat();
    let float = |value: f32| [F32.to_le_bytes(), value.to_le_bytes()].concat();
    let text = |text: &str| {
        let mut bytes = TEXT.to_le_bytes().to_vec();
        put_text(&mut bytes, text);
        bytes
    };
    let list = |texts: &[&str]| {
        let mut bytes = [LIST.to_le_bytes(), TEXT.to_le_bytes()].concat();
        bytes.extend((texts.len() as u64).to_le_bytes());
        texts.iter().for_each(|text| put_text(&mut bytes, text));
        bytes
    };
    vec![
        ("general.architecture", text("llama")),
        ("general.name", text("tiny")),
        ("llama.block_count", number(1)),
        ("llama.context_length", number(32)),
        ("llama.embedding_length", number(WIDTH)),
        ("llama.feed_forward_length", number(HIDDEN)),
        ("llama.attention.head_count", number(HEADS)),
        ("llama.attention.head_count_kv", number(1)),
        ("llama.attention.layer_norm_rms_epsilon", float(1e-5)),
        ("llama.rope.freq_base", float(10_000.0)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("smollm")),
        ("tokenizer.ggml.tokens", list(&TOKENS)),
        ("tokenizer.ggml.merges", list(&["a b"])),
        ("tokenizer.ggml.bos_token_id", number(0)),
    ]
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed that is refused at its first field would leave all behind it untried.
    #[test]
    fn seeds_load_and_run() {
        with_file("sound.gguf", &gguf(), |path| {
            let mut loaded = load(path, &options()).unwrap_or_else(|error| panic!("{error}"));
            let ids = loaded
                .tokenizer
                .encode("ab", 16)
                .expect("its own letters")
                .ids;
            let batch: Batch = [ids.as_slice()].into_iter().collect();
            assert!(loaded.model.score(&batch).is_ok());
        });
        for (name, is_decoder) in [("decoder", true), ("encoder", false)] {
            let path = directory().join(name);
            match is_decoder {
                true => {
                    with_decoder("none", b"");
                    assert!(load(&path, &options()).map_err(|e| panic!("{e}")).is_ok());
                }
                false => {
                    with_encoder("none", b"");
                    assert!(
                        load_encoder(&path, &options())
                            .map_err(|e| panic!("{e}"))
                            .is_ok()
                    );
                }
            }
        }
    }
}
