//! Matrix products in tiles of fixed size, so that a row's result has the same bits in any batch.
//!
//! A matrix product's library chooses its blocking, and with it the order of additions, by the
//! sizes that it is given. So it is always given the same: a tile of [`TILE`] rows (the last one of
//! a batch is filled up with zeros), a panel of [`PANEL`] output channels, and at most
//! [`DEPTH`] channels to sum over. Inside such a call every output is one chain of fused
//! multiply-adds over the depth, whatever its row. Weights are stored panel by panel, so no call
//! has to rearrange them: 48 rows by 64 channels ran at 98–107 GFLOP/s on one AVX-512 core, against
//! 56–78 for whole matrices in rows (the library packs those again in every call).

use rayon::prelude::*;

/// Rows of a tile: a multiple of the six rows that `gemm`'s AVX-512 kernel keeps in registers.
/// Larger tiles are no faster (48: 98 GFLOP/s, 96: 93, 192: 100) and waste more of a batch's end.
pub(crate) const TILE: usize = 48;
/// Output channels of a panel: the four registers of sixteen that `gemm`'s AVX-512 kernel takes.
pub(crate) const PANEL: usize = 64;
/// Channels summed over in one call. `gemm` splits a longer sum by the sizes of the machine's
/// caches; up to this it never does.
const DEPTH: usize = 512;

