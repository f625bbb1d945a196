//! Codes of embeddings by p-stable locality-sensitive hashing (Datar, Immorlica, Indyk & Mirrokni,
//! SoCG 2004): near embeddings share codes, far ones do not.
//!
//! Codes are durable, so they are defined to the bit and come out the same on every machine, from
//! every batch, and on a GPU:
//!
//! - Hash j has a direction w and an offset b, drawn by counter ([`gaussian`](gaussian::gaussian))
//!   in f64 arithmetic that IEEE 754 fixes. w/r and b/r are rounded to f32 once; no later step
//!   divides.
//! - Its integer is ⌊fma(w₍C₋₁₎, x₍C₋₁₎, … fma(w₁, x₁, fma(w₀, x₀, b)))⌋: one chain of fused
//!   multiply-adds in f32, the channels in order, subnormal numbers kept, converted to i32 with
//!   saturation and a NaN as 0.
//! - Row i folds the integers of its hashes n·i to n·i + n - 1 into a cell, in integers
//!   ([`Fold`]).

mod chains;
mod config;
mod fold;
mod gaussian;
mod philox;

use chains::{Chains, DOCUMENTS, LANES};
pub use config::{LshConfig, LshError};
use fold::Fold;

/// Drawn hashes; share them by reference between any number of threads.
pub struct Lsh {
    config: LshConfig,
    dimensions: usize,
    /// Directions over the width, in panels of [`LANES`] hashes, each `[dimensions, LANES]`. The
    /// last panel is filled up with zeros.
    directions: Vec<f32>,
    /// Offsets over the width, one a hash of the panels.
    offsets: Vec<f32>,
    folds: Vec<Fold>,
}

/// What was drawn, as a kernel on a device reads it.
pub(crate) struct Tables<'a> {
    /// `[hashes/16 rounded up, dimensions, 16]`.
    pub(crate) directions: &'a [f32],
    /// `[hashes to a multiple of 16]`.
    pub(crate) offsets: &'a [f32],
    /// `[R, n]`.
    pub(crate) factors: Vec<u64>,
    /// `[R]`.
    pub(crate) addends: Vec<u64>,
}

impl Lsh {
    /// Draws the hashes of a configuration for embeddings of `dimensions` channels.
    ///
    /// They take 4 bytes a hash and channel: 0.8 MB for 128 rows of 4 over 384 channels.
    ///
    /// # Errors
    /// [`LshError`] when a number of the configuration is outside its limits.
    pub fn new(config: LshConfig, dimensions: usize) -> Result<Self, LshError> {
        config.check(dimensions)?;
        let panels = config.hashes().div_ceil(LANES);
        let mut directions = vec![0.0; panels * dimensions * LANES];
        for (hash, channel) in
            (0..config.hashes()).flat_map(|h| (0..dimensions).map(move |c| (h, c)))
        {
            let w = gaussian::gaussian(config.seed, hash as u32, channel as u32);
            let place = (hash / LANES * dimensions + channel) * LANES + hash % LANES;
            directions[place] = (w / config.bucket_width) as f32;
        }
        let offset = |hash| gaussian::uniform(config.seed, hash as u32) as f32;
        let mut offsets: Vec<f32> = (0..config.hashes()).map(offset).collect();
        offsets.resize(panels * LANES, 0.0);
        let fold = |row| Fold::draw(config.seed, row, config.concatenated, config.cells);
        Ok(Lsh {
            folds: (0..config.rows as u32).map(fold).collect(),
            config,
            dimensions,
            directions,
            offsets,
        })
    }

    /// What the hashes were drawn from.
    pub fn config(&self) -> &LshConfig {
        &self.config
    }

