//! A document's embedding has the same bits alone, in any batch, and on any number of threads.

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use riffle_kernels::{
    Batch, DeviceChoice, Encoder, LoadOptions, Lsh, LshConfig, ScoreError, Wanted, load_encoder,
};

fn bits(encoder: &RefCell<Box<dyn Encoder>>, documents: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let batch: Batch = documents.iter().map(Vec::as_slice).collect();
    let embeddings = encoder
        .borrow_mut()
        .embed(&batch)
        .expect("documents are inside the limits");
    assert_eq!(embeddings.documents().len(), documents.len());
    let row_bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect();
    embeddings.documents().map(row_bits).collect()
}

/// Documents of 0 to 230 tokens: below one tile of 48 rows, around its edges, and over several; in
/// one block of 96 queries and in three.
fn documents() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let length = prop_oneof![0..4usize, 46..50usize, 94..98usize, 0..230usize];
    vec(
        length.prop_flat_map(|length| vec(0..30522u32, length)),
        1..6,
    )
}

#[test]
fn a_document_has_the_same_embedding_in_any_batch_and_on_any_number_of_threads() {
    let [one, two, three] =
        [1, 2, 3].map(|threads| RefCell::new(crate::model::load_on(threads).encoder));
    let mut runner = TestRunner::new(Config {
        cases: 16,
        ..Config::default()
    });
    let outcome = runner.run(&documents(), |documents| {
        let together = bits(&two, &documents);
        prop_assert_eq!(&together, &bits(&one, &documents));
        prop_assert_eq!(&together, &bits(&three, &documents));
        for (document, expected) in documents.iter().zip(&together) {
            let alone = bits(&two, std::slice::from_ref(document));
            prop_assert_eq!(&alone[0], expected);
        }
        let reversed: Vec<Vec<u32>> = documents.iter().rev().cloned().collect();
        let mut reversed = bits(&one, &reversed);
        reversed.reverse();
        prop_assert_eq!(together, reversed);
        Ok(())
    });
    outcome.unwrap();
}

/// Hashes whose cells a wrong order of documents or channels would change.
const HASHES: LshConfig = LshConfig {
    rows: 7,
    concatenated: 3,
    bucket_width: 0.2,
    cells: 1000,
    seed: 4,
};

#[test]
fn codes_are_those_of_the_embeddings_wherever_the_encoder_runs() {
    let batch: Batch = [&[101, 7592, 102][..], &[], &[101, 2088, 999, 102]]
        .into_iter()
        .collect();
    for device in [DeviceChoice::Cpu, DeviceChoice::Auto] {
        let options = LoadOptions {
            device,
            hashes: Some(HASHES),
            ..LoadOptions::default()
        };
        let mut loaded = load_encoder(&crate::model::path(), &options).unwrap();
        let on_gpu = loaded.gpu.is_some();
        let expected = device == DeviceChoice::Auto && !on_gpu;
        assert_eq!(loaded.fallback.is_some(), expected, "a fallback says why");
        assert!(loaded.batch_tokens >= 512);
        let lsh = Lsh::new(HASHES, loaded.config.width).unwrap();
        let both = loaded.encoder.encode(&batch, Wanted::Both).unwrap();
        let embeddings = both.embeddings.unwrap();
        assert_eq!(both.codes, Some(lsh.codes(embeddings.values())));
        let codes = loaded.encoder.encode(&batch, Wanted::Codes).unwrap();
        assert_eq!((codes.embeddings, codes.codes), (None, both.codes));
        assert_eq!(loaded.encoder.embed(&batch), Ok(embeddings));
    }
    let mut plain = crate::model::load_on(1).encoder;
    let refused = plain.encode(&batch, Wanted::Codes);
    assert_eq!(refused, Err(ScoreError::NoHashes));
    let cells = LshConfig { cells: 1, ..HASHES };
    let options = LoadOptions {
        hashes: Some(cells),
        ..LoadOptions::default()
    };
    let Err(error) = load_encoder(&crate::model::path(), &options) else {
        panic!("one cell tells nothing apart");
    };
    assert!(error.to_string().contains("cells is 1"), "{error}");
}

#[test]
fn degenerate_batches_are_defined() {
    let mut loaded = crate::model::load_on(2);
    let info = loaded.encoder.describe().clone();
    assert_eq!((info.context_tokens, info.vocabulary), (512, 30522));
    assert_eq!(
        (info.architecture.as_str(), info.parameters),
        ("bert", 22_565_376)
    );
    let encoder = &mut loaded.encoder;
    assert!(encoder.embed(&Batch::new()).unwrap().values().is_empty());

    let empty = encoder.embed(&[&[][..]].into_iter().collect()).unwrap();
    assert_eq!((empty.width(), empty.values()), (384, &[0.0; 384][..]));

    let whole = vec![5; 512];
    let embeddings = encoder.embed(&[&whole[..]].into_iter().collect()).unwrap();
    assert_eq!(embeddings.documents().len(), 1);

    let long = vec![5; 513];
    let expected = ScoreError::TooLong {
        document: 1,
        tokens: 513,
        context: 512,
    };
    let batch = [&[7][..], &long].into_iter().collect();
    assert_eq!(encoder.embed(&batch), Err(expected));

    let error = encoder
        .embed(&[&[3, 30522][..]].into_iter().collect())
        .unwrap_err();
    assert!(error.to_string().contains("token id 30522"), "{error}");
}
