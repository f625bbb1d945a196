//! The whole forward pass of encoders in the emulator, held against the CPU's, and codes against
//! those of the embeddings fetched.

mod real;
mod tiny;

use std::sync::Arc;

use super::encoder::Encoder;
use super::model::CudaBert;
use super::plan::Plan;
use super::shape::Shape;
use crate::bert::Bert;
use crate::cuda::emulated::{EmulatedDevice, Landing, Policy};
use crate::cuda::kernels::Family;
use crate::source::SentenceDirectory;
use crate::{
    Batch, Embeddings, Encoder as _, EncoderConfig, Encoding, Lsh, LshConfig, Pooling, ScoreError,
    Wanted,
};
pub(crate) use tiny::odd;

const FAMILIES: [Family; 2] = [Family::Ampere, Family::Hopper];

/// Hashes of an odd number, over an odd number of cells.
const HASHES: LshConfig = LshConfig {
    rows: 13,
    concatenated: 3,
    bucket_width: 0.3,
    cells: 20_000,
    seed: 9,
};

pub(crate) fn hashes(width: usize) -> Option<Arc<Lsh>> {
    let lsh = Lsh::new(HASHES, width).expect("they are inside their limits");
    Some(Arc::new(lsh))
}

/// An encoder in the emulator, with memory for so many rows.
pub(crate) fn emulated(
    directory: &SentenceDirectory,
    family: Family,
    rows: usize,
    policy: Policy,
) -> CudaBert<EmulatedDevice> {
    let lsh = hashes(directory.config().width);
    let shape = Shape::new(directory.config(), family).unwrap();
    let plan = Plan::new(&shape, lsh.as_deref(), rows);
    let device = EmulatedDevice::new(policy);
    let tensors = directory.tensors();
    let encoder = Encoder::load(device, shape, plan, tensors, lsh.as_deref()).unwrap();
    CudaBert::new(encoder, lsh, "emulated".into())
}

/// The directory of a random encoder, without changes.
pub(crate) fn random(folder: &tempfile::TempDir, config: &EncoderConfig) -> SentenceDirectory {
    tiny::write(folder.path(), config, |_, _| {})
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
    let document = |length: &usize| (0..*length).map(|_| token()).collect();
    lengths.iter().map(document).collect()
}

fn batch(documents: &[Vec<u32>]) -> Batch {
    documents.iter().map(Vec::as_slice).collect()
}

fn both(encoder: &mut CudaBert<EmulatedDevice>, documents: &[Vec<u32>]) -> (Embeddings, Vec<u16>) {
    let encoding = encoder.encode(&batch(documents), Wanted::Both).unwrap();
    (encoding.embeddings.unwrap(), encoding.codes.unwrap())
}

/// The bits of all that an encoder gives for documents.
pub(crate) fn bits(encoder: &mut dyn crate::Encoder, documents: &[Vec<u32>]) -> String {
    let encoding = encoder.encode(&batch(documents), Wanted::Both).unwrap();
    let embeddings = encoding.embeddings.unwrap();
    let bits: Vec<u32> = embeddings.values().iter().map(|x| x.to_bits()).collect();
    format!("{bits:?} {:?}", encoding.codes.unwrap())
}

