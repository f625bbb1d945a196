//! Tokens and likelihoods of real texts by real weights, against an independent float64 reference.
//!
//! `reference/reference.py` made golden.json from the same file without any of this crate's code.

use riffle_kernels::Batch;
use serde::Deserialize;

/// Largest difference of a mean likelihood from the reference, in nats a token.
///
/// f32 arithmetic keeps 24 bits through 30 layers; the largest difference measured is 3·10⁻⁵.
const TOLERANCE_NATS: f64 = 1e-3;

#[derive(Deserialize)]
struct Golden {
    texts: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    name: String,
    tokens: usize,
    ids: Vec<u32>,
    nll_nats: f64,
    mean_nats: f64,
}

#[test]
fn oracle_real_texts_have_the_reference_tokens_and_likelihoods() {
    let golden: Golden = serde_json::from_str(include_str!("../../reference/golden.json")).unwrap();
    let texts = crate::model::texts();
    assert_eq!(texts.len(), golden.texts.len());
    assert!(golden.texts.iter().any(|text| text.tokens == 1));
    assert!(golden.texts.iter().any(|text| text.tokens > 2000));

    let mut loaded = crate::model::load_on(0);
    let mut batch = Batch::new();
    for ((name, text), expected) in texts.iter().zip(&golden.texts) {
        assert_eq!(*name, expected.name);
        let encoded = loaded.tokenizer.encode(text, 4096).unwrap();
        assert_eq!(encoded.ids, expected.ids, "tokens of {name}");
        assert!(!encoded.truncated);
        batch.push(&encoded.ids);
    }
    let scores = loaded.model.score(&batch).unwrap();
    let mut worst: f64 = 0.0;
    for (score, expected) in scores.iter().zip(&golden.texts) {
        assert_eq!(score.tokens, expected.tokens, "{}", expected.name);
        let mean = score.mean_nats().expect("every text has tokens");
        let error = (mean - expected.mean_nats).abs();
        worst = if error <= worst { worst } else { error };
        // Written so that NaN fails.
        assert!(
            error <= TOLERANCE_NATS,
            "{}: {mean} for {}",
            expected.name,
            expected.mean_nats
        );
        let sum_error = (score.nll_nats - expected.nll_nats).abs();
        assert!(
            sum_error <= TOLERANCE_NATS * expected.tokens as f64,
            "{}",
            expected.name
        );
    }
    println!("largest difference of a mean: {worst:.2e} nats");
}
