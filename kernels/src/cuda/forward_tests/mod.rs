//! The whole forward pass in the emulator, held against the CPU model.

mod driver;
mod real;
mod tiny;

use crate::cuda::decoder::Decoder;
use crate::cuda::emulated::{Emulated, EmulatedDevice, Landing, Policy};
use crate::cuda::kernels::{Family, every};
use crate::cuda::model::CudaLlama;
use crate::cuda::plan::Plan;
use crate::cuda::shape::Shape;
use crate::llama::Llama;
use crate::source::Source;
use crate::{Batch, Config, LanguageModel, ScoreError};
use tiny::Tiny;

const SEPARATOR: u32 = 1;

/// A decoder in the emulator, with memory for so many rows.
fn emulated(
    source: &mut dyn Source,
    family: Family,
    rows: usize,
    policy: Policy,
) -> CudaLlama<EmulatedDevice> {
    emulated_with(source, SEPARATOR, family, rows, policy)
}

fn emulated_with(
    source: &mut dyn Source,
    separator: u32,
    family: Family,
    rows: usize,
    policy: Policy,
) -> CudaLlama<EmulatedDevice> {
    let shape = Shape::new(source.config(), family).unwrap();
    let plan = Plan::new(&shape, rows);
    let decoder = Decoder::load(EmulatedDevice::new(policy), shape, plan, source).unwrap();
    CudaLlama::new(decoder, separator, "emulated".into())
}

/// A decoder of two layers whose every size is odd in some way.
fn odd() -> Config {
    Config {
        name: "odd".into(),
        layers: 2,
        width: 100,
        hidden: 150,
        heads: 6,
        kv_heads: 2,
        head_width: 32,
        vocabulary: 530,
        context: 200,
        rope_base: 10_000.0,
        norm_epsilon: 1e-5,
        tied: true,
    }
}

/// Documents of these lengths, of random tokens.
fn documents(lengths: &[usize], vocabulary: usize) -> Vec<Vec<u32>> {
    let mut state = 1u64;
    let mut token = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as u32 % vocabulary as u32
    };
    lengths
        .iter()
        .map(|length| (0..*length).map(|_| token()).collect())
        .collect()
}

fn batch(documents: &[Vec<u32>]) -> Batch {
    documents.iter().map(Vec::as_slice).collect()
}

fn score(model: &mut dyn LanguageModel, documents: &[Vec<u32>]) -> Vec<f64> {
    let scores = model.score(&batch(documents)).unwrap();
    assert_eq!(scores.len(), documents.len());
    for (score, document) in scores.iter().zip(documents) {
        assert_eq!(score.tokens, document.len());
    }
    scores.iter().map(|score| score.nll_nats).collect()
}

/// The largest difference of a mean likelihood from the CPU model's, in nats.
///
/// bf16 keeps 8 bits: each operand of a product is off by up to 2⁻⁹ of itself, and a logit, the sum
/// of `C` products of random sign and a size of about 1, by √C · 2⁻⁹ · 1/√C = 0.002, from the head
/// alone. Each of the four products of a layer adds an error of that kind to the stream, which the
/// head passes on: in two layers nine rounded operands, √9 · √2 · 0.002 ≈ 0.01 nats a token. The
/// tokens of a document share no sign, so means of several are closer.
const TOLERANCE_NATS: f64 = 0.02;

fn check_against_the_cpu(config: Config, lengths: &[usize]) {
    let texts = documents(lengths, config.vocabulary);
    let mut reference = Llama::load(&mut Tiny::new(config.clone()), SEPARATOR, 2).unwrap();
    let expected = score(&mut reference, &texts);
    for family in [Family::Ampere, Family::Hopper] {
        let source = &mut Tiny::new(config.clone());
        let mut model = emulated(source, family, 400, Policy::PLAIN);
        let found = score(&mut model, &texts);
        for ((found, expected), text) in found.iter().zip(&expected).zip(&texts) {
            let error = (found - expected).abs() / text.len().max(1) as f64;
            println!(
                "{family:?} {} tokens: {expected} nats, off by {error:.1e} a token",
                text.len()
            );
            // Written so that NaN fails.
            assert!(
                error <= TOLERANCE_NATS,
                "{family:?}: {found} for {expected}"
            );
        }
    }
}

#[test]
fn oracle_documents_have_the_cpu_model_s_likelihood() {
    check_against_the_cpu(odd(), &[70, 1, 0, 129, 33]);
}

#[test]
fn oracle_heads_of_their_own_keys_and_an_untied_head() {
    let config = Config {
        width: 64,
        hidden: 128,
        heads: 3,
        kv_heads: 3,
        head_width: 64,
        vocabulary: 300,
        tied: false,
        ..odd()
    };
    check_against_the_cpu(config, &[40, 100]);
}

