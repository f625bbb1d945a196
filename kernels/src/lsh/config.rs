//! The shape of a family of locality-sensitive hashes, and what its collisions measure.

use crate::normal::cumulative;

/// How embeddings become codes.
///
/// Documents that share the code of a row are counted as neighbours. The chance of it falls with
/// their distance as [`LshConfig::collision_probability`] says: a smaller width or more
/// concatenated hashes see nearer neighbours only.
#[derive(Clone, Debug, PartialEq)]
pub struct LshConfig {
    /// `R`, codes of a document.
    pub rows: usize,
    /// Hashes whose integers together make one code.
    pub concatenated: usize,
    /// Width of a hash's buckets, in units of the embeddings' distance.
    pub bucket_width: f64,
    /// `B`, number of cells of a row; codes are below it.
    pub cells: usize,
    /// Seed of the hashes' directions, offsets and folding.
    pub seed: u64,
}

/// Why hashes cannot be drawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LshError {
    /// A number is outside its limits.
    #[error("the {key} is {value}, outside {least}..={most}")]
    OutOfRange {
        /// The quantity.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The smallest value allowed.
        least: usize,
        /// The largest value allowed.
        most: usize,
    },
    /// The width of the buckets is no length that embeddings can have between them.
    #[error("the bucket width of the hashes is {width}, outside 1e-6..=1e6")]
    Width {
        /// Its value.
        width: f64,
    },
}

impl LshConfig {
    /// Passes when every number is inside its limits, for embeddings of `dimensions` channels.
    ///
    /// # Errors
    /// [`LshError`], for the first that is not.
    pub fn check(&self, dimensions: usize) -> Result<(), LshError> {
        let limits = [
            ("number of rows", self.rows, 1, 1 << 12),
            (
                "number of concatenated hashes",
                self.concatenated,
                1,
                1 << 4,
            ),
            ("number of cells", self.cells, 2, 1 << 16),
            ("number of dimensions", dimensions, 1, 1 << 13),
        ];
        for (key, value, least, most) in limits {
            if !(least..=most).contains(&value) {
                return Err(LshError::OutOfRange {
                    key,
                    value,
                    least,
                    most,
                });
            }
        }
        match (1e-6..=1e6).contains(&self.bucket_width) {
            true => Ok(()),
            false => Err(LshError::Width {
                width: self.bucket_width,
            }),
        }
    }

    /// `R · n`, hashes of all rows.
    pub fn hashes(&self) -> usize {
        self.rows * self.concatenated
    }

    /// The probability that all integers of a row are equal for two embeddings at a distance,
    /// before they are folded into cells; 1 at distance 0.
    ///
    /// For one hash of width r at distance c it is 1 - 2Φ(-r/c) - 2c/(√(2π) r) · (1 - e^(-r²/2c²))
    /// (Datar, Immorlica, Indyk & Mirrokni, SoCG 2004), for several concatenated its power.
    pub fn collision_probability(&self, distance: f64) -> f64 {
        if distance <= 0.0 {
            return 1.0;
        }
        let ratio = self.bucket_width / distance;
        let edge = 2.0 / ((2.0 * std::f64::consts::PI).sqrt() * ratio);
        let one = 1.0 - 2.0 * cumulative(-ratio) + edge * (-ratio * ratio / 2.0).exp_m1();
        one.max(0.0).powi(self.concatenated as i32)
    }

    /// The sum of collision probabilities with `documents` documents, estimated from the mean count
    /// of a document's cells over its rows.
    ///
    /// Folding lets documents that differ share a cell with probability 1/B, so the mean is
    /// K + (N - K)/B; solved for K this estimate has no bias.
    pub fn kernel_sum(&self, mean_count: f64, documents: f64) -> f64 {
        let cells = self.cells as f64;
        (mean_count - documents / cells) / (1.0 - 1.0 / cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: LshConfig = LshConfig {
        rows: 128,
        concatenated: 1,
        bucket_width: 1.0,
        cells: 65536,
        seed: 0,
    };

    #[test]
    fn collision_probability_gives_the_known_values() {
        let known = [
            (0.0, 1.0),
            (0.1, 0.920_212),
            (0.25, 0.800_532),
            (0.5, 0.609_548),
            (1.0, 0.368_746),
            (1.414, 0.270_941),
        ];
        for (distance, expected) in known {
            let one = CONFIG.collision_probability(distance);
            // The last value is printed for √2, of which 1.414 are the first digits.
            let error = (one - expected).abs();
            assert!(
                error < 1e-6 || distance == 1.414 && error < 5e-5,
                "{distance}: {one}"
            );
            let four = LshConfig {
                concatenated: 4,
                ..CONFIG
            };
            assert!((four.collision_probability(distance) - one.powi(4)).abs() < 1e-15);
        }
        assert!(CONFIG.collision_probability(1e9) < 1e-8);
        let scaled = LshConfig {
            bucket_width: 0.3,
            ..CONFIG
        };
        let difference = scaled.collision_probability(0.15) - CONFIG.collision_probability(0.5);
        assert!(difference.abs() < 1e-12);
    }

    #[test]
    fn numbers_outside_their_limits_are_refused_by_name() {
        type Change = fn(&mut LshConfig);
        let break_one: [(&str, Change); 5] = [
            ("number of rows is 0", |c| c.rows = 0),
            ("concatenated hashes is 17", |c| c.concatenated = 17),
            ("cells is 65537, outside 2..=65536", |c| c.cells = 65537),
            ("bucket width of the hashes is NaN", |c| {
                c.bucket_width = f64::NAN
            }),
            ("bucket width of the hashes is 0", |c| c.bucket_width = 0.0),
        ];
        assert_eq!(CONFIG.check(384), Ok(()));
        for (claim, change) in break_one {
            let mut config = CONFIG;
            change(&mut config);
            let error = config.check(384).expect_err(claim).to_string();
            assert!(error.contains(claim), "{error}");
        }
        let error = CONFIG.check(0).expect_err("no dimensions").to_string();
        assert!(error.contains("number of dimensions"), "{error}");
    }
}
