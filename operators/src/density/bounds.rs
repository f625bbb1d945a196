//! Where each cell's members begin and end in a sorted row, in little more than a byte a cell.
//!
//! A start for every cell takes two bytes, which at 20,000 cells is 78 bytes a document over 128
//! rows. Here a cell has its length, and every sixteenth its start.

use std::ops::Range;

use crate::chunks::prefetch;

const BLOCK: usize = 16;
/// A length that did not fit.
const LONG: u8 = u8::MAX;

#[derive(Default)]
pub(super) struct Bounds {
    /// By block, where the members of its first cell begin.
    starts: Vec<u16>,
    lengths: Vec<u8>,
    /// The cells whose lengths did not fit, ascending, and these lengths.
    long: Vec<(u16, u16)>,
}

impl Bounds {
    /// The bounds of cells of these lengths, which together are at most 65,535.
    pub(super) fn new(lengths: impl ExactSizeIterator<Item = usize>) -> Self {
        let mut bounds = Bounds {
            starts: Vec::with_capacity(lengths.len().div_ceil(BLOCK)),
            lengths: Vec::with_capacity(lengths.len()),
            long: Vec::new(),
        };
        let mut start = 0;
        for (cell, length) in lengths.enumerate() {
            if cell.is_multiple_of(BLOCK) {
                bounds.starts.push(start as u16);
            }
            if length >= usize::from(LONG) {
                bounds.long.push((cell as u16, length as u16));
            }
            bounds.lengths.push(length.min(usize::from(LONG)) as u8);
            start += length;
        }
        bounds.long.shrink_to_fit();
        bounds
    }

    /// Which members are in a cell.
    #[inline(always)]
    pub(super) fn of(&self, cell: u16) -> Range<usize> {
        let at = usize::from(cell);
        let block = at / BLOCK;
        let lengths = &self.lengths[block * BLOCK..=at];
        let end = usize::from(self.starts[block])
            + lengths
                .iter()
                .map(|length| usize::from(*length))
                .sum::<usize>();
        if lengths.contains(&LONG) {
            return self.of_long(cell, end);
        }
        end - usize::from(self.lengths[at])..end
    }

    /// The same for a cell that is long or has a long one before it in its block; `end` is what the
    /// short lengths make.
    #[cold]
    fn of_long(&self, cell: u16, mut end: usize) -> Range<usize> {
        let first = cell / BLOCK as u16 * BLOCK as u16;
        let from = self.long.partition_point(|long| long.0 < first);
        let mut length = usize::from(self.lengths[usize::from(cell)]);
        for &(other, long) in self.long[from..].iter().take_while(|long| long.0 <= cell) {
            end += usize::from(long) - usize::from(LONG);
            if other == cell {
                length = usize::from(long);
            }
        }
        end - length..end
    }

    /// Asks for the memory of a cell's bounds.
    #[inline(always)]
    pub(super) fn prefetch(&self, cell: u16) {
        prefetch(&self.lengths[usize::from(cell)]);
        prefetch(&self.starts[usize::from(cell) / BLOCK]);
    }

    pub(super) fn bytes(&self) -> usize {
        self.starts.capacity() * size_of::<u16>()
            + self.lengths.capacity()
            + self.long.capacity() * size_of::<(u16, u16)>()
    }
}

#[cfg(test)]
mod tests {
    use super::Bounds;

    #[test]
    fn oracle_bounds_are_the_running_sums_of_the_lengths() {
        let lengths: Vec<usize> = (0..1000usize)
            .map(|cell| match cell {
                17 | 18 => 255,
                20 | 500 | 511 => 300 + cell,
                999 => 20_000,
                _ => cell * 7919 % 29 / 3 * (cell % 3) + usize::from(cell == 40) * 254,
            })
            .collect();
        assert!(lengths.iter().sum::<usize>() < 1 << 16);
        let bounds = Bounds::new(lengths.iter().copied());
        let mut start = 0;
        for (cell, length) in lengths.iter().enumerate() {
            assert_eq!(bounds.of(cell as u16), start..start + length, "{cell}");
            start += length;
        }
    }
}
