//! Broken, hostile and unsupported model files give an error that names the fault, never a panic.

use std::fs;
use std::path::Path;

use crate::model::Tiny;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value;
use candle_core::{DType, Device, Tensor};
use riffle_kernels::{LoadOptions, ModelError, load};

fn fault(path: &Path) -> ModelError {
    match load(
        path,
        &LoadOptions {
            threads: 1,
            ..LoadOptions::default()
        },
    ) {
        Ok(_) => panic!("{} loads", path.display()),
        Err(error) => error,
    }
}

fn assert_says(path: &Path, expected: &str) {
    let message = fault(path).to_string();
    assert!(message.contains(expected), "{message:?} lacks {expected:?}");
}

/// Sets a value of a GGUF header, or adds it.
fn set(metadata: &mut Vec<(&'static str, Value)>, key: &'static str, value: Value) {
    metadata.retain(|(old, _)| *old != key);
    metadata.push((key, value));
}

#[test]
fn fault_a_path_without_a_model() {
    let directory = tempfile::tempdir().unwrap();
    assert_says(&directory.path().join("absent.gguf"), "cannot read");
    assert_says(directory.path(), "neither a GGUF file nor a directory");
    fs::write(directory.path().join("notes.txt"), "no model").unwrap();
    assert_says(
        &directory.path().join("notes.txt"),
        "neither a GGUF file nor a directory",
    );
}

#[test]
fn fault_gguf_values_outside_their_limits() {
    let text = |text: &str| Value::String(text.into());
    let cases: [(&'static str, Value, &str); 12] = [
        (
            "general.architecture",
            text("gpt2"),
            "the architecture gpt2 is not supported",
        ),
        (
            "general.architecture",
            Value::U32(3),
            "general.architecture is not a string",
        ),
        (
            "llama.block_count",
            Value::U32(0),
            "number of layers is 0, outside 1..=1024",
        ),
        (
            "llama.block_count",
            Value::U32(u32::MAX),
            "number of layers is 4294967295",
        ),
        (
            "llama.embedding_length",
            Value::U64(1 << 60),
            "embedding width is 1152921504606846976",
        ),
        (
            "llama.attention.head_count",
            Value::U32(0),
            "number of heads is 0",
        ),
        (
            "llama.attention.head_count_kv",
            Value::U32(3),
            "4 heads over 3 key/value heads",
        ),
        (
            "llama.attention.layer_norm_rms_epsilon",
            Value::F32(f32::NAN),
            "norm epsilon NaN",
        ),
        (
            "llama.feed_forward_length",
            Value::U32(300),
            "has shape [512, 256], but",
        ),
        (
            "llama.rope.scaling.type",
            text("yarn"),
            "rotary scaling of type yarn",
        ),
        (
            "tokenizer.ggml.pre",
            text("tekken"),
            "the pre-tokenizer tekken",
        ),
        ("general.alignment", Value::U32(0), "its alignment is 0"),
    ];
    for (key, value, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        let tiny = Tiny::new(true, DType::F32);
        let change = |metadata: &mut Vec<_>| set(metadata, key, value);
        assert_says(
            &tiny.write_gguf(directory.path(), GgmlDType::F32, change),
            expected,
        );
    }
}

/// Found by `make fuzz`: such a token was looked up behind the end of the embedding.
#[test]
fn fault_a_document_separator_that_the_embedding_does_not_have() {
    let directory = tempfile::tempdir().unwrap();
    let tiny = Tiny::new(true, DType::F32);
    let expected = format!(
        "knows 4261412865 tokens, its embedding {}",
        tiny.tokens.len()
    );
    let path = tiny.write_gguf(directory.path(), GgmlDType::F32, |metadata| {
        let tokens = tiny.tokens.iter().map(|token| match token.as_str() {
            "<|endoftext|>" => "<|other|>".to_owned(),
            token => token.to_owned(),
        });
        let tokens = tokens.map(Value::String).collect();
        set(metadata, "tokenizer.ggml.tokens", Value::Array(tokens));
        set(
            metadata,
            "tokenizer.ggml.bos_token_id",
            Value::U32(0xfe00_0000),
        );
    });
    assert_says(&path, &expected);
}

#[test]
fn fault_gguf_without_a_needed_value() {
    for key in [
        "llama.context_length",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = Tiny::new(true, DType::F32).write_gguf(directory.path(), GgmlDType::F32, |m| {
            m.retain(|(old, _)| *old != key);
        });
        assert_says(&path, &format!("does not say {key}"));
    }
}

#[test]
fn fault_tensors_that_are_missing_or_would_be_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let mut tiny = Tiny::new(true, DType::F32);
    let bias = Tensor::zeros(256, DType::F32, &Device::Cpu).unwrap();
    tiny.tensors
        .insert("model.layers.0.self_attn.q_proj.bias".into(), bias);
    assert_says(
        &tiny.write_gguf(directory.path(), GgmlDType::F32, |_| ()),
        "the tensor blk.0.attn_q.bias is not supported",
    );
    tiny.write_directory(directory.path(), DType::F32, 1);
    assert_says(
        directory.path(),
        "the tensor model.layers.0.self_attn.q_proj.bias",
    );

    tiny.tensors.remove("model.layers.0.self_attn.q_proj.bias");
    tiny.tensors.remove("model.layers.1.mlp.up_proj.weight");
    let gguf = tiny.write_gguf(directory.path(), GgmlDType::F32, |_| ());
    assert_says(&gguf, "does not say the tensor blk.1.ffn_up.weight");
    tiny.write_directory(directory.path(), DType::F32, 1);
    assert_says(
        directory.path(),
        "does not say the tensor model.layers.1.mlp.up_proj.weight",
    );
}

#[test]
fn fault_a_model_over_the_memory_limit_is_refused_before_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let tiny = Tiny::new(true, DType::F32);
    let path = tiny.write_gguf(directory.path(), GgmlDType::F32, |_| ());
    let options = LoadOptions {
        weight_bytes_max: 1_000_000,
        ..LoadOptions::default()
    };
    let Err(ModelError::Memory {
        needed_bytes,
        limit_bytes: 1_000_000,
        ..
    }) = load(&path, &options)
    else {
        panic!("a model over the limit loads");
    };
    assert_eq!(
        needed_bytes,
        4 * (260 * 256 + 256 + 2 * (512 + 3 * 512 * 256 + 3 * 65536))
    );
}

