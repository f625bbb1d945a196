//! Where each cell's members begin and end in a row that is sorted by cell.
//!
//! A start for every cell takes four bytes, which at 20,000 cells is 20 bytes a document over 128
//! rows, and eight times that in a part. Here a cell has its length in a byte, and every twelfth its
//! start beside them, so that one line of the cache tells all.

use std::ops::Range;

use crate::chunks::prefetch;

const BLOCK: usize = 12;
/// A length that did not fit.
const LONG: u8 = u8::MAX;
/// Beside a start: a length in this block did not fit.
const HAS_LONG: u32 = 1 << 31;

#[derive(Clone, Copy, Default)]
#[repr(C, align(16))]
struct Block {
    /// Where the members of the first cell begin.
    start: u32,
    lengths: [u8; BLOCK],
}

impl Block {
    /// The sum of the first `cells` lengths.
    #[inline(always)]
    fn sum(&self, cells: usize) -> usize {
        // All bytes at once: a loop would be left at another place every time.
        let mut bytes = [0; 16];
        bytes[..BLOCK].copy_from_slice(&self.lengths);
        let bytes = u128::from_le_bytes(bytes) & ((1 << (8 * cells)) - 1);
        const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
        let pairs = |bytes: u64| (bytes & EVEN) + (bytes >> 8 & EVEN);
        let pairs = pairs(bytes as u64) + pairs((bytes >> 64) as u64);
        (pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48) as usize
    }
}

#[derive(Default)]
pub(super) struct Bounds {
    blocks: Box<[Block]>,
    /// The cells whose lengths did not fit, ascending, and these lengths.
    long: Box<[(u16, u32)]>,
}

impl Bounds {
    /// The bounds of cells of these lengths, which together are less than 2³¹.
    pub(super) fn new(lengths: &[u32]) -> Self {
        let mut long = Vec::new();
        let mut start = 0;
        let blocks = lengths.chunks(BLOCK).enumerate().map(|(at, lengths)| {
            let mut block = Block {
                start,
                ..Block::default()
            };
            for (k, &length) in lengths.iter().enumerate() {
                if length >= u32::from(LONG) {
                    block.start |= HAS_LONG;
                    long.push(((at * BLOCK + k) as u16, length));
                }
                block.lengths[k] = length.min(u32::from(LONG)) as u8;
                start += length;
            }
            block
        });
        Bounds {
            blocks: blocks.collect(),
            long: long.into(),
        }
    }

    /// Which members are in a cell.
    #[inline(always)]
    pub(super) fn of(&self, cell: u16) -> Range<usize> {
        let (at, k) = (usize::from(cell) / BLOCK, usize::from(cell) % BLOCK);
        let block = &self.blocks[at];
        if block.start & HAS_LONG != 0 {
            return self.of_long(at, cell);
        }
        let start = block.start as usize + block.sum(k);
        start..start + usize::from(block.lengths[k])
    }

    /// The same for a cell in a block that has a long one.
    #[cold]
    fn of_long(&self, at: usize, cell: u16) -> Range<usize> {
        let first = at * BLOCK;
        let mut long = self.long[self
            .long
            .partition_point(|long| usize::from(long.0) < first)..]
            .iter();
        let mut start = (self.blocks[at].start & !HAS_LONG) as usize;
        let mut end = start;
        for &length in &self.blocks[at].lengths[..=usize::from(cell) - first] {
            start = end;
            end += match length {
                LONG => long.next().map_or(0, |long| long.1 as usize),
                length => usize::from(length),
            };
        }
        start..end
    }

    /// The lengths that did not fit, for [`length`](Self::length).
    pub(super) fn long(&self) -> impl Iterator<Item = u32> {
        self.long.iter().map(|long| long.1)
    }

    /// The length of a cell, if all are asked for in order with the same `long`.
    #[inline(always)]
    pub(super) fn length(&self, cell: usize, long: &mut impl Iterator<Item = u32>) -> usize {
        match self.blocks[cell / BLOCK].lengths[cell % BLOCK] {
            LONG => long.next().map_or(0, |long| long as usize),
            length => usize::from(length),
        }
    }

    /// Asks for the memory of a cell's bounds.
    #[inline(always)]
    pub(super) fn prefetch(&self, cell: u16) {
        prefetch(&self.blocks[usize::from(cell) / BLOCK]);
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.blocks) + size_of_val(&*self.long)
    }
}

#[cfg(test)]
mod tests {
    use super::Bounds;

    #[test]
    fn oracle_bounds_are_the_running_sums_of_the_lengths() {
        let lengths: Vec<u32> = (0..1000)
            .map(|cell| match cell {
                17 | 18 => 255,
                20 | 500 | 511 => 300 + cell,
                600..612 => 254,
                999 => 200_000,
                _ => cell * 7919 % 29 / 3 * (cell % 3) + u32::from(cell == 40) * 254,
            })
            .collect();
        let bounds = Bounds::new(&lengths);
        let (mut start, mut long) = (0, bounds.long());
        for (cell, &length) in lengths.iter().enumerate() {
            let end = start + length as usize;
            assert_eq!(bounds.length(cell, &mut long), length as usize);
            assert_eq!(bounds.of(cell as u16), start..end, "{cell}");
            start = end;
        }
    }
}
