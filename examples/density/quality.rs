//! A sketch's densities beside the exact ones, and what is drawn by each.

use kernels::{Lsh, LshConfig, LshError};
use operators::DocumentHash;
use operators::density::{LEVEL_FRACTION_BITS, Levels, exponential};

use crate::ranks::spearman;

/// ε of the levels, in millionths, and their phases: what a density stage has by default.
const EPSILON_PPM: u32 = 1_000_000;
const PHASES: u32 = 16;

/// How good a sketch is; each figure is a mean over the seeds.
#[derive(Default)]
pub struct Quality {
    /// Spearman's coefficient of exact counts, and of their levels, with the exact density.
    spearman: [f64; 2],
    /// The part of the half drawn by exact density that is drawn by counts, by levels, and by the
    /// same variates without any density.
    drawn: [f64; 3],
    /// Typical error of the debiased estimate, as a part of the exact density.
    error: f64,
    /// The same over the whole corpus, which leaves the bias.
    bias: f64,
    /// The part of the estimates that are within two of their own standard errors.
    within: f64,
    /// N² / Σ count², the mean over the rows.
    effective_cells: f64,
}

impl Quality {
    /// The head of a table of [`Quality::line`]s.
    pub const HEADER: &str = "\
| R | Spearman, counts | levels | half drawn alike, counts | levels | by no density | error | bias | within 2 s.e. | effective cells |
|---|---|---|---|---|---|---|---|---|---|";

    /// Measures sketches of this shape, drawn under so many seeds.
    pub fn measure(
        config: &LshConfig,
        seeds: u64,
        embeddings: &[f32],
        width: usize,
        exact: &[f64],
    ) -> Result<Self, LshError> {
        let mut mean = Quality::default();
        for seed in 0..seeds {
            let config = LshConfig {
                seed,
                ..config.clone()
            };
            let codes = Lsh::new(config.clone(), width)?.codes(embeddings);
            let sketch = Sketch::count(&config, &codes);
            mean.add(&sketch.quality(exact), 1.0 / seeds as f64);
        }
        Ok(mean)
    }

    fn add(&mut self, one: &Quality, part: f64) {
        let sums = self.spearman.iter_mut().chain(&mut self.drawn);
        let each = one.spearman.iter().chain(&one.drawn);
        sums.zip(each).for_each(|(sum, one)| *sum += part * one);
        self.error += part * one.error;
        self.bias += part * one.bias;
        self.within += part * one.within;
        self.effective_cells += part * one.effective_cells;
    }

    /// The figures as a line of a table.
    pub fn line(&self, rows: usize) -> String {
        let Quality {
            spearman: [counts, levels],
            drawn: [by_counts, by_levels, by_none],
            error,
            bias,
            within,
            effective_cells,
        } = self;
        format!(
            "| {rows} | {counts:.3} | {levels:.3} | {:.1} % | {:.1} % | {:.1} % | {:.1} % | \
             {:+.2} % | {:.1} % | {effective_cells:.0} |",
            100.0 * by_counts,
            100.0 * by_levels,
            100.0 * by_none,
            100.0 * error,
            100.0 * bias,
            100.0 * within
        )
    }
}

/// Counted codes.
struct Sketch<'a> {
    config: &'a LshConfig,
    /// `[documents, R]`.
    codes: &'a [u16],
    /// `[R, B]`.
    counts: Vec<u32>,
    levels: Levels,
}

impl<'a> Sketch<'a> {
    fn count(config: &'a LshConfig, codes: &'a [u16]) -> Self {
        let mut counts = vec![0; config.rows * config.cells];
        for codes in codes.chunks_exact(config.rows) {
            for (row, code) in codes.iter().enumerate() {
                counts[row * config.cells + usize::from(*code)] += 1;
            }
        }
        Sketch {
            config,
            codes,
            counts,
            levels: Levels::new(EPSILON_PPM, PHASES).expect("they are a stage's defaults"),
        }
    }