/// A matrix given by its first element and the distances between columns and between rows.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> Strided<'a> {
    /// `rows` rows of `columns` values that start `row_stride` values apart.
    pub(crate) fn rows(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Strided {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The transposed matrix, of the same values.
    pub(crate) fn transposed(self) -> Self {
        Strided {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn is_inside(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride
                < self.values.len()
    }
}

/// Writes `scale · left · right` to `out`, whose rows start `out_stride` values apart.
///
/// The sum over `left`'s columns is split into runs of [`DEPTH`], so the bits depend on the shapes
/// given and on nothing else.
pub(crate) fn multiply(
    out: &mut [f32],
    out_stride: usize,
    left: Strided<'_>,
    right: Strided<'_>,
    scale: f32,
) {
    let (rows, columns, depth) = (left.rows, right.columns, left.columns);
    assert_eq!(depth, right.rows, "inner sizes of a product must agree");
    assert!(
        left.is_inside() && right.is_inside(),
        "operands must lie inside their slices"
    );
    assert!(columns <= out_stride, "rows of a product must not overlap");
    assert!(
        rows == 0 || (rows - 1) * out_stride + columns <= out.len(),
        "product must fit"
    );
    for start in (0..depth).step_by(DEPTH) {
        let depth = DEPTH.min(depth - start);
        // SAFETY: the assertions above keep every element that gemm reads, `(rows - 1)` and
        // `(depth - 1)` strides from each start, inside `left` and `right`, and every element that
        // it writes inside `out`; `out` is borrowed mutably, so it overlaps neither. Where `start`
        // is 0, `out` is written without being read.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                depth,
                out.as_mut_ptr(),
                1,
                out_stride as isize,
                start > 0,
                left.values.as_ptr().add(start * left.column_stride),
                left.column_stride as isize,
                left.row_stride as isize,
                right.values.as_ptr().add(start * right.row_stride),
                right.column_stride as isize,
                right.row_stride as isize,
                1.0,
                scale,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

/// A weight matrix `[outputs, inputs]`, stored for multiplication.
///
/// Panel `p` holds outputs `64p..64p + 64` as `[inputs, 64]`; the last is filled up with zeros.
pub(crate) struct Linear {
    panels: Vec<f32>,
    outputs: usize,
    inputs: usize,
}

impl Linear {
    /// Stores matrices of equal input width, one under the other, each in rows `[outputs, inputs]`.
    pub(crate) fn stack(matrices: &[Vec<f32>], inputs: usize) -> Self {
        let rows: Vec<&[f32]> = matrices
            .iter()
            .flat_map(|m| m.chunks_exact(inputs))
            .collect();
        let outputs = rows.len();
        let mut panels = vec![0.0; outputs.next_multiple_of(PANEL) * inputs];
        let each_panel = panels
            .par_chunks_mut(PANEL * inputs)
            .zip(rows.par_chunks(PANEL));
        each_panel.for_each(|(panel, rows)| {
            for (output, row) in rows.iter().enumerate() {
                for (input, value) in row.iter().enumerate() {
                    panel[input * PANEL + output] = *value;
                }
            }
        });
        Linear {
            panels,
            outputs,
            inputs,
        }
    }

    /// Output channels.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Input channels.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Memory of the weights, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        4 * self.panels.len() as u64
    }

    /// Copies the weights of one output, `[inputs]`: the embedding of a token.
    pub(crate) fn row(&self, output: usize, row: &mut [f32]) {
        let panel = &self.panels[output / PANEL * PANEL * self.inputs..];
        for (input, value) in row.iter_mut().enumerate() {
            *value = panel[input * PANEL + output % PANEL];
        }
    }

    /// A tile `[TILE, inputs]` times the weights of `panels`, to `[TILE, out_stride]`.
    pub(crate) fn apply_panels(
        &self,
        tile: &[f32],
        panels: std::ops::Range<usize>,
        out: &mut [f32],
        out_stride: usize,
    ) {
        let tile = Strided::rows(tile, TILE, self.inputs, self.inputs);
        for (place, panel) in panels.enumerate() {
            let weights = &self.panels[panel * PANEL * self.inputs..][..PANEL * self.inputs];
            let weights = Strided::rows(weights, self.inputs, PANEL, PANEL);
            multiply(&mut out[place * PANEL..], out_stride, tile, weights, 1.0);
        }
    }

    /// Panels of the matrix.
    pub(crate) fn panels(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    /// Output channels with those that fill up the last panel: the row stride of [`Self::apply`].
    pub(crate) fn out_stride(&self) -> usize {
        self.panels() * PANEL
    }

    /// A tile `[TILE, inputs]` times all weights, to `[TILE, out_stride]`.
    pub(crate) fn apply(&self, tile: &[f32], out: &mut [f32]) {
        self.apply_panels(tile, 0..self.panels(), out, self.out_stride());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 500.0)
            .collect()
    }

    #[test]
    fn oracle_product_of_a_tile() {
        let (inputs, outputs) = (600, 70);
        let weights = values(outputs * inputs);
        let linear = Linear::stack(
            &[
                weights[..30 * inputs].to_vec(),
                weights[30 * inputs..].to_vec(),
            ],
            inputs,
        );
        let tile = values(TILE * inputs);
        let mut out = vec![f32::NAN; TILE * linear.out_stride()];
        linear.apply(&tile, &mut out);
        for row in 0..TILE {
            for output in 0..outputs {
                let terms = (0..inputs).map(|i| {
                    f64::from(tile[row * inputs + i]) * f64::from(weights[output * inputs + i])
                });
                let exact: f64 = terms.sum();
                let error = (f64::from(out[row * linear.out_stride() + output]) - exact).abs();
                // Rounding of a chain of n additions: at most n·2⁻²⁴ of the sum of magnitudes.
                assert!(
                    error <= inputs as f64 * 2f64.powi(-24) * 200.0,
                    "{row} {output}: {error}"
                );
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_at_every_place_of_a_tile() {
        let inputs = 576;
        let linear = Linear::stack(&[values(128 * inputs)], inputs);
        let row = values(inputs);
        let mut results = Vec::new();
        for place in 0..TILE {
            let mut tile = values(TILE * inputs + place)[place..].to_vec();
            tile[place * inputs..][..inputs].copy_from_slice(&row);
            let mut out = vec![0.0; TILE * 128];
            linear.apply(&tile, &mut out);
            results.push(out[place * 128..][..128].to_vec());
        }
        assert!(results.iter().all(|result| *result == results[0]));
    }

    #[test]
    fn row_gives_back_the_weights_of_an_output() {
        let weights = values(70 * 5);
        let linear = Linear::stack(std::slice::from_ref(&weights), 5);
        let mut row = [0.0; 5];
        linear.row(66, &mut row);
        assert_eq!(row, weights[66 * 5..][..5]);
    }
}
