//! A random encoder of uneven shape against the formulas of BERT in f64: widths that fill no panel,
//! and documents longer than one run of a product's sum.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use riffle_kernels::{Batch, LoadOptions, Pooling, load_encoder};
use serde_json::json;

const WIDTH: usize = 40;
const HEADS: usize = 5;
const HIDDEN: usize = 72;
const LAYERS: usize = 2;
const VOCABULARY: usize = 30;
const POSITIONS: usize = 1100;
const EPSILON: f64 = 1e-6;

/// Weights by name, rows first.
struct Tiny(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Tiny {
    fn new() -> Self {
        let mut tiny = Tiny(BTreeMap::new());
        tiny.add("embeddings.word_embeddings.weight", &[VOCABULARY, WIDTH]);
        tiny.add("embeddings.position_embeddings.weight", &[POSITIONS, WIDTH]);
        tiny.add("embeddings.token_type_embeddings.weight", &[3, WIDTH]);
        tiny.add_pair("embeddings.LayerNorm", &[WIDTH]);
        for layer in 0..LAYERS {
            for (name, shape) in [
                ("attention.self.query", &[WIDTH, WIDTH][..]),
                ("attention.self.key", &[WIDTH, WIDTH]),
                ("attention.self.value", &[WIDTH, WIDTH]),
                ("attention.output.dense", &[WIDTH, WIDTH]),
                ("attention.output.LayerNorm", &[WIDTH]),
                ("intermediate.dense", &[HIDDEN, WIDTH]),
                ("output.dense", &[WIDTH, HIDDEN]),
                ("output.LayerNorm", &[WIDTH]),
            ] {
                tiny.add_pair(&format!("encoder.layer.{layer}.{name}"), shape);
            }
        }
        tiny
    }

    fn add_pair(&mut self, name: &str, shape: &[usize]) {
        self.add(&format!("{name}.weight"), shape);
        self.add(&format!("{name}.bias"), &shape[..1]);
    }

    /// Values from a fixed sequence; gains around 1.
    fn add(&mut self, name: &str, shape: &[usize]) {
        let mut state = name.bytes().fold(7u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let gain = if name.ends_with("LayerNorm.weight") {
            1.0
        } else {
            0.0
        };
        let mut value = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            gain + ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 0.8
        };
        let values = (0..shape.iter().product()).map(|_| value()).collect();
        self.0.insert(name.into(), (shape.into(), values));
    }

    fn write(&self, directory: &Path) {
        let tensors: HashMap<String, Tensor> = self
            .0
            .iter()
            .map(|(name, (shape, values))| {
                let tensor = Tensor::from_vec(values.clone(), shape.as_slice(), &Device::Cpu);
                (name.clone(), tensor.unwrap().to_dtype(DType::F32).unwrap())
            })
            .collect();
        candle_core::safetensors::save(&tensors, directory.join("model.safetensors")).unwrap();
        let config = json!({
            "model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": LAYERS,
            "hidden_size": WIDTH, "intermediate_size": HIDDEN, "num_attention_heads": HEADS,
            "vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS,
            "type_vocab_size": 3, "layer_norm_eps": EPSILON,
        });
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
            "added_tokens": [], "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": null, "decoder": null,
            "model": { "type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "##",
                       "max_input_chars_per_word": 100, "vocab": { "u": 0, "a": 1, "##a": 2 } },
        });
        for (file, json) in [("config.json", config), ("tokenizer.json", tokenizer)] {
            std::fs::write(directory.join(file), json.to_string()).unwrap();
        }
    }

    fn at(&self, name: &str) -> &[f32] {
        &self.0[name].1
    }

    /// x · wᵀ + b.
    fn linear(&self, x: &[f64], name: &str) -> Vec<f64> {
        let (weights, bias) = (
            self.at(&format!("{name}.weight")),
            self.at(&format!("{name}.bias")),
        );
        let rows = weights.chunks_exact(x.len()).zip(bias);
        rows.map(|(row, bias)| {
            let products = row.iter().zip(x).map(|(w, x)| f64::from(*w) * x);
            products.sum::<f64>() + f64::from(*bias)
        })
        .collect()
    }

    fn norm(&self, x: &[f64], name: &str) -> Vec<f64> {
        let (gain, bias) = (
            self.at(&format!("{name}.weight")),
            self.at(&format!("{name}.bias")),
        );
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let scaled = x.iter().map(|x| (x - mean) / (variance + EPSILON).sqrt());
        scaled
            .zip(gain.iter().zip(bias))
            .map(|(x, (gain, bias))| x * f64::from(*gain) + f64::from(*bias))
            .collect()
    }

    fn attention(&self, x: &[Vec<f64>], name: &str) -> Vec<Vec<f64>> {
        let project = |part: &str| -> Vec<Vec<f64>> {
            x.iter()
                .map(|x| self.linear(x, &format!("{name}.self.{part}")))
                .collect()
        };
        let (q, k, v) = (project("query"), project("key"), project("value"));
        let width = WIDTH / HEADS;
        let row = |q: &Vec<f64>| -> Vec<f64> {
            let head = |head: usize| {
                let own = head * width..(head + 1) * width;
                let dot = |k: &Vec<f64>| {
                    q[own.clone()]
                        .iter()
                        .zip(&k[own.clone()])
                        .map(|(q, k)| q * k)
                        .sum::<f64>()
                };
                let weights: Vec<f64> = k
                    .iter()
                    .map(|k| (dot(k) / (width as f64).sqrt()).exp())
                    .collect();
                let sum: f64 = weights.iter().sum();
                own.map(|c| weights.iter().zip(&v).map(|(w, v)| w * v[c]).sum::<f64>() / sum)
                    .collect::<Vec<f64>>()
            };
            (0..HEADS).flat_map(head).collect()
        };
        q.iter()
            .map(|q| self.linear(&row(q), &format!("{name}.output.dense")))
            .collect()
    }

    /// The last layer's rows for a document.
    fn rows(&self, ids: &[u32]) -> Vec<Vec<f64>> {
        let table = |name: &str, row: usize| {
            let table = self.at(&format!("embeddings.{name}_embeddings.weight"));
            table[row * WIDTH..][..WIDTH].iter().map(|x| f64::from(*x))
        };
        let embedded = ids.iter().enumerate().map(|(t, id)| {
            let words = table("word", *id as usize).zip(table("position", t));
            let sum = words
                .zip(table("token_type", 0))
                .map(|((a, b), c)| a + b + c);
            self.norm(&sum.collect::<Vec<_>>(), "embeddings.LayerNorm")
        });
        let mut x: Vec<Vec<f64>> = embedded.collect();
        for layer in 0..LAYERS {
            let name = format!("encoder.layer.{layer}");
            let add =
                |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<_>>();
            let attended = self.attention(&x, &format!("{name}.attention"));
            for (x, attended) in x.iter_mut().zip(attended) {
                *x = self.norm(
                    &add(x, &attended),
                    &format!("{name}.attention.output.LayerNorm"),
                );
                let up = self.linear(x, &format!("{name}.intermediate.dense"));
                let hidden: Vec<f64> = up.into_iter().map(gelu).collect();
                let down = self.linear(&hidden, &format!("{name}.output.dense"));
                *x = self.norm(&add(x, &down), &format!("{name}.output.LayerNorm"));
            }
        }
        x
    }
}

