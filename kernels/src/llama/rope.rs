//! Rotary position embedding (RoFormer, arXiv 2104.09864), in the half-split order: channel `i` of
//! a head turns with channel `i + D/2` by the angle position · base^(-2i/D).

/// Cosines and sines for positions from 0, `[positions, D/2]` each, computed in f64.
pub(crate) struct Rope {
    base: f64,
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rope {
    /// A table for heads of `head_width` channels, empty as yet.
    pub(crate) fn new(base: f64, head_width: usize) -> Self {
        Rope {
            base,
            half: head_width / 2,
            cosines: Vec::new(),
            sines: Vec::new(),
        }
    }

    /// Extends the table to `positions`; it grows with the longest document met, because a model's
    /// context may be far longer than what is ever scored.
    pub(crate) fn reach(&mut self, positions: usize) {
        for position in self.cosines.len() / self.half..positions {
            for i in 0..self.half {
                let wavelength = self.base.powf(2.0 * i as f64 / (2 * self.half) as f64);
                let (sine, cosine) = (position as f64 / wavelength).sin_cos();
                self.cosines.push(cosine as f32);
                self.sines.push(sine as f32);
            }
        }
    }

    /// Cosines and sines, `[positions, D/2]` each.
    pub(crate) fn tables(&self) -> [&[f32]; 2] {
        [&self.cosines, &self.sines]
    }

    /// Turns every head of one row, `[heads · D]`, to its position.
    #[inline(always)]
    pub(super) fn turn(&self, row: &mut [f32], position: usize) {
        let cosines = &self.cosines[position * self.half..][..self.half];
        let sines = &self.sines[position * self.half..][..self.half];
        for head in row.chunks_exact_mut(2 * self.half) {
            let (first, second) = head.split_at_mut(self.half);
            for (i, (a, b)) in first.iter_mut().zip(second).enumerate() {
                let (turned_a, turned_b) = (
                    *a * cosines[i] - *b * sines[i],
                    *b * cosines[i] + *a * sines[i],
                );
                (*a, *b) = (turned_a, turned_b);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_keeps_lengths_and_depends_on_distance_only() {
        let mut rope = Rope::new(10_000.0, 8);
        rope.reach(64);
        let (a, b) = ([1.0, -2.0, 0.5, 3.0, 0.25, 1.5, -1.0, 2.0], [0.5; 8]);
        let product = |at_a: usize, at_b: usize| {
            let (mut a, mut b) = (a, b);
            rope.turn(&mut a, at_a);
            rope.turn(&mut b, at_b);
            a.iter().zip(&b).map(|(a, b)| f64::from(a * b)).sum::<f64>()
        };
        assert!((product(7, 7) - product(0, 0)).abs() < 1e-5);
        assert!((product(40, 33) - product(10, 3)).abs() < 1e-5);
        assert!((product(40, 33) - product(40, 30)).abs() > 1e-2);
    }

    #[test]
    fn position_zero_does_not_turn() {
        let mut rope = Rope::new(10_000.0, 4);
        rope.reach(1);
        let mut row = [1.0, 2.0, 3.0, 4.0];
        rope.turn(&mut row, 0);
        assert_eq!(row, [1.0, 2.0, 3.0, 4.0]);
    }
}
