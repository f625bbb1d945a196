//! LayerNorm in f64, and rows of f32 as its kernels take them.

use super::bounded::Bounded;
use super::matrix::{Random, SLICE, round};

/// A norm's gain and bias, padded with zeros.
#[derive(Clone)]
pub(super) struct Norm {
    pub(super) channels: usize,
    pub(super) gain: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) epsilon: f32,
}

impl Norm {
    pub(super) fn random(random: &mut Random, channels: usize, epsilon: f32) -> Self {
        Norm {
            channels,
            gain: rows(random, 1, channels, 1.0),
            bias: rows(random, 1, channels, 1.0),
            epsilon,
        }
    }

    pub(super) fn width(&self) -> usize {
        self.gain.len()
    }

    /// The norm of a row's channels.
    pub(super) fn apply(&self, row: &[Bounded]) -> Vec<Bounded> {
        let part = Bounded::exact(1.0 / row.len() as f64);
        let mean = Bounded::sum(row.iter().copied()) * part;
        let squares = row.iter().map(|&x| (x - mean) * (x - mean));
        let variance = Bounded::sum(squares) * part;
        let scale = (variance + Bounded::exact(self.epsilon)).reciprocal_root();
        let parameters = self.gain.iter().zip(&self.bias);
        let normed = row.iter().zip(parameters).map(|(&x, (&gain, &bias))| {
            (x - mean) * scale * Bounded::exact(gain) + Bounded::exact(bias)
        });
        normed.collect()
    }

    /// Fails unless the stream is the norm of `rows`, zero beyond the channels, and the operand is
    /// the stream rounded.
    pub(super) fn check(&self, rows: &[Vec<Bounded>], stream: &[f32], operand: &[u16]) {
        assert_eq!(stream.len(), rows.len() * self.width());
        for (t, (row, got)) in rows.iter().zip(stream.chunks(self.width())).enumerate() {
            for (column, expected) in self.apply(row).into_iter().enumerate() {
                expected.check(got[column], || format!("row {t}, column {column}"));
            }
            assert!(got[self.channels..].iter().all(|&x| x == 0.0), "row {t}");
        }
        let rounded: Vec<u16> = stream.iter().map(|&x| round(x)).collect();
        assert!(operand == rounded, "the copy is not the stream's");
    }
}

/// Random rows of f32 of standard deviation `scale`, filled up with zeros to a multiple of
/// [`SLICE`].
pub(super) fn rows(random: &mut Random, rows: usize, channels: usize, scale: f32) -> Vec<f32> {
    let width = channels.next_multiple_of(SLICE);
    let mut values = vec![0.0; rows * width];
    for row in values.chunks_exact_mut(width) {
        row[..channels].fill_with(|| random.unit() * scale);
    }
    values
}
