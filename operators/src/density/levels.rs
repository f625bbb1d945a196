//! The level of a cell: its count rounded down to a power of 1 + ε.
//!
//! A count enters the density of its documents as a level, so that their sums change about once
//! while the cell grows by a factor of 1 + ε, and not with every document. The powers are shifted
//! by a phase that depends on the cell, so that the errors of rounding do not line up and cells of
//! one size do not change together.
//!
//! All is computed in integers: no two machines' `powf` need agree.

/// Fractional bits of a level's value: a value of 16 is one document.
pub const LEVEL_FRACTION_BITS: u32 = 4;

/// Fractional bits of the powers from which levels are made.
const POWER_BITS: u32 = 40;

/// For each phase, the intervals of counts that have one value.
///
/// The table of a phase φ has the powers (1+ε)^(k+φ) for all whole k, computed by square roots and
/// products that round down at 40 binary places.
#[derive(Clone, Debug)]
pub struct Levels {
    /// By phase, the least count of each level, ascending; then nothing but the largest.
    starts: Vec<u32>,
    /// By phase, what each level is worth.
    values: Vec<u64>,
    /// Of the length of a phase's part, which has room for one start more than there are levels.
    bits: u32,
    phases: u32,
}

impl Levels {
    /// Levels for ε of `epsilon_ppm` millionths, in so many phases.
    ///
    /// `None` unless ε is from 0.1 to 10 and the number of phases a power of two up to 64: smaller
    /// steps than 0.1 make more levels than a byte counts.
    pub fn new(epsilon_ppm: u32, phases: u32) -> Option<Self> {
        let sound = (100_000..=10_000_000).contains(&epsilon_ppm)
            && phases.is_power_of_two()
            && phases <= 64;
        if !sound {
            return None;
        }
        let one = 1u128 << POWER_BITS;
        let base = one + (u128::from(epsilon_ppm) << POWER_BITS) / 1_000_000;
        let root = (0..phases.ilog2()).fold(base, |power, _| (power << POWER_BITS).isqrt());
        let mut shift = one;
        let mut tables = Vec::new();
        for phase in 0..phases {
            // A single document's level is the largest power not above one.
            let first = if phase == 0 {
                one
            } else {
                (shift << POWER_BITS) / base
            };
            tables.push(table(first, base));
            shift = (shift * root) >> POWER_BITS;
        }
        let longest = tables.iter().map(Vec::len).max()?;
        let bits = (longest + 1).next_power_of_two().ilog2();
        let (mut starts, mut values) = (Vec::new(), Vec::new());
        for table in tables {
            let end = starts.len() + (1 << bits);
            starts.extend(table.iter().map(|level| level.0));
            values.extend(table.iter().map(|level| level.1));
            starts.resize(end, u32::MAX);
            values.resize(end, 0);
        }
        Some(Levels {
            starts,
            values,
            bits,
            phases,
        })
    }

    /// What a cell with `count` documents adds to the density of each, in sixteenths of a document.
    ///
    /// Nothing for an empty cell.
    pub fn value(&self, row: u16, cell: u16, count: u32) -> u64 {
        self.value_of(row, cell, self.find(row, cell, count))
    }

    /// Where the phase of a cell begins.
    #[inline(always)]
    fn first(&self, row: u16, cell: u16) -> usize {
        // Cells are spread by a mixing hash already; the row keeps equal codes out of step.
        let phase = (u32::from(cell) + 5 * u32::from(row)) & (self.phases - 1);
        (phase as usize) << self.bits
    }

    #[inline(always)]
    pub(crate) fn value_of(&self, row: u16, cell: u16, level: u8) -> u64 {
        self.values[self.first(row, cell) + usize::from(level)]
    }

    /// The least count that a cell's level has.
    #[inline(always)]
    pub(crate) fn start(&self, row: u16, cell: u16, level: u8) -> u32 {
        self.starts[self.first(row, cell) + usize::from(level)]
    }

    /// The least count above a cell's level.
    #[inline(always)]
    pub(crate) fn end(&self, row: u16, cell: u16, level: u8) -> u32 {
        self.starts[self.first(row, cell) + usize::from(level) + 1]
    }

