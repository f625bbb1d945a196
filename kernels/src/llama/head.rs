//! The LM head: negative log-likelihood of each row's next token, without a row of logits.
//!
//! Logits are made for a tile of rows and some panels of the vocabulary at a time, and each row
//! keeps its largest logit, its sum of exponentials and its target's logit (the online softmax of
//! arXiv 1805.02867). All logits of 1,000 tokens would take 200 MB; a chunk takes 200 KB and stays
//! in the cache.

use crate::cpu::elementwise::{largest, sum_exp};
use crate::cpu::linear::{Linear, PANEL, TILE};

/// Panels of a chunk: 1,024 tokens of the vocabulary.
const PANELS: usize = 16;

/// What a row knows of its logits so far.
#[derive(Clone, Copy)]
struct Running {
    largest: f32,
    /// Σ exp(logit - largest).
    sum: f64,
    target: f32,
}

/// -ln P(target) for each row of a tile, in nats.
///
/// `tile` is `[TILE, C]`, already normed; `targets` has one token for each row that counts, at most
/// [`TILE`], and so has the result.
pub(super) fn tile_nll(
    head: &Linear,
    tile: &[f32],
    targets: &[u32],
    logits: &mut Vec<f32>,
    nll_nats: &mut [f64],
) {
    let start = Running {
        largest: f32::NEG_INFINITY,
        sum: 0.0,
        target: f32::NAN,
    };
    let mut rows = vec![start; targets.len()];
    logits.resize(TILE * PANELS * PANEL, 0.0);
    for first in (0..head.panels()).step_by(PANELS) {
        let last = head.panels().min(first + PANELS);
        head.apply_panels(tile, first..last, logits, PANELS * PANEL);
        // The last panel is filled up with zeros; those are no tokens.
        let tokens = first * PANEL..head.outputs().min(last * PANEL);
        let each_row = rows
            .iter_mut()
            .zip(targets)
            .zip(logits.chunks_exact(PANELS * PANEL));
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((row, target), logits) in each_row {
                    row.add(&logits[..tokens.len()]);
                    if tokens.contains(&(*target as usize)) {
                        row.target = logits[*target as usize - tokens.start];
                    }
                }
            },
        );
    }
    for (nll, row) in nll_nats.iter_mut().zip(rows) {
        *nll = row.sum.ln() + f64::from(row.largest) - f64::from(row.target);
    }
}

impl Running {
    #[inline(always)]
    fn add(&mut self, logits: &[f32]) {
        let largest = largest(logits).max(self.largest);
        // Before the first chunk `sum` is 0 and `self.largest` -∞: exp gives 0.
        self.sum *= f64::from(self.largest - largest).exp();
        self.sum += f64::from(sum_exp(logits, largest));
        self.largest = largest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oracle_likelihood_over_a_vocabulary_of_several_chunks() {
        let (width, vocabulary) = (8, 2 * PANELS * PANEL + 70);
        let value = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 100.0;
        let weights: Vec<f32> = (0..vocabulary * width).map(value).collect();
        let head = Linear::stack(std::slice::from_ref(&weights), width);
        let tile: Vec<f32> = (0..TILE * width).map(|i| value(i + 13)).collect();
        let targets: Vec<u32> = (0..40u32)
            .map(|row| row * 53)
            .chain([0, vocabulary as u32 - 1])
            .collect();
        let mut nll = vec![0.0; targets.len()];
        tile_nll(&head, &tile, &targets, &mut Vec::new(), &mut nll);
        for (row, target) in targets.iter().enumerate() {
            let logit = |token: usize| -> f64 {
                let products = (0..width).map(|c| {
                    f64::from(tile[row * width + c]) * f64::from(weights[token * width + c])
                });
                products.sum()
            };
            let logits: Vec<f64> = (0..vocabulary).map(logit).collect();
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
            let exact = sum.ln() + largest - logits[*target as usize];
            assert!(
                (nll[row] - exact).abs() < 1e-3,
                "row {row}: {} for {exact}",
                nll[row]
            );
        }
    }
}
