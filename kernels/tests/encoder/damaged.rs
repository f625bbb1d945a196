//! Broken and unsupported encoder directories give an error that names the fault, never a panic.

use std::fs;
use std::path::Path;

use riffle_kernels::{LoadOptions, LoadedEncoder, ModelError, Pooling, load_encoder};
use serde_json::{Value, json};

/// Puts the real model's files into an empty directory: copies, and a link to the weights.
pub fn copy(to: &Path) {
    let from = crate::model::path().canonicalize().unwrap();
    fs::create_dir(to.join("1_Pooling")).unwrap();
    for file in [
        "config.json",
        "modules.json",
        "tokenizer.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
    ] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let weights = "model.safetensors";
    std::os::unix::fs::symlink(from.join(weights), to.join(weights)).unwrap();
}

/// Loads the real model with one of its JSON files changed.
fn load_changed(file: &str, change: impl FnOnce(&mut Value)) -> Result<LoadedEncoder, ModelError> {
    let directory = tempfile::tempdir().unwrap();
    copy(directory.path());
    let path = directory.path().join(file);
    let mut json: Value = match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json).unwrap(),
        Err(_) => json!({}),
    };
    change(&mut json);
    fs::write(&path, json.to_string()).unwrap();
    load_encoder(directory.path(), &LoadOptions::default())
}

fn assert_fault(loaded: Result<LoadedEncoder, ModelError>, expected: &str) {
    match loaded {
        Ok(_) => panic!("a model loads that should fail with {expected:?}"),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
    }
}

#[test]
fn fault_a_configuration_that_is_not_supported() {
    let cases: [(&str, &str, Value, &str); 15] = [
        (
            "config.json",
            "model_type",
            json!("roberta"),
            "the architecture roberta",
        ),
        (
            "config.json",
            "hidden_act",
            json!("gelu_new"),
            "the activation gelu_new",
        ),
        (
            "config.json",
            "position_embedding_type",
            json!("relative_key"),
            "position embedding of type relative_key",
        ),
        (
            "config.json",
            "is_decoder",
            json!(true),
            "used as a decoder",
        ),
        (
            "config.json",
            "num_hidden_layers",
            json!(0),
            "number of layers is 0",
        ),
        (
            "config.json",
            "num_attention_heads",
            json!(7),
            "384 channels over 7 heads",
        ),
        (
            "config.json",
            "num_hidden_layers",
            json!(7),
            "does not say the tensor encoder.layer.6",
        ),
        (
            "config.json",
            "num_hidden_layers",
            json!(5),
            "the tensor encoder.layer.5",
        ),
        (
            "config.json",
            "intermediate_size",
            json!(1024),
            "has shape [1536, 384]",
        ),
        (
            "config.json",
            "vocab_size",
            json!(1u64 << 40),
            "vocabulary is 1099511627776",
        ),
        (
            "sentence_bert_config.json",
            "max_seq_length",
            json!(513),
            "token limit is 513",
        ),
        (
            "sentence_bert_config.json",
            "max_seq_length",
            json!(1),
            "special tokens around a text",
        ),
        (
            "sentence_bert_config.json",
            "do_lower_case",
            json!(true),
            "lower case ahead",
        ),
        (
            "1_Pooling/config.json",
            "pooling_mode_cls_token",
            json!(true),
            "pooling by pooling_mode_cls_token and pooling_mode_mean_tokens",
        ),
        (
            "config_sentence_transformers.json",
            "default_prompt_name",
            json!("query"),
            "the default prompt query",
        ),
    ];
    for (file, key, value, expected) in cases {
        assert_fault(load_changed(file, |json| json[key] = value), expected);
    }
}

#[test]
fn fault_modules_that_are_not_supported() {
    let module = |path: &str, kind: &str| {
        let kind = format!("sentence_transformers.models.{kind}");
        json!({ "path": path, "type": kind })
    };
    let cases = [
        (
            json!([
                module("", "Transformer"),
                module("1_Pooling", "Pooling"),
                module("2", "Dense")
            ]),
            "the modules Transformer, Pooling, Dense",
        ),
        (
            json!([module("", "Transformer")]),
            "the modules Transformer",
        ),
        (
            json!([module("", "Transformer"), module("../1_Pooling", "Pooling")]),
            "is no plain folder name",
        ),
        (
            json!([module("0", "Transformer"), module("1_Pooling", "Pooling")]),
            "a transformer in \"0\"",
        ),
    ];
    for (modules, expected) in cases {
        assert_fault(
            load_changed("modules.json", |json| *json = modules),
            expected,
        );
    }
}

#[test]
fn fault_a_path_without_an_encoder_or_too_large_a_one() {
    let directory = tempfile::tempdir().unwrap();
    let load = |path: &Path| load_encoder(path, &LoadOptions::default());
    assert_fault(load(directory.path()), "is no directory with config.json");
    let options = LoadOptions {
        weight_bytes_max: 1 << 20,
        ..LoadOptions::default()
    };
    let path = crate::model::path();
    assert_fault(load_encoder(&path, &options), "needs 90261504 bytes");
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let change = |json: &mut Value| json["model"]["vocab"]["extra"] = json!(30522);
    assert_fault(
        load_changed("tokenizer.json", change),
        "it knows 30523 tokens",
    );
}

#[test]
fn pooling_and_scaling_follow_the_configuration() {
    let change = |json: &mut Value| {
        json["pooling_mode_cls_token"] = json!(true);
        json["pooling_mode_mean_tokens"] = json!(false);
    };
    let mut first_model = load_changed("1_Pooling/config.json", change).unwrap();
    assert_eq!(first_model.config.pooling, Pooling::First);
    let change = |json: &mut Value| {
        json.as_array_mut().unwrap().pop();
    };
    let mut unscaled = load_changed("modules.json", change).unwrap();
    assert!(!unscaled.config.normalised);

    // The first row of one token is also the mean of all rows, before scaling.
    let batch = [&[101][..]].into_iter().collect();
    let first = first_model.encoder.embed(&batch).unwrap();
    let unscaled = unscaled.encoder.embed(&batch).unwrap();
    let length = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    assert!((length(first.values()) - 1.0).abs() < 1e-6);
    let scale = length(unscaled.values());
    assert!((scale - 1.0).abs() > 1e-3, "{scale}");
    for (first, unscaled) in first.values().iter().zip(unscaled.values()) {
        assert!((first - unscaled / scale).abs() < 1e-6);
    }

    // With two tokens they differ.
    let batch = [&[101, 2543][..]].into_iter().collect();
    let first = first_model.encoder.embed(&batch).unwrap();
    let mean = crate::model::load_on(1).encoder.embed(&batch).unwrap();
    assert_ne!(mean, first);
}
