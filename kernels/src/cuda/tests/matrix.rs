//! Matrices of bf16 as kernels take them, drawn at random or row by row from others.

use super::bounded::Bounded;

/// Columns of which the stream's squares are summed.
pub(super) const SLICE: usize = 64;

/// A sequence of random numbers (SplitMix64), the same on every machine.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) % end as u64) as usize
    }

    /// Mean 0, standard deviation 1, at most 1.73 (uniform).
    pub(super) fn unit(&mut self) -> f32 {
        (self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0) * 1.732
    }
}

/// To the nearest bf16, ties to even.
pub(super) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16
}

pub(super) fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rows of bf16, `stride` apart; zeros beyond the columns.
#[derive(Clone)]
pub(super) struct Matrix {
    pub(super) stride: usize,
    pub(super) values: Vec<u16>,
}

impl Matrix {
    /// Random values of standard deviation `scale`, rows filled up to a multiple of [`SLICE`].
    pub(super) fn random(random: &mut Random, rows: usize, columns: usize, scale: f32) -> Self {
        let stride = columns.next_multiple_of(SLICE);
        let mut values = vec![0; rows * stride];
        for row in values.chunks_exact_mut(stride) {
            row[..columns].fill_with(|| round(random.unit() * scale));
        }
        Matrix { stride, values }
    }

    /// The same with rows of zeros up to a multiple of `tile`.
    pub(super) fn whole_tiles(mut self, tile: usize) -> Self {
        let rows = (self.values.len() / self.stride).next_multiple_of(tile);
        self.values.resize(rows * self.stride, 0);
        self
    }

    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = f64> {
        let row = &self.values[row * self.stride..][..self.stride];
        row.iter().map(|&bits| f64::from(widen(bits)))
    }

    /// The matrix of some of the rows.
    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        let values = rows
            .iter()
            .flat_map(|&r| &self.values[r * self.stride..][..self.stride]);
        let values = values.copied().collect();
        Matrix {
            stride: self.stride,
            values,
        }
    }

    /// Sums of squares of each row's slices, `[rows, stride/64]`.
    pub(super) fn squares(&self) -> Vec<f32> {
        let slices = self.values.chunks_exact(SLICE);
        slices
            .map(|slice| slice.iter().map(|&x| widen(x) * widen(x)).sum())
            .collect()
    }

    /// Row `row` of this · row `other_row` of `other`.
    pub(super) fn product(&self, row: usize, other: &Matrix, other_row: usize) -> Bounded {
        Bounded::sum_of_products(self.row(row).zip(other.row(other_row)))
    }

    /// RMSNorm's factor of a row.
    pub(super) fn norm_scale(&self, row: usize, channels: usize, epsilon: f32) -> Bounded {
        let squares = Bounded::sum_of_products(self.row(row).zip(self.row(row)));
        Bounded::norm_scale(squares, channels, epsilon)
    }
}