    /// Which of the cell's levels a count has.
    pub(crate) fn find(&self, row: u16, cell: u16, count: u32) -> u8 {
        let starts = &self.starts[self.first(row, cell) + 1..][..(1 << self.bits) - 1];
        starts.partition_point(|start| *start <= count) as u8
    }
}

/// The levels of one phase, as least count and value: nothing, then `first` and what follows by
/// factors of `base`.
fn table(first: u128, base: u128) -> Vec<(u32, u64)> {
    let mut table = vec![(0, 0)];
    let mut power = first;
    while power <= u128::from(u32::MAX - 1) << POWER_BITS {
        let start = power.div_ceil(1 << POWER_BITS) as u32;
        let half = 1 << (POWER_BITS - LEVEL_FRACTION_BITS - 1);
        let value = ((power + half) >> (POWER_BITS - LEVEL_FRACTION_BITS)) as u64;
        match table.last_mut() {
            // Of two powers with no count between them the larger one counts.
            Some(last) if last.0 == start => last.1 = value,
            _ => table.push((start, value)),
        }
        power = (power * base) >> POWER_BITS;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::Levels;

    #[test]
    fn with_one_phase_and_epsilon_one_levels_are_powers_of_two() {
        let levels = Levels::new(1_000_000, 1).unwrap();
        for (count, value) in [
            (0, 0),
            (1, 16),
            (2, 32),
            (3, 32),
            (4, 64),
            (7, 64),
            (8, 128),
        ] {
            assert_eq!(levels.value(0, 0, count), value, "{count}");
            assert_eq!(levels.value(3, 17, count), value, "{count}");
        }
        assert_eq!(levels.value(0, 0, (1 << 31) + 5), 1 << 35);
    }

    #[test]
    fn oracle_a_level_is_the_largest_shifted_power_not_above_the_count() {
        for (epsilon, phases) in [(0.1, 1), (0.5, 4), (1.0, 16), (3.0, 64), (10.0, 2)] {
            let levels = Levels::new((epsilon * 1e6) as u32, phases).unwrap();
            for cell in 0..phases as u16 {
                for count in [1, 2, 3, 5, 7, 10, 100, 999, 12_345, 1 << 20, 3_000_000_000] {
                    let phase = f64::from(cell) / f64::from(phases);
                    let steps = f64::from(count).log(1.0 + epsilon) - phase;
                    // No count here is near a power, but for one that is a power.
                    let power = (1.0f64 + epsilon).powf((steps + 1e-9).floor() + phase);
                    let value = levels.value(0, cell, count) as f64 / 16.0;
                    let error = (value - power).abs();
                    assert!(
                        error <= 0.5 / 16.0 + 1e-6 * power,
                        "{epsilon} {cell} {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn levels_ascend_without_gaps_and_fit_a_byte() {
        for (epsilon_ppm, phases) in [(100_000, 64), (500_000, 16), (10_000_000, 1)] {
            let levels = Levels::new(epsilon_ppm, phases).unwrap();
            for cell in 0..phases as u16 {
                let last = levels.find(0, cell, u32::MAX - 1);
                assert_eq!((levels.start(0, cell, 0), levels.end(0, cell, 0)), (0, 1));
                for level in 1..=last {
                    let (start, end) = (levels.start(0, cell, level), levels.end(0, cell, level));
                    assert!(start < end && start == levels.end(0, cell, level - 1));
                    let value = |level| levels.value_of(0, cell, level);
                    assert!(value(level) >= value(level - 1));
                    for count in [start, end - 1] {
                        assert_eq!(levels.find(0, cell, count), level);
                    }
                }
                assert_eq!(levels.end(0, cell, last), u32::MAX);
            }
        }
    }

    #[test]
    fn phases_differ_between_the_cells_of_a_row_and_between_rows() {
        let levels = Levels::new(1_000_000, 16).unwrap();
        let mut values: Vec<u64> = (0..16).map(|cell| levels.value(0, cell, 1000)).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 16);
        assert_ne!(levels.value(0, 0, 1000), levels.value(1, 0, 1000));
    }

    #[test]
    fn steps_too_small_and_odd_phases_are_refused() {
        assert!(Levels::new(99_999, 1).is_none());
        assert!(Levels::new(10_000_001, 1).is_none());
        assert!(Levels::new(1_000_000, 3).is_none());
        assert!(Levels::new(1_000_000, 128).is_none());
    }
}
