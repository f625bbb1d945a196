//! The start of the residual stream against the table itself.

use super::bounded::Bounded;
use super::matrix::{Matrix, Random, SLICE, widen};
use super::{ROWS, at, launch};
use crate::cuda::emulated::{Emulated, Policy};
use crate::cuda::parameters::Embed;

const VOCABULARY: usize = 50;

struct Results {
    stream: Vec<f32>,
    operand: Vec<u16>,
    squares: Vec<f32>,
}

fn run(table: &Matrix, ids: &[u32], blocks: u32, policy: Policy) -> Results {
    let device = Emulated::new(policy);
    let (tokens, values) = (device.upload(ids), device.upload(&table.values));
    let count = ids.len() * table.stride;
    let (stream, operand) = (device.poisoned(count), device.poisoned(count));
    let squares = device.poisoned(count / SLICE);
    let parameters = Embed {
        ids: at(&tokens),
        table: at(&values),
        stream: at(&stream),
        operand: at(&operand),
        squares: at(&squares),
        rows: ids.len() as i32,
        width: table.stride as i32,
    };
    launch(device, "embed", [blocks, 1, 1], &parameters);
    Results {
        stream: stream.read(),
        operand: operand.read(),
        squares: squares.read(),
    }
}

fn ids(rows: usize) -> Vec<u32> {
    let random = &mut Random(rows as u64);
    (0..rows).map(|_| random.below(VOCABULARY) as u32).collect()
}

#[test]
fn oracle_for_any_rows_and_width_on_any_grid() {
    for (rows, width) in ROWS.into_iter().zip([40, 576, 64, 192]) {
        let table = Matrix::random(&mut Random(9), VOCABULARY, width, 3.0);
        let ids = ids(rows);
        let rows: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
        let expected = table.pick(&rows);
        let blocks = (rows.len() * table.stride / SLICE).div_ceil(32) as u32;
        for policy in Policy::all() {
            check(&run(&table, &ids, 1, policy), &expected);
            check(&run(&table, &ids, blocks, policy), &expected);
        }
    }
}

fn check(results: &Results, expected: &Matrix) {
    assert_eq!(results.operand, expected.values);
    let widened: Vec<f32> = expected.values.iter().map(|&bits| widen(bits)).collect();
    assert_eq!(results.stream, widened);
    for (i, (&got, slice)) in results
        .squares
        .iter()
        .zip(widened.chunks(SLICE))
        .enumerate()
    {
        let values = slice.iter().map(|&x| f64::from(x));
        let expected = Bounded::sum_of_products(values.clone().zip(values));
        expected.check(got, || format!("squares {i}"));
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_anywhere_in_a_batch() {
    let table = Matrix::random(&mut Random(9), VOCABULARY, 192, 1.0);
    let ids = ids(77);
    let together = run(&table, &ids, 8, Policy::PLAIN);
    for row in [0, 31, 76] {
        let alone = run(&table, &ids[row..=row], 1, Policy::PLAIN);
        assert_eq!(alone.squares, together.squares[3 * row..][..3]);
    }
}
