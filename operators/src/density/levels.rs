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

/// How a level's interval begins, ends (exclusively), and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub from: u32,
    pub to: u32,
    pub value: u64,
}

/// For each phase, the intervals of counts that have one value.
///
/// The table of a phase φ has the powers (1+ε)^(k+φ) for all whole k, computed by square roots and
/// products that round down at 40 binary places.
#[derive(Clone, Debug)]
pub struct Levels {
    /// By phase, then ascending; the shorter ones are padded by their last.
    levels: Vec<Level>,
    stride: usize,
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
        let stride = tables.iter().map(Vec::len).max()?;
        let padded = |table: &Vec<Level>| {
            let table = table.clone();
            (0..stride).map(move |level| table[level.min(table.len() - 1)])
        };
        let levels = tables.iter().flat_map(padded).collect();
        Some(Levels {
            levels,
            stride,
            phases,
        })
    }

    /// What a cell with `count` documents adds to the density of each, in sixteenths of a document.
    ///
    /// Nothing for an empty cell.
    pub fn value(&self, row: u16, cell: u16, count: u32) -> u64 {
        self.get(row, cell, self.find(row, cell, count)).value
    }

    /// The levels that the phase of a cell has, ascending.
    #[inline(always)]
    fn of(&self, row: u16, cell: u16) -> &[Level] {
        // Cells are spread by a mixing hash already; the row keeps equal codes out of step.
        let phase = (u32::from(cell) + 5 * u32::from(row)) & (self.phases - 1);
        &self.levels[phase as usize * self.stride..][..self.stride]
    }

    #[inline(always)]
    pub(crate) fn get(&self, row: u16, cell: u16, level: u8) -> Level {
        self.of(row, cell)[usize::from(level)]
    }

    /// Which of the cell's levels a count has.
    pub(crate) fn find(&self, row: u16, cell: u16, count: u32) -> u8 {
        // The padding repeats the last level, which no count is above.
        let above = |level: &Level| level.to <= count;
        self.of(row, cell).partition_point(above) as u8
    }
}

/// The levels of one phase: nothing, then `first` and what follows by factors of `base`.
fn table(first: u128, base: u128) -> Vec<Level> {
    let mut table = vec![Level {
        from: 0,
        to: 1,
        value: 0,
    }];
    let mut power = first;
    while power <= u128::from(u32::MAX - 1) << POWER_BITS {
        let from = power.div_ceil(1 << POWER_BITS) as u32;
        let half = 1 << (POWER_BITS - LEVEL_FRACTION_BITS - 1);
        let value = ((power + half) >> (POWER_BITS - LEVEL_FRACTION_BITS)) as u64;
        let level = Level {
            from,
            to: u32::MAX,
            value,
        };
        match table.last_mut() {
            // Of two powers with no count between them the larger one counts.
            Some(last) if last.from == from => *last = level,
            Some(last) => {
                last.to = from;
                table.push(level);
            }
            None => table.push(level),
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
            assert!(levels.stride <= 256);
            for cell in 0..phases as u16 {
                let all = levels.of(0, cell);
                assert_eq!((all[0].from, all[0].to, all[0].value), (0, 1, 0));
                for (one, next) in all.iter().zip(&all[1..]) {
                    let padding = one == next;
                    assert!(padding || one.to == next.from && one.value <= next.value);
                }
                assert_eq!(all[levels.stride - 1].to, u32::MAX);
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
