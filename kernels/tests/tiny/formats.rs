//! The same weights give the same scores from every format that a model may come in.

use std::path::Path;

use crate::model::Tiny;
use candle_core::DType;
use candle_core::quantized::GgmlDType;
use riffle_kernels::{Batch, LoadOptions, Loaded, load};

const TEXT: &str = "The 42nd heron, the other heron: <|endoftext|> the\tthird — ende. ";

fn open(path: &Path) -> Loaded {
    let options = LoadOptions {
        threads: 2,
        ..LoadOptions::default()
    };
    load(path, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// Tokens of a text and the bits of its score, and of a long one's.
fn outcome(path: &Path) -> (Vec<u32>, Vec<u64>) {
    let mut loaded = open(path);
    let short = loaded.tokenizer.encode(TEXT, 400).unwrap().ids;
    let long = loaded.tokenizer.encode(&TEXT.repeat(20), 400).unwrap().ids;
    let batch: Batch = [&short[..], &long].into_iter().collect();
    let scores = loaded.model.score(&batch).unwrap();
    let mean = scores[1].mean_nats().expect("it has tokens");
    assert!(
        (2.0..20.0).contains(&mean),
        "random weights are about as good as guessing: {mean}"
    );
    (
        short,
        scores
            .iter()
            .map(|score| score.nll_nats.to_bits())
            .collect(),
    )
}

#[test]
fn differential_gguf_and_directory_score_the_same_bits() {
    for tied in [true, false] {
        let tiny = Tiny::new(tied, DType::F32);
        let directory = tempfile::tempdir().unwrap();
        tiny.write_directory(directory.path(), DType::F32, 1);
        let gguf = tiny.write_gguf(directory.path(), GgmlDType::F32, |_| ());
        let (tokens, scores) = outcome(directory.path());
        assert!(!tokens.contains(&0) && tokens.len() < TEXT.len());
        assert_eq!((tokens, scores), outcome(&gguf), "tied: {tied}");
    }
}

#[test]
fn shards_score_as_one_file() {
    let tiny = Tiny::new(false, DType::F32);
    let (one, three) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tiny.write_directory(one.path(), DType::F32, 1);
    tiny.write_directory(three.path(), DType::F32, 3);
    assert_eq!(outcome(one.path()), outcome(three.path()));
}

#[test]
fn half_precision_formats_hold_the_same_weights() {
    for (rounded, dtype) in [(DType::F16, GgmlDType::F16), (DType::BF16, GgmlDType::BF16)] {
        let tiny = Tiny::new(true, rounded);
        let (full, half) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tiny.write_directory(full.path(), DType::F32, 1);
        tiny.write_directory(half.path(), rounded, 1);
        let expected = outcome(full.path());
        assert_eq!(expected, outcome(half.path()), "{rounded:?}");
        assert_eq!(
            expected,
            outcome(&tiny.write_gguf(half.path(), dtype, |_| ())),
            "{rounded:?}"
        );
    }
}

#[test]
fn quantised_files_score_as_their_dequantised_weights() {
    use GgmlDType::{Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    for dtype in [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4K, Q5K, Q6K] {
        let directory = tempfile::tempdir().unwrap();
        let gguf = Tiny::new(true, DType::F32).write_gguf(directory.path(), dtype, |_| ());
        Tiny::new(true, DType::F32)
            .quantised(dtype)
            .write_directory(directory.path(), DType::F32, 1);
        assert_eq!(outcome(&gguf), outcome(directory.path()), "{dtype:?}");
    }
}

#[test]
fn a_model_describes_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = Tiny::new(true, DType::F32).write_gguf(directory.path(), GgmlDType::F32, |_| ());
    let loaded = open(&path);
    let info = loaded.model.describe();
    assert_eq!(
        (info.name.as_str(), info.architecture.as_str()),
        ("tiny", "llama")
    );
    assert_eq!(
        (info.vocabulary, info.context_tokens),
        (260, crate::model::CONTEXT)
    );
    assert!(info.weight_bytes >= 4 * info.parameters);
    assert!(info.backend.starts_with("cpu f32 "), "{}", info.backend);
}