/// |a - b| / |b|.
fn deviation(a: &[f32], b: &[f32]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let off = squares(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    (off / squares(&mut b.iter().map(|b| f64::from(*b)))).sqrt()
}

/// Largest deviation of an embedding from the CPU's, of its length.
///
/// Rounding to bf16 moves an operand of a product by up to 2⁻⁹ of itself, evenly spread: 2⁻⁹/√3 =
/// 1.1e-3 on the mean square. The weights and the operands of the four products, with queries, keys,
/// values and weights of attention, make twelve such factors a layer, 24 in two layers: 1.1e-3 · √24
/// = 5.5e-3 of each row, whose mean over the document is closer. Twice that for a single row.
const TOLERANCE: f64 = 1.1e-2;

fn check_against_the_cpu(config: &EncoderConfig, lengths: &[usize]) {
    let folder = tempfile::tempdir().unwrap();
    let directory = random(&folder, config);
    let texts = documents(lengths, config.vocabulary);
    let mut reference = Bert::load(config, directory.tensors(), 2, None).unwrap();
    let expected = reference.embed(&batch(&texts)).unwrap();
    for family in FAMILIES {
        let mut encoder = emulated(&directory, family, 300, Policy::PLAIN);
        let found = encoder.embed(&batch(&texts)).unwrap();
        assert_eq!(found.documents().len(), texts.len());
        for ((found, expected), text) in found.documents().zip(expected.documents()).zip(&texts) {
            if text.is_empty() {
                assert_eq!(found, expected);
                continue;
            }
            let deviation = deviation(found, expected);
            println!("{family:?} {} tokens: off by {deviation:.1e}", text.len());
            // Written so that NaN fails.
            assert!(deviation <= TOLERANCE, "{family:?}: off by {deviation}");
        }
    }
}

#[test]
fn oracle_documents_have_the_cpu_encoder_s_embeddings() {
    check_against_the_cpu(&odd(), &[70, 1, 0, 129, 33]);
}

#[test]
fn oracle_the_first_row_of_wider_heads_as_it_is() {
    let config = EncoderConfig {
        layers: 1,
        width: 128,
        hidden: 64,
        heads: 2,
        pooling: Pooling::First,
        normalised: false,
        ..odd()
    };
    check_against_the_cpu(&config, &[40, 1, 100]);
}

/// The bits of a document's embedding, and its codes, in one encoder and company.
fn check_invariance(family: Family) {
    let folder = tempfile::tempdir().unwrap();
    let directory = random(&folder, &odd());
    let texts = documents(&[70, 1, 129, 33, 5, 130], odd().vocabulary);
    let mut wide = emulated(&directory, family, 400, Policy::PLAIN);
    let together = both(&mut wide, &texts);
    let codes = together.1.chunks_exact(HASHES.rows);
    for ((text, embedding), codes) in texts.iter().zip(together.0.documents()).zip(codes) {
        let alone = both(&mut wide, std::slice::from_ref(text));
        assert_eq!(alone.0.values(), embedding, "alone: {} tokens", text.len());
        assert_eq!(alone.1, codes, "alone: {} tokens", text.len());
    }
    let reversed: Vec<_> = texts.iter().rev().cloned().collect();
    let (other, _) = both(&mut wide, &reversed);
    let other: Vec<&[f32]> = other.documents().collect();
    let in_order: Vec<&[f32]> = together.0.documents().collect();
    assert!(in_order.iter().eq(other.iter().rev()), "in another order");
    let late = Policy {
        landing: Landing::Late,
        seed: 5,
        host_threads: 0,
    };
    for (rows, policy) in [(130, Policy::PLAIN), (201, late)] {
        let found = both(&mut emulated(&directory, family, rows, policy), &texts);
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
fn differential_codes_are_those_of_the_embeddings_and_come_alone_too() {
    let folder = tempfile::tempdir().unwrap();
    let directory = random(&folder, &odd());
    let lsh = hashes(odd().width).unwrap();
    // Several groups, and a document without tokens between them.
    let texts = documents(&[30, 2, 0, 99, 1, 60], odd().vocabulary);
    for family in FAMILIES {
        let mut encoder = emulated(&directory, family, 100, Policy::PLAIN);
        let (embeddings, codes) = both(&mut encoder, &texts);
        assert_eq!(codes, lsh.codes(embeddings.values()), "{family:?}");
        let mut only = |wanted| encoder.encode(&batch(&texts), wanted).unwrap();
        let expected = Encoding {
            embeddings: None,
            codes: Some(codes),
        };
        assert_eq!(only(Wanted::Codes), expected);
        let expected = Encoding {
            embeddings: Some(embeddings),
            codes: None,
        };
        assert_eq!(only(Wanted::Embeddings), expected);
    }
}

#[test]
fn what_cannot_be_embedded_is_refused_as_on_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let directory = random(&folder, &odd());
    let mut encoder = emulated(&directory, Family::Ampere, 100, Policy::PLAIN);
    assert_eq!(
        encoder.describe().context_tokens,
        100,
        "a document is one group"
    );
    let nothing = encoder.encode(&Batch::new(), Wanted::Both).unwrap();
    assert_eq!(nothing.embeddings.unwrap().documents().len(), 0);
    assert_eq!(nothing.codes, Some(Vec::new()));
    let expected = ScoreError::TooLong {
        document: 1,
        tokens: 101,
        context: 100,
    };
    let too_long = batch(&documents(&[3, 101], 530));
    assert_eq!(encoder.embed(&too_long), Err(expected));
    let expected = ScoreError::UnknownToken {
        document: 1,
        id: 530,
        vocabulary: 530,
    };
    assert_eq!(
        encoder.embed(&batch(&[vec![1], vec![2, 530]])),
        Err(expected)
    );
}

#[test]
fn damaged_weights_are_told_by_the_document_they_spoil() {
    let folder = tempfile::tempdir().unwrap();
    let directory = tiny::write(folder.path(), &odd(), |name, values| {
        if name == crate::bert::weights::WORDS {
            // The embedding of token 7.
            values[7 * 96..8 * 96].fill(f32::NAN);
        }
    });
    for family in FAMILIES {
        let mut encoder = emulated(&directory, family, 400, Policy::PLAIN);
        let texts = [vec![2, 3, 4], vec![7, 5, 6], vec![8, 9]];
        for wanted in [Wanted::Embeddings, Wanted::Codes, Wanted::Both] {
            let found = encoder.encode(&batch(&texts), wanted);
            assert_eq!(found, Err(ScoreError::NotFinite { document: 1 }));
        }
        let others = encoder.embed(&batch(&[texts[0].clone(), texts[2].clone()]));
        assert!(
            others.is_ok(),
            "the spoilt rows do not spoil the next batch"
        );
    }
}
