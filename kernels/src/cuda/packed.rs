//! Matrices as the kernels read them: bf16, rows padded with zeros to whole tiles.

use rayon::prelude::*;

/// A matrix of bf16, `[rows, columns]`, padded.
pub(crate) struct Packed {
    /// The values, rows first.
    pub(crate) values: Vec<u16>,
    /// Rows, with padding.
    pub(crate) rows: usize,
    /// Columns, with padding.
    pub(crate) columns: usize,
}

/// The nearest bf16, ties to even; NaN stays NaN.
pub(crate) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    let half = 0x7fff + (bits >> 16 & 1);
    ((bits + half) >> 16) as u16
}

/// Values in rows, without padding.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    columns: usize,
}

impl<'a> Matrix<'a> {
    /// All of them.
    pub(crate) fn new(values: &'a [f32], columns: usize) -> Self {
        Matrix { values, columns }
    }

    /// A row, or nothing past the last.
    pub(crate) fn row(self, row: usize) -> Option<&'a [f32]> {
        let first = row * self.columns;
        self.values.get(first..first + self.columns)
    }
}

/// The rows that `row_of` gives, times the gains, rounded; rows that it does not give are zeros.
pub(crate) fn pack<'a>(
    rows: usize,
    columns: usize,
    gain: Option<&[f32]>,
    row_of: impl Fn(usize) -> Option<&'a [f32]> + Sync,
) -> Packed {
    let mut values = vec![0; rows * columns];
    let each_row = values.par_chunks_mut(columns).enumerate();
    each_row.for_each(|(row, out)| {
        let Some(row) = row_of(row) else { return };
        match gain {
            None => out.iter_mut().zip(row).for_each(|(o, w)| *o = round(*w)),
            Some(gain) => {
                let scaled = row.iter().zip(gain).map(|(weight, gain)| weight * gain);
                out.iter_mut().zip(scaled).for_each(|(o, w)| *o = round(w));
            }
        }
    });
    Packed {
        values,
        rows,
        columns,
    }
}

#[cfg(test)]
impl Packed {
    /// A value, widened.
    pub(crate) fn value(&self, row: usize, column: usize) -> f32 {
        f32::from_bits(u32::from(self.values[row * self.columns + column]) << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_and_ties_to_even() {
        for (value, expected) in [
            (1.0, 0x3f80),
            (-2.5, 0xc020),
            (1.0 + 1.0 / 256.0, 0x3f80),
            (1.0 + 3.0 / 256.0, 0x3f82),
            (1.0 + 1.1 / 256.0, 0x3f81),
            (0.0, 0),
            (f32::INFINITY, 0x7f80),
            (f32::MAX, 0x7f80),
        ] {
            assert_eq!(round(value), expected, "{value}");
        }
        for nan in [
            f32::NAN,
            f32::from_bits(0x7f80_0001),
            f32::from_bits(0xffff_ffff),
        ] {
            assert!(f32::from_bits(u32::from(round(nan)) << 16).is_nan());
        }
    }
}