#[test]
fn fault_every_truncation_of_a_gguf_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = Tiny::new(true, DType::F32).write_gguf(directory.path(), GgmlDType::F32, |_| ());
    let whole = fs::read(&path).unwrap();
    let header = whole
        .windows(16)
        .position(|w| w == b"tokenizer.ggml.p")
        .unwrap();
    let lengths = (0..header)
        .step_by(37)
        .chain([whole.len() / 2, whole.len() - 1]);
    for length in lengths {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(
            matches!(fault(&path), ModelError::Malformed { .. }),
            "{length} bytes"
        );
    }
}

#[test]
fn fault_gguf_headers_with_any_byte_changed_never_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = Tiny::new(true, DType::F32).write_gguf(directory.path(), GgmlDType::F32, |_| ());
    let whole = fs::read(&path).unwrap();
    // Sizes, types, dimensions and offsets of the first tensors lie in the header's last part.
    let infos = whole
        .windows(10)
        .position(|w| w == b"token_embd")
        .unwrap_or(0);
    let first_infos = whole
        .windows(4)
        .position(|w| w == b"blk.")
        .unwrap_or(infos)
        .min(infos);
    for at in (0..400).chain(first_infos..first_infos + 400).step_by(3) {
        for byte in [0x00, 0x7f, 0xff] {
            let mut broken = whole.clone();
            broken[at] = byte;
            fs::write(&path, &broken).unwrap();
            // Some changes are harmless (a letter of the model's name); none may panic.
            let _ = load(
                &path,
                &LoadOptions {
                    threads: 1,
                    ..LoadOptions::default()
                },
            );
        }
    }
}