    /// What was drawn, for `codes.cu`.
    pub(crate) fn tables(&self) -> Tables<'_> {
        let factors = self.folds.iter().flat_map(|fold| fold.factors());
        Tables {
            directions: &self.directions,
            offsets: &self.offsets,
            factors: factors.copied().collect(),
            addends: self.folds.iter().map(Fold::addend).collect(),
        }
    }

    /// The codes of embeddings that lie end to end, `[documents, R]`, each below the number of
    /// cells.
    ///
    /// `embeddings` is `[documents, dimensions]`; its length must be a multiple of the dimensions.
    /// A document's codes do not depend on which documents stand beside it.
    pub fn codes(&self, embeddings: &[f32]) -> Vec<u16> {
        assert!(
            embeddings.len().is_multiple_of(self.dimensions),
            "embeddings must be whole"
        );
        let documents = embeddings.len() / self.dimensions;
        let mut codes = Vec::with_capacity(documents * self.config.rows);
        let mut integers = vec![0; DOCUMENTS * self.offsets.len()];
        for group in embeddings.chunks(DOCUMENTS * self.dimensions) {
            self.integers(group, &mut integers);
            let documents = integers.chunks_exact(self.offsets.len());
            for integers in documents.take(group.len() / self.dimensions) {
                let rows = integers.chunks_exact(self.config.concatenated);
                codes.extend(
                    self.folds
                        .iter()
                        .zip(rows)
                        .map(|(fold, row)| fold.cell(row)),
                );
            }
        }
        codes
    }

    /// The integers of at most [`DOCUMENTS`] embeddings, a row of `offsets.len()` each.
    fn integers(&self, embeddings: &[f32], out: &mut [i32]) {
        // Missing documents repeat the first: every chain is computed, theirs are not read.
        let row = |document: usize| match embeddings.chunks_exact(self.dimensions).nth(document) {
            Some(row) => row,
            None => &embeddings[..self.dimensions],
        };
        let rows: [&[f32]; DOCUMENTS] = std::array::from_fn(row);
        let panels = self.directions.chunks_exact(self.dimensions * LANES);
        let panels = panels.zip(self.offsets.chunks_exact(LANES));
        for (panel, (directions, offsets)) in panels.enumerate() {
            let mut sums = [[0.0; LANES]; DOCUMENTS];
            pulp::Arch::new().dispatch(Chains {
                directions,
                offsets,
                rows,
                sums: &mut sums,
            });
            for (document, sums) in sums.iter().enumerate() {
                let out = &mut out[document * self.offsets.len() + panel * LANES..];
                for (integer, sum) in out.iter_mut().zip(sums) {
                    *integer = sum.floor() as i32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rows: usize, concatenated: usize, seed: u64) -> LshConfig {
        LshConfig {
            rows,
            concatenated,
            bucket_width: 1.0,
            cells: 65536,
            seed,
        }
    }

    fn draw(config: LshConfig, dimensions: usize) -> Lsh {
        Lsh::new(config, dimensions).expect("it is inside its limits")
    }

    /// Embeddings of length 1.
    fn embeddings(documents: u32, dimensions: usize) -> Vec<f32> {
        let mut values = Vec::new();
        for document in 0..documents {
            let row = (0..dimensions as u32).map(|i| gaussian::gaussian(77, document, i));
            let row: Vec<f64> = row.collect();
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            values.extend(row.iter().map(|x| (x / length) as f32));
        }
        values
    }

    #[test]
    fn oracle_codes_by_the_definition() {
        // 21 hashes: less than a panel; 7 documents: a group and a part.
        let (dimensions, documents) = (37, 7);
        let lsh = draw(
            LshConfig {
                bucket_width: 0.3,
                cells: 20_000,
                ..config(7, 3, 3)
            },
            dimensions,
        );
        let embeddings = embeddings(documents, dimensions);
        let codes = lsh.codes(&embeddings);
        assert_eq!(codes.len(), 7 * 7);
        let rows = embeddings.chunks_exact(dimensions);
        for (embedding, codes) in rows.zip(codes.chunks_exact(7)) {
            for (row, code) in codes.iter().enumerate() {
                let integer = |hash: usize| {
                    let start = gaussian::uniform(3, hash as u32) as f32;
                    let channels = embedding.iter().enumerate();
                    let sum = channels.fold(start, |sum, (channel, x)| {
                        let w = gaussian::gaussian(3, hash as u32, channel as u32) / 0.3;
                        (w as f32).mul_add(*x, sum)
                    });
                    sum.floor() as i32
                };
                let integers: Vec<i32> = (row * 3..row * 3 + 3).map(integer).collect();
                let expected = Fold::draw(3, row as u32, 3, 20_000).cell(&integers);
                assert_eq!(*code, expected, "row {row}: {integers:?}");
            }
        }
    }

    #[test]
    fn a_document_has_the_same_codes_alone_and_in_any_batch() {
        let lsh = draw(config(128, 4, 1), 384);
        let embeddings = embeddings(11, 384);
        let together = lsh.codes(&embeddings);
        let alone = embeddings.chunks_exact(384).flat_map(|row| lsh.codes(row));
        assert_eq!(together, alone.collect::<Vec<_>>());
        let behind = lsh.codes(&embeddings[3 * 384..]);
        assert_eq!(behind, together[3 * 128..]);
        assert!(lsh.codes(&[]).is_empty());
    }

    #[test]
    fn codes_never_change() {
        let lsh = draw(config(4, 4, 42), 384);
        let codes = lsh.codes(&embeddings(3, 384));
        // As reference/lsh.py prints them.
        let expected = [
            [58513, 47505, 18109, 5293],
            [17979, 15291, 6209, 6359],
            [60252, 56850, 22004, 59945],
        ];
        assert_eq!(codes, expected.concat());
    }

    #[test]
    fn collisions_are_as_frequent_as_the_kernel_says() {
        let dimensions = 24;
        let (rows, seeds) = (4096, 8);
        let trials = f64::from(rows as u32 * seeds);
        for concatenated in [1, 4] {
            let hashes: Vec<Lsh> = (0..seeds)
                .map(|seed| draw(config(rows, concatenated, u64::from(seed)), dimensions))
                .collect();
            for distance in [0.0, 0.1, 0.25, 0.5, 1.0, 1.414] {
                let mut pair = embeddings(2, dimensions);
                let (first, second) = pair.split_at_mut(dimensions);
                for (second, first) in second.iter_mut().zip(first) {
                    *second = *first + *second * distance;
                }
                let shared = |lsh: &Lsh| {
                    let codes = lsh.codes(&pair);
                    let (first, second) = codes.split_at(rows);
                    first.iter().zip(second).filter(|(a, b)| a == b).count()
                };
                let frequency = hashes.iter().map(shared).sum::<usize>() as f64 / trials;
                let config = hashes[0].config();
                let equal = config.collision_probability(f64::from(distance));
                let p = equal + (1.0 - equal) / config.cells as f64;
                // Rows are independent: five standard deviations of a binomial frequency.
                let bound = 5.0 * (p * (1.0 - p) / trials).sqrt();
                let error = (frequency - p).abs();
                assert!(
                    error <= bound,
                    "{concatenated} at {distance}: {frequency} for {p}"
                );
            }
        }
    }

    #[test]
    fn far_and_broken_embeddings_have_codes_too() {
        let lsh = draw(config(8, 2, 5), 2);
        let rows = [[1e30, -1e30], [f32::INFINITY, 0.0], [f32::NAN, 0.0]].concat();
        assert_eq!(lsh.codes(&rows).len(), 3 * 8);
    }
}
