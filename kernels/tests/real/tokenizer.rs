//! The tokenizer under a token limit, from many threads, and on texts of megabytes.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Pieces that meet in every order: words, marks, digits, blanks and scripts without spaces.
const PIECES: [&str; 24] = [
    "river",
    " gold",
    "'s",
    "'",
    " 'll",
    "don't",
    "é",
    "ê\u{301}",
    " ",
    "  ",
    "\n",
    "\r\n\t",
    "7",
    "٣",
    "½",
    ".",
    ", ",
    "!?",
    "川の流れ",
    "、",
    "नदी",
    "🥇",
    "<|endoftext|>",
    "xYz",
];

#[test]
fn differential_a_limit_gives_the_first_tokens_of_the_whole_text() {
    let tokenizer = crate::model::load_on(1).tokenizer;
    let text = proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..400);
    let mut runner = TestRunner::new(Config {
        cases: 400,
        ..Config::default()
    });
    let outcome = runner.run(&(text, 0..40usize), |(pieces, limit)| {
        let text = pieces.concat();
        let whole = tokenizer.encode(&text, usize::MAX).unwrap();
        let first = tokenizer.encode(&text, limit).unwrap();
        prop_assert!(!whole.truncated);
        prop_assert_eq!(first.truncated, whole.ids.len() > limit);
        prop_assert_eq!(&first.ids, &whole.ids[..limit.min(whole.ids.len())]);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_special_token_spelled_out_is_plain_text() {
    let tokenizer = crate::model::load_on(1).tokenizer;
    let ids = tokenizer.encode("<|endoftext|>", 100).unwrap().ids;
    assert_eq!(tokenizer.separator(), 0);
    assert!(
        ids.len() > 1 && !ids.contains(&tokenizer.separator()),
        "{ids:?}"
    );
    assert!(tokenizer.encode("", 100).unwrap().ids.is_empty());
}

#[test]
fn texts_of_megabytes_take_no_longer_than_their_limit() {
    let tokenizer = crate::model::load_on(1).tokenizer;
    let words = "sand and gold and ".repeat(400_000);
    let han = "河水在这里慢下来，沙子沉到底。".repeat(100_000);
    let digits = "7".repeat(5_000_000);
    for text in [words, han, digits] {
        let started = Instant::now();
        let encoded = tokenizer.encode(&text, 1024).unwrap();
        assert_eq!((encoded.ids.len(), encoded.truncated), (1024, true));
        // Milliseconds when only the limit is read; seconds when the whole text is.
        let taken = started.elapsed();
        assert!(
            taken < Duration::from_millis(500),
            "{taken:?} for {:?}…",
            &text[..9]
        );
    }
}

#[test]
fn many_threads_share_one_tokenizer() {
    let tokenizer = crate::model::load_on(1).tokenizer;
    let texts = crate::model::texts();
    let expected: Vec<_> = texts
        .iter()
        .map(|(_, text)| tokenizer.encode(text, 1024).unwrap())
        .collect();
    std::thread::scope(|scope| {
        for start in 0..8 {
            let (tokenizer, texts, expected) = (&tokenizer, &texts, &expected);
            scope.spawn(move || {
                for i in (0..texts.len()).map(|i| (i + start * 5) % texts.len()) {
                    assert_eq!(tokenizer.encode(&texts[i].1, 1024).unwrap(), expected[i]);
                }
            });
        }
    });
}
