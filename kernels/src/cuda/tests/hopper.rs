//! The sm_90a versions of the products against the same references in f64 as the sm_80 versions,
//! and what only they have: rings, turns, a grid that stays, copies and products out of order.

use super::gate_up;
use super::head;
use super::linear::{self, Activation};
use super::linear_add;
use super::qkv::{self, Heads};
use super::residual;
use super::version::Version;
use crate::cuda::emulated::{Emulated, Landing, Policy};

/// Rows around the edges of a warp's 16, of half a tile and of a tile, and more than two tiles.
const ROWS: [usize; 5] = [1, 63, 65, 130, 300];

const HEADS: Heads = Heads {
    queries: 3,
    keys: 1,
    width: 64,
};

/// So few blocks that each has several tiles.
const fn blocks(blocks: u32) -> Version {
    Version::Sm90 { blocks }
}

/// Everything late, in a schedule where one warp runs as far ahead as it can.
const LATE: Policy = Policy {
    landing: Landing::Late,
    seed: 7,
    host_threads: 0,
};

/// Copies at once and products late: what is overwritten while it is read shows.
const LATE_PRODUCTS: Policy = Policy {
    landing: Landing::LateProducts,
    ..LATE
};

#[test]
fn oracle_qkv_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        let case = qkv::Case::new(rows, 192, HEADS);
        for policy in Policy::all() {
            case.check(&case.run_as(blocks(2), policy));
        }
    }
}

#[test]
fn oracle_gate_up_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        let case = gate_up::Case::new(rows, 100, 192, 2.0);
        for policy in Policy::all() {
            case.check(&case.run_as(blocks(2), policy));
        }
    }
}

#[test]
fn oracle_residual_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        let case = residual::Case::new(rows, 256, 320, 5.0);
        for policy in Policy::all() {
            case.check(&case.run_as(blocks(2), policy));
        }
    }
}

#[test]
fn oracle_head_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        let case = head::Case::new(rows, 130, 700, 2, 1.0);
        for policy in Policy::all() {
            case.check(&case.run_as(blocks(2), policy));
        }
    }
}

#[test]
fn oracle_linear_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        for activation in [Activation::None, Activation::Gelu] {
            let case = linear::Case::new(rows, 190, 250, 2.0).with(activation);
            for policy in Policy::all() {
                case.check(&case.run_as(blocks(2), policy));
            }
        }
    }
}

#[test]
fn oracle_linear_add_at_the_edges_of_tiles_under_every_policy() {
    for rows in ROWS {
        let case = linear_add::Case::new(rows, 256, 320, 5.0);
        for policy in Policy::all() {
            case.check(&case.run_as(blocks(2), policy));
        }
    }
}

/// The shapes of MiniLM-L6: rows that stay, and rows that are streamed.
#[test]
fn oracle_linear_and_linear_add_of_a_real_layer() {
    let qkv = linear::Case::new(140, 384, 1152, 1.0);
    qkv.check(&qkv.run_as(blocks(3), LATE));
    for inner in [384, 1536] {
        let case = linear_add::Case::new(140, inner, 384, 1.0);
        for policy in [LATE, LATE_PRODUCTS] {
            case.check(&case.run_as(blocks(2), policy));
        }
    }
}

#[test]
fn oracle_qkv_for_heads_of_every_width() {
    for (queries, keys, width) in [(4, 4, 16), (9, 3, 64), (2, 2, 80), (2, 1, 96), (3, 1, 128)] {
        let heads = Heads {
            queries,
            keys,
            width,
        };
        let case = qkv::Case::new(66, 192, heads);
        case.check(&case.run_as(blocks(3), LATE));
    }
}

/// One chunk of the inner dimension to nine, whose rows stay in shared memory, and more, whose rows
/// are streamed: the rings have other lengths for each.
#[test]
fn oracle_residual_for_every_split_of_shared_memory() {
    for chunks in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 24] {
        let case = residual::Case::new(140, 64 * chunks, 448, 1.0);
        for policy in [Policy::PLAIN, LATE, LATE_PRODUCTS] {
            case.check(&case.run_as(blocks(2), policy));
        }
    }
}

