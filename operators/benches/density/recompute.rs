//! The alternative: every epoch, count, sum and halve everything anew.

use riffle_operators::density::{Sampling, exponential};

use crate::corpus::id;

/// The numbers of the documents of the smaller half, unsorted. `codes` has a row's worth of codes
/// for each of `documents`.
pub fn recompute(sampling: &Sampling, documents: &[u64], codes: &[u16]) -> Vec<u64> {
    let (rows, cells) = (
        usize::from(sampling.sketch.rows()),
        sampling.sketch.cells() as usize,
    );
    let levels = sampling.sketch.levels();
    let mut counts = vec![0u32; rows * cells];
    for codes in codes.chunks_exact(rows) {
        for (row, &cell) in codes.iter().enumerate() {
            counts[row * cells + usize::from(cell)] += 1;
        }
    }
    let value = |at: usize| {
        let (row, cell) = ((at / cells) as u16, (at % cells) as u16);
        levels.value(row, cell, counts[at])
    };
    let values: Vec<u64> = (0..rows * cells).map(value).collect();
    let place = |(&document, codes): (&u64, &[u16])| {
        let value = |(row, &cell): (usize, &u16)| values[row * cells + usize::from(cell)];
        let sum: u64 = codes.iter().enumerate().map(value).sum();
        let id = id(document);
        let variate = exponential(sampling.seed, sampling.purpose, id);
        (u128::from(variate) * u128::from(sum), id, document)
    };
    let mut order: Vec<_> = documents
        .iter()
        .zip(codes.chunks_exact(rows))
        .map(place)
        .collect();
    let half = order.len() / 2;
    order.select_nth_unstable(half);
    order[..half].iter().map(|document| document.2).collect()
}
