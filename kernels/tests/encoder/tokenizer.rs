//! The encoder's tokenizer under its limit, and on texts of megabytes.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use riffle_kernels::{EncoderTokenizer, LoadOptions, load_encoder};

/// Pieces that meet in every order: words, marks, accents, blanks, control characters and scripts
/// without spaces.
const PIECES: [&str; 26] = [
    "river",
    " Gold",
    "unfathomable",
    "'s",
    "don't",
    "é",
    "e\u{301}",
    "\u{301}",
    "ΟΔΟΣ",
    "İ",
    " ",
    "\u{a0}",
    "\n",
    "\r\n\t",
    "\u{c}",
    "\u{200d}",
    "7",
    "½",
    ".",
    ", ",
    "川の流れ",
    "、",
    "नदी",
    "🥇",
    "[SEP]",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

/// The model's tokenizer under another token limit.
fn with_limit(tokens_max: usize) -> EncoderTokenizer {
    let directory = tempfile::tempdir().unwrap();
    crate::damaged::copy(directory.path());
    let limit = serde_json::json!({ "max_seq_length": tokens_max }).to_string();
    std::fs::write(directory.path().join("sentence_bert_config.json"), limit).unwrap();
    let loaded = load_encoder(directory.path(), &LoadOptions::default());
    loaded.unwrap_or_else(|error| panic!("{error}")).tokenizer
}

#[test]
fn differential_a_limit_gives_the_first_tokens_of_the_whole_text() {
    let long = with_limit(512);
    for limit in [2, 3, 5, 20] {
        let short = with_limit(limit);
        let text = proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60);
        let mut runner = TestRunner::new(Config {
            cases: 200,
            ..Config::default()
        });
        let outcome = runner.run(&text, |pieces| {
            let text = pieces.concat();
            let whole = long.encode(&text).unwrap();
            let first = short.encode(&text).unwrap();
            prop_assert_eq!(first.truncated, whole.ids.len() > limit);
            let inside = whole.ids.len().min(limit) - 1;
            prop_assert_eq!(&first.ids[..inside], &whole.ids[..inside]);
            prop_assert_eq!(&first.ids[inside..], &[102]);
            Ok(())
        });
        outcome.unwrap();
    }
}

#[test]
fn special_tokens_stand_around_a_text_and_never_in_it() {
    let tokenizer = crate::model::load_on(1).tokenizer;
    assert_eq!(tokenizer.tokens_max(), 256);
    assert_eq!(tokenizer.vocabulary(), 30522);
    assert_eq!(tokenizer.encode("").unwrap().ids, [101, 102]);
    let ids = tokenizer.encode("[SEP] [CLS] gold [MASK]").unwrap().ids;
    let special = ids.iter().filter(|id| (101..104).contains(*id)).count();
    assert_eq!(special, 2, "{ids:?}");
}

#[test]
fn texts_of_megabytes_take_no_longer_than_their_limit() {
    let tokenizer = crate::model::load_on(1).tokenizer;
    let words = "sand and gold and ".repeat(400_000);
    let han = "河水在这里慢下来，沙子沉到底。".repeat(100_000);
    let marks = "-".repeat(5_000_000);
    for text in [words, han, marks] {
        let started = Instant::now();
        let encoded = tokenizer.encode(&text).unwrap();
        assert_eq!((encoded.ids.len(), encoded.truncated), (256, true));
        // Milliseconds when only the limit is read; seconds when the whole text is.
        let taken = started.elapsed();
        assert!(
            taken < Duration::from_millis(500),
            "{taken:?} for {:?}…",
            &text[..9]
        );
    }
}
