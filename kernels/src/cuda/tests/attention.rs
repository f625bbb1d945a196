//! `attention.cu` against the definition in float64.
//!
//! Documents lie between rows of NaN, and so do the columns that pad a row: a value read from
//! outside a document would be seen in every weighted sum, even with weight zero.

mod case;
mod exact;

use case::{Case, FILE, bf16};

use crate::cuda::emulated::{Emulated, Landing, Policy};

const WIDTHS: [usize; 7] = [16, 32, 64, 80, 96, 128, 256];

/// Lengths around the tile's queries and the step's keys, in no order.
fn lengths(width: usize, (heads, kv_heads): (usize, usize)) -> Vec<usize> {
    let facts = Emulated::new(Policy::PLAIN).facts(FILE, &format!("attention_{width}"));
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

#[test]
fn oracle_attention_of_every_head_width() {
    for width in WIDTHS {
        for heads in [(9, 3), (2, 2)] {
            Case::new(width, heads, &lengths(width, heads), 2.0).check();
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
        Case::new(64, heads, &[1, 40, 2, 130], 2.0).check();
        Case::new(256, heads, &[1, 5, 40], 2.0).check();
    }
}

#[test]
fn oracle_attention_of_large_scores() {
    for spread in [50.0, 1e3, 1e6, 1e12] {
        for width in [16, 64, 128] {
            Case::new(width, (6, 2), &[100, 1, 70], spread).check();
        }
    }
}

#[test]
fn equal_scores_weigh_alike() {
    let mut case = Case::new(64, (9, 3), &[150], 0.0);
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

#[test]
fn bits_do_not_depend_on_the_schedule_or_on_when_copies_land() {
    for width in WIDTHS {
        let case = Case::new(width, (6, 2), &[3, 150, 64, 20], 2.0);
        let expected = case.run(Policy::PLAIN);
        for landing in [Landing::Early, Landing::Late] {
            for seed in [0, 5, 6, 7] {
                let policy = Policy {
                    landing,
                    seed,
                    host_threads: 0,
                };
                assert!(case.run(policy) == expected, "width {width}, {policy:?}");
            }
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_company() {
    for width in WIDTHS {
        let batch = Case::new(width, (9, 3), &[7, 1, 150, 64, 43, 90], 2.0);
        let together = batch.run(Policy::PLAIN);
        for (number, &(row, length)) in batch.documents.iter().enumerate() {
            let mut alone = Case::new(width, (9, 3), &[length], 2.0);
            let (to, from) = (alone.documents[0].0 * batch.ld(), row * batch.ld());
            let values = length * batch.ld();
            alone.qkv[to..to + values].copy_from_slice(&batch.qkv[from..from + values]);
            let out = alone.run(Policy::PLAIN);
            assert!(
                alone.document(&out, 0) == batch.document(&together, number),
                "width {width}, document {number}"
            );
        }
    }
}
