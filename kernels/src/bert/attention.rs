//! Attention of one block of a document's queries over all of the document's keys.
//!
//! Blocks start at the document's own first row, not at a batch's tile: the shapes of all products
//! follow from the document alone, and so do the bits.

use std::ops::Range;

use super::EncoderConfig;
use crate::cpu::elementwise::{exp_in_place, largest, total};
use crate::cpu::linear::{Strided, multiply};

/// Queries of a block: the scores of 96 queries over 512 keys take 200 KB and stay in the cache.
const BLOCK: usize = 96;

/// A block of a document's queries.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Rows of the document in the batch.
    document: Range<usize>,
    /// Rows of the block's queries in the batch.
    pub(super) queries: Range<usize>,
}

impl Block {
    /// The blocks of a document that has these rows of the batch.
    pub(super) fn of_document(document: Range<usize>) -> impl Iterator<Item = Block> {
        document.clone().step_by(BLOCK).map(move |start| Block {
            document: document.clone(),
            queries: start..document.end.min(start + BLOCK),
        })
    }
}

/// Memory that one thread needs for a block.
#[derive(Default)]
pub(super) struct Scratch {
    /// Scores, then weights, `[queries, keys]`.
    scores: Vec<f32>,
    /// Sums of the weights, one a query.
    sums: Vec<f32>,
    /// Weighted values, `[queries, D]`.
    values: Vec<f32>,
}

/// Attention of a block, written to `out`, `[queries, C]`.
///
/// `qkv` is `[T, 3·C]` in rows `stride` apart. Every query of a document attends to all its rows.
pub(super) fn attend(
    config: &EncoderConfig,
    qkv: &[f32],
    stride: usize,
    block: &Block,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let width = config.head_width();
    let (queries, keys) = (block.queries.len(), block.document.len());
    scratch.scores.resize(queries * keys, 0.0);
    scratch.sums.resize(queries, 0.0);
    scratch.values.resize(queries * width, 0.0);
    for head in 0..config.heads {
        let part = |row: usize, which: usize, rows| {
            let start = row * stride + which * config.width + head * width;
            Strided::rows(&qkv[start..], rows, width, stride)
        };
        let query = part(block.queries.start, 0, queries);
        let key = part(block.document.start, 1, keys);
        let value = part(block.document.start, 2, keys);

        let scale = 1.0 / (width as f32).sqrt();
        multiply(&mut scratch.scores, keys, query, key.transposed(), scale);
        let rows = scratch.scores.chunks_exact_mut(keys).zip(&mut scratch.sums);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || softmax(rows),
        );
        let weights = Strided::rows(&scratch.scores, queries, keys, keys);
        multiply(&mut scratch.values, width, weights, value, 1.0);

        let rows = out.chunks_exact_mut(config.width).zip(&scratch.sums);
        for ((row, sum), values) in rows.zip(scratch.values.chunks_exact(width)) {
            let to = &mut row[head * width..][..width];
            to.iter_mut()
                .zip(values)
                .for_each(|(to, value)| *to = value / sum);
        }
    }
}

/// Turns each row of scores into exp(score - largest) and notes the rows' sums. Dividing by the sum
/// is left to the weighted values, which are fewer.
#[inline(always)]
fn softmax<'a>(rows: impl Iterator<Item = (&'a mut [f32], &'a mut f32)>) {
    for (scores, sum) in rows {
        exp_in_place(scores, largest(scores));
        *sum = total(scores);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pooling;

    #[test]
    fn oracle_attention_of_two_documents() {
        let config = EncoderConfig {
            name: String::new(),
            layers: 1,
            width: 12,
            hidden: 8,
            heads: 3,
            vocabulary: 8,
            positions: 256,
            token_types: 1,
            norm_epsilon: 1e-5,
            tokens_max: 256,
            pooling: Pooling::Mean,
            normalised: true,
        };
        let stride = 36 + 3;
        let value = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 250.0;
        let qkv: Vec<f32> = (0..205 * stride).map(value).collect();
        let mut out = vec![f32::NAN; 205 * 12];
        let mut scratch = Scratch::default();
        for document in [0..200, 200..205] {
            for block in Block::of_document(document.clone()) {
                let rows = &mut out[block.queries.start * 12..block.queries.end * 12];
                attend(&config, &qkv, stride, &block, &mut scratch, rows);
            }
            for row in document.clone() {
                for head in 0..3 {
                    let out = &out[row * 12 + head * 4..][..4];
                    check_row(&qkv, stride, document.clone(), row, head, out);
                }
            }
        }
    }

    /// One head of one query, from the definition, in f64.
    fn check_row(
        qkv: &[f32],
        stride: usize,
        document: Range<usize>,
        row: usize,
        head: usize,
        out: &[f32],
    ) {
        let at = |row: usize, which: usize, d: usize| {
            f64::from(qkv[row * stride + which * 12 + head * 4 + d])
        };
        let score = |s: usize| (0..4).map(|d| at(row, 0, d) * at(s, 1, d)).sum::<f64>();
        let weights: Vec<f64> = document.clone().map(|s| (score(s) / 2.0).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for (d, out) in out.iter().enumerate() {
            let rows = document.clone().zip(&weights);
            let weighted: f64 = rows.map(|(s, weight)| weight * at(s, 2, d)).sum();
            let error = (f64::from(*out) - weighted / sum).abs();
            assert!(error < 1e-5, "row {row}, head {head}: off by {error}");
        }
    }
}
