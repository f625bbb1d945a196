//! From the integers of a row to one of its cells.

use super::gaussian::Purpose;
use super::philox::philox;

/// The folding of one row: the vector multiply-shift of Thorup ("High Speed Hashing for Integers
/// and Strings", arXiv 1504.06804, section 3.4), cell = (Σ aᵢ·xᵢ + c mod 2⁶⁴)/2³² · B/2³².
///
/// It is strongly universal: over the draws of a and c, two rows of integers that differ anywhere
/// share a cell with probability 1/B to within 2⁻³¹. A bare remainder would put buckets that stand
/// B apart into one cell for every row alike.
pub(super) struct Fold {
    factors: Vec<u64>,
    addend: u64,
    cells: u64,
}

impl Fold {
    /// Draws the folding of row `row` for `concatenated` integers.
    pub(super) fn draw(seed: u64, row: u32, concatenated: usize, cells: usize) -> Self {
        let draw = |place: u32| {
            let [low, high, ..] = philox(seed, [place, row, 0, Purpose::Fold as u32]);
            u64::from(high) << 32 | u64::from(low)
        };
        Fold {
            factors: (1..=concatenated as u32).map(draw).collect(),
            addend: draw(0),
            cells: cells as u64,
        }
    }

    /// `a`, one an integer.
    pub(super) fn factors(&self) -> &[u64] {
        &self.factors
    }

    /// `c`.
    pub(super) fn addend(&self) -> u64 {
        self.addend
    }

    /// The cell of a row's integers, below `cells`.
    ///
    /// A negative integer x enters as 2³² + x, its remainder of a division that rounds down, so
    /// that -1 and 1 are as different as any two.
    pub(super) fn cell(&self, integers: &[i32]) -> u16 {
        let sum = integers
            .iter()
            .zip(&self.factors)
            .fold(self.addend, |sum, (x, factor)| {
                sum.wrapping_add(factor.wrapping_mul(u64::from(*x as u32)))
            });
        let cell = ((sum >> 32) * self.cells) >> 32;
        cell as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_integers_share_a_cell_as_often_as_chance_has_it() {
        const CELLS: usize = 50;
        let pairs = [
            ([0, 0], [0, -1]),
            ([1, 2], [-1, 2]),
            ([3, 4], [4, 3]),
            ([7, 0], [7 + CELLS as i32, 0]),
            ([7, 0], [7, 1 << 16]),
            ([i32::MIN, 0], [i32::MAX, 0]),
        ];
        let rows = 100_000;
        let folds: Vec<Fold> = (0..rows).map(|row| Fold::draw(9, row, 2, CELLS)).collect();
        let p = 1.0 / CELLS as f64;
        let bound = 5.0 * (p * (1.0 - p) / f64::from(rows)).sqrt();
        for (a, b) in pairs {
            let shared = folds.iter().filter(|fold| fold.cell(&a) == fold.cell(&b));
            let frequency = shared.count() as f64 / f64::from(rows);
            assert!((frequency - p).abs() < bound, "{a:?} {b:?}: {frequency}");
        }
        let mut counts = [0u32; CELLS];
        folds
            .iter()
            .for_each(|fold| counts[usize::from(fold.cell(&[5, -3]))] += 1);
        let deviation = |count: &u32| (f64::from(*count) / f64::from(rows) - p).abs();
        assert!(
            counts.iter().all(|count| deviation(count) < bound),
            "{counts:?}"
        );
    }

    #[test]
    fn cells_fill_their_whole_range_and_no_more() {
        for cells in [2, 3, 65536] {
            let fold = Fold::draw(1, 0, 1, cells);
            let found = (0..1 << 21).map(|x| usize::from(fold.cell(&[x])));
            let found: std::collections::HashSet<usize> = found.collect();
            assert_eq!(found.len(), cells);
            assert!(found.iter().all(|cell| *cell < cells));
        }
    }
}