/// z·Φ(z), with Φ by Simpson's rule over the density.
fn gelu(z: f64) -> f64 {
    let steps = 200;
    let width = z / f64::from(steps);
    let density = |i: i32| (-(f64::from(i) * width).powi(2) / 2.0).exp();
    let weight = |i: i32| {
        if i == 0 || i == steps {
            1.0
        } else {
            f64::from(2 + i % 2 * 2)
        }
    };
    let area: f64 = (0..=steps).map(|i| weight(i) * density(i)).sum::<f64>() * width / 3.0;
    z * (0.5 + area / (2.0 * std::f64::consts::PI).sqrt())
}

#[test]
fn oracle_an_encoder_of_uneven_shape_follows_the_formulas() {
    let tiny = Tiny::new();
    let directory = tempfile::tempdir().unwrap();
    tiny.write(directory.path());
    let mut loaded = load_encoder(directory.path(), &LoadOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    // Nothing but config.json says anything: the mean as it is, and all positions.
    assert_eq!(loaded.config.pooling, Pooling::Mean);
    assert!(!loaded.config.normalised);
    assert_eq!(loaded.tokenizer.tokens_max(), POSITIONS);
    assert_eq!(loaded.tokenizer.encode("aa b a").unwrap().ids, [1, 2, 0, 1]);

    let documents: Vec<Vec<u32>> = [1usize, 7, 50, 1100]
        .iter()
        .map(|length| {
            (0..*length as u32)
                .map(|t| t * t * 7 % VOCABULARY as u32)
                .collect()
        })
        .collect();
    let batch: Batch = documents.iter().map(Vec::as_slice).collect();
    let embeddings = loaded.encoder.embed(&batch).unwrap();
    for (ids, embedding) in documents.iter().zip(embeddings.documents()) {
        let rows = tiny.rows(ids);
        for (c, value) in embedding.iter().enumerate() {
            let mean = rows.iter().map(|row| row[c]).sum::<f64>() / rows.len() as f64;
            let error = (f64::from(*value) - mean).abs();
            // Norms keep values near 1; f32 loses a few units in their last place at each step.
            assert!(
                error < 1e-5,
                "{} tokens, channel {c}: off by {error}",
                ids.len()
            );
        }
    }
}