#[test]
fn oracle_one_key_head_of_an_odd_width_and_several_splits() {
    let config = Config {
        layers: 1,
        heads: 5,
        kv_heads: 1,
        head_width: 80,
        vocabulary: 6700,
        ..odd()
    };
    check_against_the_cpu(config, &[60, 9]);
}

/// The bits of a document's score in one model and company.
fn check_invariance(family: Family) {
    let config = odd();
    let texts = documents(&[70, 1, 129, 33, 5, 130], config.vocabulary);
    let model = |rows, policy| emulated(&mut Tiny::new(config.clone()), family, rows, policy);
    let mut wide = model(400, Policy::PLAIN);
    let together = score(&mut wide, &texts);
    for (text, expected) in texts.iter().zip(&together) {
        let alone = score(&mut wide, std::slice::from_ref(text));
        assert_eq!(alone, [*expected], "alone: {} tokens", text.len());
    }
    let reversed: Vec<_> = texts.iter().rev().cloned().collect();
    let mut other = score(&mut wide, &reversed);
    other.reverse();
    assert_eq!(other, together, "in another order");
    let late = Policy {
        landing: Landing::Late,
        seed: 5,
        host_threads: 0,
    };
    for (rows, policy) in [(130, Policy::PLAIN), (201, late)] {
        let found = score(&mut model(rows, policy), &texts);
        assert_eq!(found, together, "with a budget of {rows} rows");
    }
}

#[test]
fn a_document_has_the_same_bits_in_any_company_with_mma() {
    check_invariance(Family::Ampere);
}

#[test]
fn a_document_has_the_same_bits_in_any_company_with_wgmma() {
    check_invariance(Family::Hopper);
}

#[test]
fn documents_that_cannot_be_scored_are_refused_as_on_the_cpu() {
    let mut model = emulated(&mut Tiny::new(odd()), Family::Ampere, 100, Policy::PLAIN);
    assert_eq!(
        model.describe().context_tokens,
        100,
        "a document is one group"
    );
    assert_eq!(model.score(&Batch::new()), Ok(Vec::new()));
    let too_long = model.score(&batch(&documents(&[3, 101], 530)));
    let expected = ScoreError::TooLong {
        document: 1,
        tokens: 101,
        context: 100,
    };
    assert_eq!(too_long, Err(expected));
    let unknown = model.score(&batch(&[vec![1], vec![2, 530]]));
    let expected = ScoreError::UnknownToken {
        document: 1,
        id: 530,
        vocabulary: 530,
    };
    assert_eq!(unknown, Err(expected));
}

#[test]
fn damaged_weights_are_told_by_the_document_they_spoil() {
    struct Damaged(Tiny);
    impl Source for Damaged {
        fn config(&self) -> &Config {
            self.0.config()
        }
        fn tokenizer(&self) -> Result<crate::Tokenizer, crate::ModelError> {
            self.0.tokenizer()
        }
        fn tensor(&mut self, part: crate::source::Part) -> Result<Vec<f32>, crate::ModelError> {
            let mut values = self.0.tensor(part)?;
            if part == crate::source::Part::Embedding {
                // The embedding of token 7.
                values[7 * 100..8 * 100].fill(f32::NAN);
            }
            Ok(values)
        }
    }
    let config = Config {
        tied: false,
        ..odd()
    };
    for family in [Family::Ampere, Family::Hopper] {
        let source = &mut Damaged(Tiny::new(config.clone()));
        let mut model = emulated(source, family, 400, Policy::PLAIN);
        let texts = [vec![2, 3, 4], vec![7, 5, 6], vec![8, 9]];
        let found = model.score(&batch(&texts));
        assert_eq!(found, Err(ScoreError::NotFinite { document: 1 }));
        let others = model.score(&batch(&[texts[0].clone(), texts[2].clone()]));
        assert!(
            others.is_ok(),
            "the spoilt rows do not spoil the next batch"
        );
    }
}

#[test]
fn kernels_are_launched_as_their_sources_state() {
    let device = Emulated::new(Policy::PLAIN);
    for family in [Family::Ampere, Family::Hopper] {
        for kernel in every(family) {
            let facts = device.facts(kernel.file, kernel.name);
            let stated = [
                facts.threads,
                facts.shared_bytes,
                facts.tile_rows,
                facts.tile_columns,
            ];
            let known = [
                kernel.threads,
                kernel.shared_bytes,
                kernel.tile_rows,
                kernel.tile_columns,
            ];
            assert_eq!(known, stated, "{}", kernel.name);
        }
    }
}
