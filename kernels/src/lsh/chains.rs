//! The chains of fused multiply-adds that project embeddings on directions.
//!
//! Written with explicit vectors: left to the compiler the running sums stay in memory, which is
//! four times slower.

use pulp::{Simd, WithSimd};

/// Hashes of a panel, whose chains run side by side: one AVX-512 register.
pub(super) const LANES: usize = 16;
/// Embeddings that share one pass over a panel: as many chains as hide a multiply-add's latency.
pub(super) const DOCUMENTS: usize = 8;

/// The chains of one panel for some embeddings.
pub(super) struct Chains<'a> {
    /// `[dimensions, LANES]`.
    pub(super) directions: &'a [f32],
    /// Where the chains start, `[LANES]`.
    pub(super) offsets: &'a [f32],
    /// The embeddings, `[dimensions]` each.
    pub(super) rows: [&'a [f32]; DOCUMENTS],
    /// Where the chains' ends are written.
    pub(super) sums: &'a mut [[f32; LANES]; DOCUMENTS],
}

impl WithSimd for Chains<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (offsets, _) = S::as_simd_f32s(self.offsets);
        let (directions, _) = S::as_simd_f32s(self.directions);
        // Vectors of a panel: 1 of sixteen, 2 of eight, 4 of four, or 16 single numbers.
        for (place, offset) in offsets.iter().enumerate() {
            let mut sums = [*offset; DOCUMENTS];
            let directions = directions.iter().skip(place).step_by(offsets.len());
            for (channel, direction) in directions.enumerate() {
                for (sum, row) in sums.iter_mut().zip(self.rows) {
                    // Fused by definition, unlike `mul_add_e_f32s`.
                    *sum = simd.mul_add_f32s(*direction, simd.splat_f32s(row[channel]), *sum);
                }
            }
            for (to, sum) in self.sums.iter_mut().zip(sums) {
                let (to, _) = S::as_mut_simd_f32s(to);
                to[place] = sum;
            }
        }
    }
}
