//! Tokens and embeddings of real texts by real weights, against an independent float64 reference.
//!
//! `reference/encoder.py` made golden_encoder.json from the same files without any of this crate's
//! code.

use riffle_kernels::Batch;
use serde::Deserialize;

/// Largest 1 - cosine to the reference. f32 arithmetic keeps 24 bits through 6 layers; the largest
/// measured is 2·10⁻¹¹, which is the golden file's own rounding.
const DISTANCE_MAX: f64 = 1e-9;

/// Similarities nearer than this may stand in either order: the golden file holds six decimals.
const TIE: f64 = 2e-5;

#[derive(Deserialize)]
struct Golden {
    texts: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    name: String,
    ids: Vec<u32>,
    embedding_millionths: Vec<f64>,
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// The other documents from the nearest to the farthest.
fn neighbours(embeddings: &[Vec<f64>], of: usize) -> Vec<usize> {
    let mut others: Vec<usize> = (0..embeddings.len()).filter(|other| *other != of).collect();
    let similarity = |other: usize| cosine(&embeddings[of], &embeddings[other]);
    others.sort_by(|a, b| similarity(*b).total_cmp(&similarity(*a)));
    others
}

#[test]
fn oracle_real_texts_have_the_reference_tokens_embeddings_and_neighbours() {
    let golden = include_str!("../../reference/golden_encoder.json");
    let golden: Golden = serde_json::from_str(golden).unwrap();
    let texts = crate::model::texts();
    assert_eq!(texts.len(), golden.texts.len());

    let mut loaded = crate::model::load_on(0);
    let mut batch = Batch::new();
    for ((name, text), expected) in texts.iter().zip(&golden.texts) {
        assert_eq!(*name, expected.name);
        let encoded = loaded.tokenizer.encode(text).unwrap();
        assert_eq!(encoded.ids, expected.ids, "tokens of {name}");
        batch.push(&encoded.ids);
    }
    assert!(batch.documents().any(|ids| ids.len() == 2));
    assert!(batch.documents().any(|ids| ids.len() == 256));
    let embeddings = loaded.encoder.embed(&batch).unwrap();
    let double = |row: &[f32]| row.iter().map(|value| f64::from(*value)).collect();
    let ours: Vec<Vec<f64>> = embeddings.documents().map(double).collect();
    let reference: Vec<Vec<f64>> = golden
        .texts
        .iter()
        .map(|text| {
            text.embedding_millionths
                .iter()
                .map(|value| value / 1e6)
                .collect()
        })
        .collect();

    let mut worst: f64 = 0.0;
    for ((ours, expected), text) in ours.iter().zip(&reference).zip(&golden.texts) {
        let distance = 1.0 - cosine(ours, expected);
        worst = if distance <= worst { worst } else { distance };
        // Written so that NaN fails.
        assert!(distance <= DISTANCE_MAX, "{}: 1 - {distance:e}", text.name);
        assert!((product(ours, ours) - 1.0).abs() < 1e-6, "{}", text.name);
    }
    println!("largest 1 - cosine: {worst:.2e}");

    for (of, expected) in reference.iter().enumerate() {
        let lists = neighbours(&ours, of)
            .into_iter()
            .zip(neighbours(&reference, of));
        for (ours, theirs) in lists.filter(|(ours, theirs)| ours != theirs) {
            let gap = cosine(expected, &reference[ours]) - cosine(expected, &reference[theirs]);
            assert!(
                gap.abs() <= TIE,
                "neighbours of {} differ",
                golden.texts[of].name
            );
        }
    }
}
