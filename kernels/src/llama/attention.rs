//! Causal attention of one block of a document's queries over all keys up to its end.
//!
//! Blocks start at the document's own first row, not at a batch's tile: the shapes of all products
//! follow from the document alone, and so do the bits.

use crate::Config;
use crate::cpu::elementwise::{exp_in_place, largest, total};
use crate::cpu::linear::{Strided, multiply};

/// Queries of a block. With the three query heads of a key/value head, 96 rows share one pass over
/// the keys.
pub(super) const BLOCK: usize = 32;

/// A block of a document's queries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Row of the batch where the document starts.
    pub(super) document: usize,
    /// First query, counted from the document's start.
    pub(super) start: usize,
    /// Queries of the block, at most [`BLOCK`].
    pub(super) queries: usize,
}

impl Block {
    /// The blocks of a document that starts at a row and has `tokens` rows.
    pub(super) fn of_document(document: usize, tokens: usize) -> impl Iterator<Item = Block> {
        (0..tokens).step_by(BLOCK).map(move |start| Block {
            document,
            start,
            queries: BLOCK.min(tokens - start),
        })
    }
}

/// Memory that one thread needs for a block.
#[derive(Default)]
pub(super) struct Scratch {
    /// Queries of the heads that share a key head, `[queries · H/G, D]`.
    queries: Vec<f32>,
    /// Scores, then weights, `[queries · H/G, keys]`.
    scores: Vec<f32>,
    /// Sums of the weights, `[queries · H/G]`.
    sums: Vec<f32>,
    /// Weighted values, `[queries · H/G, D]`.
    values: Vec<f32>,
}

/// Attention of a block, written to `out`, `[queries, H·D]`.
///
/// `qkv` is `[T, H·D + 2·G·D]` in rows `qkv_stride` apart, with queries and keys turned to their
/// positions. Query `t` of a document attends to its rows 0 to `t`.
pub(super) fn attend(
    config: &Config,
    qkv: &[f32],
    qkv_stride: usize,
    block: Block,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let width = config.head_width;
    let group = config.heads / config.kv_heads;
    let keys = block.start + block.queries;
    let rows = block.queries * group;
    let document = &qkv[block.document * qkv_stride..];
    scratch.queries.resize(rows * width, 0.0);
    scratch.scores.resize(rows * keys, 0.0);
    scratch.sums.resize(rows, 0.0);
    scratch.values.resize(rows * width, 0.0);
    for kv_head in 0..config.kv_heads {
        let query = kv_head * group * width;
        for (t, to) in scratch.queries.chunks_exact_mut(group * width).enumerate() {
            to.copy_from_slice(
                &document[(block.start + t) * qkv_stride + query..][..group * width],
            );
        }
        let key = config.query_width() + kv_head * width;
        let key = Strided::rows(&document[key..], keys, width, qkv_stride);
        let value = config.query_width() + config.kv_width() + kv_head * width;
        let value = Strided::rows(&document[value..], keys, width, qkv_stride);

        let queries = Strided::rows(&scratch.queries, rows, width, width);
        let scale = 1.0 / (width as f32).sqrt();
        multiply(&mut scratch.scores, keys, queries, key.transposed(), scale);
        let seen = scratch.scores.chunks_exact_mut(keys).enumerate();
        let seen = seen.zip(&mut scratch.sums);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || softmax_causal(seen, block.start, group),
        );
        let weights = Strided::rows(&scratch.scores, rows, keys, keys);
        multiply(&mut scratch.values, width, weights, value, 1.0);

        for (row, (values, sum)) in scratch
            .values
            .chunks_exact(width)
            .zip(&scratch.sums)
            .enumerate()
        {
            let (t, head) = (row / group, row % group);
            let to = &mut out[t * config.query_width() + query + head * width..][..width];
            to.iter_mut()
                .zip(values)
                .for_each(|(to, value)| *to = value / sum);
        }
    }
}

/// Turns each row of scores into exp(score - largest), 0 past the row's own position, and notes the
/// rows' sums. Dividing by the sum is left to the weighted values, which are fewer.
#[inline(always)]
fn softmax_causal<'a>(
    rows: impl Iterator<Item = ((usize, &'a mut [f32]), &'a mut f32)>,
    start: usize,
    group: usize,
) {
    for ((row, scores), sum) in rows {
        let (seen, hidden) = scores.split_at_mut(start + row / group + 1);
        exp_in_place(seen, largest(seen));
        hidden.fill(0.0);
        *sum = total(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oracle_attention_of_two_documents() {
        let config = Config {
            name: String::new(),
            layers: 1,
            width: 24,
            hidden: 8,
            heads: 6,
            kv_heads: 2,
            head_width: 4,
            vocabulary: 8,
            context: 128,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
            tied: true,
        };
        let stride = 24 + 16 + 3;
        let lengths = [70usize, 5];
        let value = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 250.0;
        let qkv: Vec<f32> = (0..75 * stride).map(value).collect();
        let mut out = vec![f32::NAN; 75 * 24];
        let mut scratch = Scratch::default();
        let mut document = 0;
        for length in lengths {
            for block in Block::of_document(document, length) {
                let rows = &mut out[(document + block.start) * 24..][..block.queries * 24];
                attend(&config, &qkv, stride, block, &mut scratch, rows);
            }
            for t in 0..length {
                for head in 0..6 {
                    check_row(
                        &qkv[document * stride..],
                        stride,
                        t,
                        head,
                        &out[(document + t) * 24..],
                    );
                }
            }
            document += length;
        }
    }

    /// One head of one query, from the definition, in f64.
    fn check_row(qkv: &[f32], stride: usize, t: usize, head: usize, out: &[f32]) {
        let at = |row: usize, channel: usize| f64::from(qkv[row * stride + channel]);
        let (key, value) = (24 + head / 3 * 4, 32 + head / 3 * 4);
        let score = |s: usize| {
            (0..4)
                .map(|d| at(t, head * 4 + d) * at(s, key + d))
                .sum::<f64>()
        };
        let weights: Vec<f64> = (0..=t).map(|s| (score(s) / 2.0).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for d in 0..4 {
            let weighted = (0..=t).map(|s| weights[s] * at(s, value + d)).sum::<f64>();
            let error = (f64::from(out[head * 4 + d]) - weighted / sum).abs();
            assert!(error < 1e-5, "query {t}, head {head}: off by {error}");
        }
    }
}
