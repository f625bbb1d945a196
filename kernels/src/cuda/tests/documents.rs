//! Documents' sums against f64.

use super::matrix::Random;
use super::{at, launch};
use crate::cuda::emulated::{Emulated, Policy};
use crate::cuda::parameters::Documents;

type Partial = [f32; 3];

/// Largest logit, sum, target's logit, in units of log2; one split of a row holds the target.
fn partials(rows: usize, splits: usize) -> Vec<Partial> {
    let random = &mut Random(rows as u64);
    let mut partials = Vec::new();
    for _ in 0..rows {
        let holder = random.below(splits);
        partials.extend((0..splits).map(|split| {
            let max = random.unit() * 30.0;
            let target = if split == holder {
                max - 1.0 - random.unit()
            } else {
                0.0
            };
            [max, random.unit().abs() * 100.0 + 1.0, target]
        }));
    }
    partials
}

fn row_nats(partial: &[Partial]) -> f64 {
    let sum: f64 = partial
        .iter()
        .map(|p| f64::from(p[1]) * f64::from(p[0]).exp2())
        .sum();
    let target: f64 = partial.iter().map(|p| f64::from(p[2])).sum();
    (sum.log2() - target) * std::f64::consts::LN_2
}

fn run(partial: &[Partial], bounds: &[u32], splits: usize, policy: Policy) -> Vec<f64> {
    let device = Emulated::new(policy);
    let documents = bounds.len() - 1;
    let (partial, starts) = (device.upload(partial), device.upload(bounds));
    let nll_nats = device.poisoned(documents);
    let parameters = Documents {
        partial: at(&partial),
        bounds: at(&starts),
        nll_nats: at(&nll_nats),
        documents: documents as i32,
        splits: splits as i32,
    };
    launch(device, "documents", [documents as u32, 1, 1], &parameters);
    nll_nats.read()
}

#[test]
fn oracle_for_documents_of_any_length() {
    for splits in [1, 3] {
        let bounds = [0, 1, 1, 34, 162, 1000];
        let partial = partials(1000, splits);
        for policy in Policy::all() {
            let got = run(&partial, &bounds, splits, policy);
            for (bounds, got) in bounds.windows(2).zip(got) {
                let rows = &partial[bounds[0] as usize * splits..bounds[1] as usize * splits];
                let expected: f64 = rows.chunks_exact(splits).map(row_nats).sum();
                // All is in f64 but the target's logits, whose zeros add nothing.
                assert!(
                    (got - expected).abs() <= 1e-12 * expected,
                    "{got} for {expected}"
                );
            }
        }
    }
}

#[test]
fn no_documents_of_no_rows_cost_nothing() {
    assert_eq!(
        run(&partials(1, 1), &[0, 0, 0], 1, Policy::PLAIN),
        [0.0, 0.0]
    );
}

#[test]
fn an_empty_split_changes_nothing() {
    let partial = [[3.5, 7.0, 2.0], [-1e30, 0.0, 0.0]];
    let alone = run(&partial[..1], &[0, 1], 1, Policy::PLAIN);
    assert_eq!(run(&partial, &[0, 1], 2, Policy::PLAIN), alone);
}

#[test]
fn what_is_no_number_stays_none() {
    for broken in [
        [f32::NAN, 1.0, 0.0],
        [1.0, f32::NAN, 0.0],
        [1.0, 1.0, f32::NAN],
    ] {
        let partial = [[0.0, 1.0, 0.0], broken];
        assert!(
            run(&partial, &[0, 1], 2, Policy::PLAIN)[0].is_nan(),
            "{broken:?}"
        );
    }
}

#[test]
fn a_document_has_the_same_bits_alone_and_among_others() {
    let partial = partials(700, 2);
    let together = run(&partial, &[0, 5, 300, 700], 2, Policy::PLAIN);
    let alone = run(&partial[10..600], &[0, 295], 2, Policy::PLAIN);
    assert_eq!(alone[0].to_bits(), together[1].to_bits());
}
