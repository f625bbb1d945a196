//! `attention.cu` and `attention_full.cu` against the definition in float64.
//!
//! Documents lie between rows of NaN, and so do the columns that pad a row: a value read from
//! outside a document would be seen in every weighted sum, even with weight zero.

mod case;
mod exact;

use case::{Case, Sight, bf16};

use crate::cuda::emulated::{Emulated, Landing, Policy};

/// Lengths around the tile's queries and the step's keys, in no order.
fn lengths(sight: Sight, width: usize, (heads, kv_heads): (usize, usize)) -> Vec<usize> {
    let (file, kernel) = sight.kernel(width);
    let facts = Emulated::new(Policy::PLAIN).facts(file, &kernel);
    let queries = facts.tile_rows as usize / (heads / kv_heads);
    let keys = facts.tile_columns as usize;
    vec![
        1,
        queries + 1,
        2,
        keys,
        200,
        queries,
        keys + 1,
        queries - 1,
        keys - 1,
        1,
    ]
}

fn kernels() -> impl Iterator<Item = (Sight, usize)> {
    let widths = |sight: Sight| sight.widths().iter().map(move |&width| (sight, width));
    Sight::BOTH.into_iter().flat_map(widths)
}

#[test]
fn oracle_attention_of_every_head_width() {
    for (sight, width) in kernels() {
        for heads in [(9, 3), (2, 2)] {
            let lengths = lengths(sight, width, heads);
            Case::new(sight, width, heads, &lengths, 2.0).check();
        }
    }
}

#[test]
fn oracle_attention_of_every_group_size() {
    for heads in [
        (1, 1),
        (6, 3),
        (4, 1),
        (10, 2),
        (7, 1),
        (16, 2),
        (12, 1),
        (16, 1),
        (33, 1),
        (64, 1),
    ] {
        for sight in Sight::BOTH {
            Case::new(sight, 64, heads, &[1, 40, 2, 130], 2.0).check();
        }
        Case::new(Sight::Causal, 256, heads, &[1, 5, 40], 2.0).check();
    }
}

/// Documents that one warp takes by itself where all of their rows are seen, and such as it does not.
#[test]
fn oracle_attention_of_short_documents_under_every_policy() {
    for heads in [(12, 12), (5, 5), (1, 1), (8, 4), (12, 2)] {
        for width in [16, 32, 64] {
            let lengths = [32, 1, 33, 31, 16, 5, 40, 2];
            let case = Case::new(Sight::Full, width, heads, &lengths, 2.0);
            let expected = case.check();
            for policy in Policy::all() {
                assert!(case.run(policy) == expected, "{heads:?}, {policy:?}");
            }
        }
    }
}

#[test]
fn oracle_attention_of_large_scores() {
    for spread in [50.0, 1e3, 1e6, 1e12] {
        for (sight, width) in kernels().filter(|(_, width)| [16, 64, 128].contains(width)) {
            Case::new(sight, width, (6, 2), &[100, 1, 20, 70], spread).check();
        }
    }
}

#[test]
fn equal_scores_weigh_alike() {
    for sight in Sight::BOTH {
        let mut case = Case::new(sight, 64, (9, 3), &[150], 0.0);
        case.check();
        // The mean of ones is exactly one, however many there are.
        let (first, ld) = (12 * 64, case.ld());
        for (row, length) in case.documents.clone() {
            for row in row..row + length {
                case.qkv[row * ld + first..][..3 * 64].fill(bf16(1.0));
            }
        }
        let out = case.run(Policy::PLAIN);
        assert!(case.document(&out, 0).iter().all(|&bits| bits == bf16(1.0)));
    }
}

#[test]
fn bits_do_not_depend_on_the_schedule_or_on_when_copies_land() {
    for (sight, width) in kernels() {
        let case = Case::new(sight, width, (6, 2), &[3, 150, 64, 20, 32], 2.0);
        let expected = case.run(Policy::PLAIN);
        for landing in [Landing::Early, Landing::Late] {
            for seed in [0, 5, 6, 7] {
                let policy = Policy {
                    landing,
                    seed,
                    host_threads: 0,
                };
                assert!(
                    case.run(policy) == expected,
                    "{sight:?}, width {width}, {policy:?}"
                );
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_company() {
    for (sight, width) in kernels() {
        let batch = Case::new(sight, width, (9, 3), &[7, 1, 150, 10, 64, 43, 90], 2.0);
        let together = batch.run(Policy::PLAIN);
        for (number, &(row, length)) in batch.documents.iter().enumerate() {
            let mut alone = Case::new(sight, width, (9, 3), &[length], 2.0);
            let (to, from) = (alone.documents[0].0 * batch.ld(), row * batch.ld());
            let values = length * batch.ld();
            alone.qkv[to..to + values].copy_from_slice(&batch.qkv[from..from + values]);
            let out = alone.run(Policy::PLAIN);
            assert!(
                alone.document(&out, 0) == batch.document(&together, number),
                "{sight:?}, width {width}, document {number}"
            );
        }
    }
}
