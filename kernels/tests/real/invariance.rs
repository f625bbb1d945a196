//! A document's score has the same bits alone, in any batch, and on any number of threads.

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use riffle_kernels::{Batch, LanguageModel, ScoreError};

fn score_bits(model: &RefCell<Box<dyn LanguageModel>>, documents: &[Vec<u32>]) -> Vec<u64> {
    let batch: Batch = documents.iter().map(Vec::as_slice).collect();
    let scores = model
        .borrow_mut()
        .score(&batch)
        .expect("documents are inside the limits");
    let tokens: Vec<usize> = scores.iter().map(|score| score.tokens).collect();
    assert_eq!(tokens, documents.iter().map(Vec::len).collect::<Vec<_>>());
    scores
        .iter()
        .map(|score| score.nll_nats.to_bits())
        .collect()
}

/// Documents of 0 to 110 tokens: below one tile of 48 rows, around its edges, and over several.
fn documents() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let length = prop_oneof![0..4usize, 30..34usize, 46..50usize, 0..110usize];
    vec(
        length.prop_flat_map(|length| vec(0..49152u32, length)),
        1..6,
    )
}

#[test]
fn a_document_scores_the_same_bits_in_any_batch_and_on_any_number_of_threads() {
    let [one, two, three] =
        [1, 2, 3].map(|threads| RefCell::new(crate::model::load_on(threads).model));
    let mut runner = TestRunner::new(Config {
        cases: 8,
        ..Config::default()
    });
    let outcome = runner.run(&documents(), |documents| {
        let together = score_bits(&two, &documents);
        prop_assert_eq!(&together, &score_bits(&one, &documents));
        prop_assert_eq!(&together, &score_bits(&three, &documents));
        for (document, bits) in documents.iter().zip(&together) {
            let alone = score_bits(&two, std::slice::from_ref(document));
            prop_assert_eq!(alone, vec![*bits]);
        }
        let reversed: Vec<Vec<u32>> = documents.iter().rev().cloned().collect();
        let mut bits = score_bits(&one, &reversed);
        bits.reverse();
        prop_assert_eq!(together, bits);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn degenerate_batches_are_defined() {
    let mut loaded = crate::model::load_on(2);
    let info = loaded.model.describe().clone();
    let model = &mut loaded.model;
    assert_eq!(model.score(&Batch::new()).unwrap(), []);

    let empty = model.score(&[&[][..]].into_iter().collect()).unwrap();
    assert_eq!(
        (empty[0].nll_nats, empty[0].tokens, empty[0].mean_nats()),
        (0.0, 0, None)
    );

    let long = vec![5; info.context_tokens + 1];
    let expected = ScoreError::TooLong {
        document: 1,
        tokens: long.len(),
        context: info.context_tokens,
    };
    assert_eq!(
        model.score(&[&[7][..], &long].into_iter().collect()),
        Err(expected)
    );

    let outside = [3, info.vocabulary as u32];
    let error = model
        .score(&[&outside[..]].into_iter().collect())
        .unwrap_err();
    assert!(error.to_string().contains("token id 49152"), "{error}");
}
