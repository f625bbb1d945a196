//! Random encoders as directories, for both backends to load.

use std::path::Path;

use ::safetensors::Dtype;
use ::safetensors::tensor::TensorView;
use serde_json::json;

use crate::bert::weights;
use crate::source::SentenceDirectory;
use crate::{EncoderConfig, Pooling};

/// An encoder of two layers whose every size is odd in some way.
pub(crate) fn odd() -> EncoderConfig {
    EncoderConfig {
        name: "odd".into(),
        layers: 2,
        width: 96,
        hidden: 150,
        heads: 3,
        vocabulary: 530,
        positions: 200,
        token_types: 2,
        norm_epsilon: 1e-6,
        tokens_max: 200,
        pooling: Pooling::Mean,
        normalised: true,
    }
}

/// A directory with random weights of this shape, which follow from their names alone.
///
/// `change` may spoil the values of a tensor.
pub(super) fn write(
    directory: &Path,
    config: &EncoderConfig,
    change: impl Fn(&str, &mut [f32]),
) -> SentenceDirectory {
    let tensors: Vec<(String, Vec<usize>, Vec<f32>)> = weights::all(config)
        .map(|(name, shape)| {
            let mut values = values(&name, &shape);
            change(&name, &mut values);
            (name, shape, values)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, values)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
        (name.as_str(), view.expect("the sizes agree"))
    });
    let file = directory.join("model.safetensors");
    ::safetensors::serialize_to_file(views, None, &file).expect("the file is written");
    write_configuration(directory, config);
    SentenceDirectory::open(directory).expect("the directory opens")
}

fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let mut state = name.bytes().fold(7u64, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut uniform = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    // Products keep the size of what goes in: √12 makes the deviation of `uniform` 1.
    let (middle, spread) = match shape {
        [_, columns] => (0.0, 3.5 / (*columns as f32).sqrt()),
        _ if name.ends_with("LayerNorm.weight") => (1.0, 1.0),
        _ => (0.0, 1.0),
    };
    let count = shape.iter().product();
    (0..count).map(|_| middle + spread * uniform()).collect()
}

fn write_configuration(directory: &Path, config: &EncoderConfig) {
    let shape = json!({
        "model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": config.layers,
        "hidden_size": config.width, "intermediate_size": config.hidden,
        "num_attention_heads": config.heads, "vocab_size": config.vocabulary,
        "max_position_embeddings": config.positions, "type_vocab_size": config.token_types,
        "layer_norm_eps": config.norm_epsilon,
    });
    let mut modules = vec![
        json!({ "path": "", "type": "sentence_transformers.models.Transformer" }),
        json!({ "path": "pooling", "type": "sentence_transformers.models.Pooling" }),
    ];
    if config.normalised {
        modules.push(json!({ "path": "", "type": "sentence_transformers.models.Normalize" }));
    }
    let pooling = json!({
        "pooling_mode_mean_tokens": config.pooling == Pooling::Mean,
        "pooling_mode_cls_token": config.pooling == Pooling::First,
    });
    std::fs::create_dir(directory.join("pooling")).expect("the folder is made");
    for (file, json) in [
        ("config.json", shape),
        ("modules.json", modules.into()),
        ("pooling/config.json", pooling),
    ] {
        std::fs::write(directory.join(file), json.to_string()).expect("the file is written");
    }
}