    fn quality(&self, exact: &[f64]) -> Quality {
        let documents = self.codes.chunks_exact(self.config.rows);
        let estimates: Vec<Estimate> = documents.map(|codes| self.estimate(codes)).collect();
        let n = exact.len() as f64;
        let estimated = |it: &Estimate| self.config.kernel_sum(it.mean_count, n);
        let errors = estimates.iter().zip(exact);
        let errors: Vec<f64> = errors.map(|(it, exact)| estimated(it) - exact).collect();
        let debias = 1.0 / (1.0 - 1.0 / self.config.cells as f64);
        let within = errors.iter().zip(&estimates);
        let within = within.filter(|(error, it)| error.abs() <= 2.0 * it.standard_error * debias);
        let relative = errors.iter().zip(exact).map(|(error, exact)| error / exact);
        let counts: Vec<f64> = estimates.iter().map(|it| it.mean_count).collect();
        let levels: Vec<f64> = estimates.iter().map(|it| it.mean_level).collect();
        let by_exact = drawn(exact, self.config.seed);
        let alike = |densities: &[f64]| {
            let other = drawn(densities, self.config.seed);
            let both = by_exact
                .iter()
                .zip(other)
                .filter(|(a, b)| **a && *b)
                .count();
            both as f64 / (exact.len() / 2) as f64
        };
        Quality {
            spearman: [spearman(exact, &counts), spearman(exact, &levels)],
            drawn: [
                alike(&counts),
                alike(&levels),
                alike(&vec![1.0; exact.len()]),
            ],
            error: (relative.map(|it| it * it).sum::<f64>() / n).sqrt(),
            bias: errors.iter().sum::<f64>() / exact.iter().sum::<f64>(),
            within: within.count() as f64 / n,
            effective_cells: self.effective_cells(n),
        }
    }

    /// What the sketch says of a document.
    fn estimate(&self, codes: &[u16]) -> Estimate {
        let rows = codes.len() as f64;
        let count =
            |(row, code): (usize, &u16)| self.counts[row * self.config.cells + usize::from(*code)];
        let counts: Vec<f64> = codes
            .iter()
            .enumerate()
            .map(|it| count(it).into())
            .collect();
        let level = |(row, code): (usize, &u16)| {
            self.levels.value(row as u16, *code, count((row, code))) as f64
        };
        let levels: f64 = codes.iter().enumerate().map(level).sum();
        let mean_count = counts.iter().sum::<f64>() / rows;
        let squares = counts.iter().map(|count| (count - mean_count).powi(2));
        Estimate {
            mean_count,
            mean_level: levels / rows / f64::from(1 << LEVEL_FRACTION_BITS),
            standard_error: (squares.sum::<f64>() / (rows - 1.0) / rows).sqrt(),
        }
    }

    fn effective_cells(&self, documents: f64) -> f64 {
        let rows = self.counts.chunks_exact(self.config.cells).map(|row| {
            let squares = row.iter().map(|count| f64::from(*count).powi(2));
            documents * documents / squares.sum::<f64>()
        });
        rows.sum::<f64>() / self.config.rows as f64
    }
}

/// A document's density by the sketch, itself counted.
struct Estimate {
    mean_count: f64,
    /// By the levels of the counts.
    mean_level: f64,
    /// Of the mean count, from its scatter over the rows.
    standard_error: f64,
}

/// Which documents are in the half drawn without replacement with p ∝ 1/density.
fn drawn(densities: &[f64], seed: u64) -> Vec<bool> {
    let key = |(place, density): (usize, &f64)| {
        let id = DocumentHash::from_halves([place as u64, 0]);
        f64::from(exponential(seed, 0, id)) * density
    };
    let keys: Vec<f64> = densities.iter().enumerate().map(key).collect();
    let mut sorted = keys.clone();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted[sorted.len() / 2];
    keys.into_iter().map(|key| key < cut).collect()
}