#[test]
fn oracle_head_for_vocabularies_of_every_remainder() {
    for vocabulary in [2, 63, 64, 65, 97, 191, 192, 193, 513] {
        let case = head::Case::new(4, 64, vocabulary, 1, 1.0);
        case.check(&case.run_as(blocks(1), LATE));
    }
}

/// A block's consumers have a split each; three splits leave one without, and of five splits of
/// 2000 tokens the last has none.
#[test]
fn oracle_head_for_odd_numbers_of_splits_and_an_empty_one() {
    for splits in [1, 3, 5] {
        let case = head::Case::new(150, 192, 2000, splits, 1.0);
        for blocks in [1, 3, 40] {
            case.check(&case.run_as(Version::Sm90 { blocks }, LATE));
        }
    }
}

#[test]
fn oracle_head_for_logits_of_hundreds() {
    let case = head::Case::new(66, 64, 331, 2, 200.0);
    let partial = case.run_as(blocks(1), Policy::PLAIN);
    case.check(&partial);
    assert!(partial.iter().flatten().all(|x| x.is_finite()));
}

#[test]
fn oracle_gate_up_for_gates_far_beyond_what_exp_can_hold() {
    let case = gate_up::Case::new(65, 64, 64, 300.0);
    case.check(&case.run_as(blocks(1), Policy::PLAIN));
}

/// The order of rows in a batch, their number, and how many blocks share the tiles.
#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    let moved: Vec<usize> = (0..130).map(|row| (row * 37 + 11) % 130).collect();
    let batches = [&moved[..], &[0], &[9], &[64], &[129]];
    let qkv = qkv::Case::new(130, 192, HEADS);
    let gate_up = gate_up::Case::new(130, 192, 192, 1.0);
    let residual = residual::Case::new(130, 640, 192, 1.0);
    let head = head::Case::new(130, 192, 900, 2, 3.0);
    let linear = linear::Case::new(130, 192, 256, 1.0).with(Activation::Gelu);
    let linear_add = linear_add::Case::new(130, 640, 192, 1.0);
    let together = (
        qkv.run_as(blocks(3), Policy::PLAIN),
        gate_up.run_as(blocks(3), Policy::PLAIN),
        residual.run_as(blocks(3), Policy::PLAIN),
        head.run_as(blocks(3), Policy::PLAIN),
        linear.run_as(blocks(3), Policy::PLAIN),
        linear_add.run_as(blocks(3), Policy::PLAIN),
    );
    for rows in batches {
        let apart = qkv.pick(rows).run_as(blocks(1), LATE);
        assert_eq!(apart.values, together.0.pick(rows).values);
        let apart = gate_up.pick(rows).run_as(blocks(1), LATE);
        assert_eq!(apart.values, together.1.pick(rows).values);
        let apart = residual.pick(rows).run_as(blocks(1), LATE);
        assert_eq!(apart.stream, residual::pick(&together.2.stream, 192, rows));
        assert_eq!(apart.squares, residual::pick(&together.2.squares, 3, rows));
        let apart = linear.pick(rows).run_as(blocks(1), LATE);
        assert_eq!(apart.values, together.4.pick(rows).values);
        let apart = linear_add.pick(rows).run_as(blocks(1), LATE);
        assert_eq!(apart, residual::pick(&together.5, 192, rows));
        let apart = head.pick(rows).run_as(blocks(1), LATE);
        let expected: Vec<head::Partial> = rows
            .iter()
            .flat_map(|row| together.3[2 * row..][..2].to_vec())
            .collect();
        assert_eq!(apart, expected);
    }
}

/// What the Rust side launches with follows from these.
#[test]
fn kernels_state_the_launch_that_fits_a_multiprocessor() {
    let device = Emulated::new(Policy::PLAIN);
    let decoder = ["qkv", "gate_up", "residual", "head"];
    for name in decoder
        .into_iter()
        .chain(["linear", "linear_gelu", "linear_add"])
    {
        let facts = device.facts(&format!("{name}_sm90.cu"), &format!("{name}_sm90"));
        assert_eq!(
            (facts.threads, facts.tile_rows, facts.tile_columns),
            (384, 128, 192)
        );
        assert_eq!(facts.parameters, 3);
        assert!(
            facts.shared_bytes <= 227 << 10,
            "{} bytes",
            facts.shared_bytes
        );
    }
}