#[test]
fn fault_config_json_outside_its_limits() {
    let tiny = Tiny::new(true, DType::F32);
    let cases = [
        (
            "model_type",
            serde_json::json!("gpt2"),
            "the architecture gpt2 is not supported",
        ),
        (
            "num_hidden_layers",
            serde_json::json!(5000),
            "number of layers is 5000",
        ),
        (
            "num_hidden_layers",
            serde_json::json!(-1),
            "damaged or not in its format",
        ),
        (
            "hidden_act",
            serde_json::json!("gelu"),
            "the activation gelu",
        ),
        (
            "attention_bias",
            serde_json::json!(true),
            "a bias in attention",
        ),
        (
            "rope_scaling",
            serde_json::json!({"rope_type": "llama3"}),
            "rotary scaling of type llama3",
        ),
        (
            "vocab_size",
            serde_json::json!(259),
            "has shape [260, 256], but",
        ),
    ];
    for (key, value, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        tiny.write_directory(directory.path(), DType::F32, 1);
        let mut config = tiny.config();
        config[key] = value;
        fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
        assert_says(directory.path(), expected);
    }
}

#[test]
fn fault_safetensors_that_do_not_hold_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let tiny = Tiny::new(true, DType::F32);
    tiny.write_directory(directory.path(), DType::F32, 1);
    let path = directory.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in [0, 7] {
        fs::write(&path, &whole[..length]).unwrap();
        assert_says(directory.path(), "cannot read");
    }
    for length in [8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(
            matches!(fault(directory.path()), ModelError::Malformed { .. }),
            "{length} bytes"
        );
    }
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&path, &huge).unwrap();
    assert_says(directory.path(), "a header of 18446744073709551615 bytes");

    let cases = [
        (
            r#"{"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,0]}}"#,
            "overflow",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}}"#,
            "damaged",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#,
            "the tensor a goes past",
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}"#,
            "damaged",
        ),
    ];
    for (header, expected) in cases {
        let mut lying = (header.len() as u64).to_le_bytes().to_vec();
        lying.extend(header.as_bytes());
        fs::write(&path, &lying).unwrap();
        assert_says(directory.path(), expected);
    }
}

#[test]
fn fault_a_tokenizer_cut_off_or_with_a_decoder_of_nonsense() {
    let directory = tempfile::tempdir().unwrap();
    Tiny::new(true, DType::F32).write_directory(directory.path(), DType::F32, 1);
    let path = directory.path().join("tokenizer.json");
    let sound = fs::read_to_string(&path).unwrap();
    // Nobody decodes: what stands there does not matter, and must not end the process.
    let decoder =
        |value: &str| sound.replace(r#""decoder":null"#, &format!(r#""decoder":{value}"#));
    for nonsense in ["[[1]]", r#"{"type":"ByteLevel","trim":1e999}"#] {
        assert_ne!(decoder(nonsense), sound);
        fs::write(&path, decoder(nonsense)).unwrap();
        assert!(
            load(directory.path(), &LoadOptions::default()).is_ok(),
            "{nonsense}"
        );
    }
    let whole = decoder(r#"{"type":"ByteLevel"}"#);
    let at = whole.find("ByteLevel\"}").unwrap();
    for cut in [&whole[..at], &whole[..whole.len() - 1], "", "null"] {
        fs::write(&path, cut).unwrap();
        assert!(
            matches!(fault(directory.path()), ModelError::Malformed { .. }),
            "{cut}"
        );
    }
}

#[test]
fn fault_a_shard_outside_the_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Tiny::new(true, DType::F32).write_directory(directory.path(), DType::F32, 2);
    let index = r#"{"weight_map": {"a": "../elsewhere.safetensors"}}"#;
    fs::write(directory.path().join("model.safetensors.index.json"), index).unwrap();
    assert_says(directory.path(), "is no plain file name");
}
