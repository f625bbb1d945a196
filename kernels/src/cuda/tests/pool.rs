//! Embeddings of documents against means in f64.

use super::bounded::Bounded;
use super::matrix::{Random, SLICE};
use super::norm::rows;
use super::{at, launch};
use crate::cuda::emulated::{Emulated, Policy};
use crate::cuda::kernels::encoder::NORM_WIDTH_MAX;
use crate::cuda::parameters::Pool;

struct Case {
    channels: usize,
    stream: Vec<f32>,
    bounds: Vec<u32>,
    first_token: bool,
    normalize: bool,
}

impl Case {
    fn new(lengths: &[usize], channels: usize) -> Self {
        let count = lengths.iter().sum();
        let mut bounds = vec![0];
        for length in lengths {
            bounds.push(bounds[bounds.len() - 1] + *length as u32);
        }
        Case {
            channels,
            stream: rows(&mut Random(count as u64), count, channels, 1.0),
            bounds,
            first_token: false,
            normalize: false,
        }
    }

    fn width(&self) -> usize {
        self.channels.next_multiple_of(SLICE)
    }

    fn run(&self, policy: Policy) -> Vec<f32> {
        self.run_checked(policy).0
    }

    /// Embeddings and checks.
    fn run_checked(&self, policy: Policy) -> (Vec<f32>, Vec<f32>) {
        let device = Emulated::new(policy);
        let documents = self.bounds.len() - 1;
        let (stream, bounds) = (device.upload(&self.stream), device.upload(&self.bounds));
        let embeddings = device.poisoned(documents * self.channels);
        let checks = device.poisoned(documents);
        let parameters = Pool {
            stream: at(&stream),
            bounds: at(&bounds),
            embeddings: at(&embeddings),
            checks: at(&checks),
            documents: documents as i32,
            channels: self.channels as i32,
            width: self.width() as i32,
            first_token: i32::from(self.first_token),
            normalize: i32::from(self.normalize),
        };
        launch(device, "pool", [documents as u32, 1, 1], &parameters);
        (embeddings.read(), checks.read())
    }

    /// A document's embedding.
    fn exact(&self, document: usize) -> Vec<Bounded> {
        let rows = self.bounds[document] as usize..self.bounds[document + 1] as usize;
        let counted = if self.first_token {
            rows.len().min(1)
        } else {
            rows.len()
        };
        let rows = rows.start..rows.start + counted;
        let part = Bounded::exact(1.0 / counted.max(1) as f64);
        let mean = (0..self.channels).map(|column| {
            let column = rows
                .clone()
                .map(|row| self.stream[row * self.width() + column]);
            Bounded::sum(column.map(Bounded::exact)) * part
        });
        let mean: Vec<Bounded> = mean.collect();
        let squares = Bounded::sum(mean.iter().map(|&x| x * x));
        if !self.normalize || squares.value == 0.0 {
            return mean;
        }
        let scale = squares.reciprocal_root();
        mean.into_iter().map(|x| x * scale).collect()
    }

    fn check(&self, policy: Policy) {
        let got = self.run(policy);
        for (document, got) in got.chunks(self.channels).enumerate() {
            for (column, expected) in self.exact(document).into_iter().enumerate() {
                expected.check(got[column], || {
                    format!("document {document}, column {column}")
                });
            }
        }
    }
}

/// Lengths around the warps that share a document, and none.
const LENGTHS: [usize; 9] = [1, 0, 7, 8, 9, 0, 100, 3, 16];

#[test]
fn oracle_for_documents_of_any_length_under_every_policy() {
    for (first_token, normalize) in [(false, true), (false, false), (true, true), (true, false)] {
        let case = Case {
            first_token,
            normalize,
            ..Case::new(&LENGTHS, 384)
        };
        Policy::all().for_each(|policy| case.check(policy));
    }
}

#[test]
fn oracle_for_widths_around_the_lanes_parts() {
    for channels in [1, 3, 30, 64, 127, 129, 312, 768, 1021, NORM_WIDTH_MAX] {
        let case = Case {
            normalize: true,
            ..Case::new(&[2, 11], channels)
        };
        case.check(Policy::PLAIN);
    }
}

/// As PyTorch's `normalize`: a vector too short to have a direction keeps its proportion.
#[test]
fn a_row_of_next_to_nothing_is_not_blown_up() {
    let mut case = Case::new(&[1], 64);
    case.normalize = true;
    case.stream.fill(0.0);
    case.stream[5] = 1e-20;
    let got = case.run(Policy::PLAIN);
    assert!((got[5] - 1e-8).abs() < 1e-14, "{}", got[5]);
}

#[test]
fn checks_tell_which_documents_have_numbers() {
    for spoilt in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut case = Case::new(&[5, 0, 12, 1], 312);
        // The last channel of the third document's last row.
        let place = 16 * case.width() + 311;
        case.stream[place] = spoilt;
        let (_, checks) = case.run_checked(Policy::PLAIN);
        let finite: Vec<bool> = checks.iter().map(|check| *check == 0.0).collect();
        assert_eq!(finite, [true, true, false, true], "{spoilt}: {checks:?}");
    }
}

#[test]
fn a_document_has_the_same_bits_alone_and_among_others() {
    let mut case = Case::new(&[5, 295, 30], 384);
    case.normalize = true;
    let together = case.run(Policy::PLAIN);
    let alone = Case {
        stream: case.stream[5 * 384..300 * 384].to_vec(),
        bounds: vec![0, 295],
        ..case
    };
    assert_eq!(alone.run(Policy::PLAIN), together[384..2 * 384]);
}
