//! A row of the sketch: how many documents each cell has, and which cells change level.
//!
//! Five bytes a cell, so that a row stays in the cache while an epoch's codes pass over it.

use crate::chunks::prefetch;
use crate::density::levels::Levels;
use crate::density::messages::Moved;

/// How far ahead of its use a cell's memory is asked for.
const AHEAD: usize = 32;

pub(super) struct Row {
    row: u16,
    counts: Vec<u32>,
    /// By cell, as last told.
    levels: Vec<u8>,
    /// Cells whose count has left its level's interval in this epoch, perhaps to come back.
    suspects: Vec<u16>,
    documents: u64,
    /// The sum of the squares of the counts.
    squares: u128,
}

impl Row {
    pub(super) fn new(row: u16, cells: usize) -> Self {
        Row {
            row,
            counts: vec![0; cells],
            levels: vec![0; cells],
            suspects: Vec::new(),
            documents: 0,
            squares: 0,
        }
    }

    pub(super) fn add(&mut self, levels: &Levels, codes: &[u16]) {
        self.documents += codes.len() as u64;
        let mut squares = 0;
        for (i, &cell) in codes.iter().enumerate() {
            self.prefetch(codes.get(i + AHEAD));
            let (count, level) = (
                &mut self.counts[usize::from(cell)],
                self.levels[usize::from(cell)],
            );
            squares += 2 * u64::from(*count) + 1;
            *count += 1;
            if *count == levels.end(self.row, cell, level) {
                self.suspects.push(cell);
            }
        }
        self.squares += u128::from(squares);
    }

    /// Takes documents away that were added before.
    pub(super) fn remove(&mut self, levels: &Levels, codes: &[u16]) {
        self.documents -= codes.len() as u64;
        let mut squares = 0;
        for (i, &cell) in codes.iter().enumerate() {
            self.prefetch(codes.get(i + AHEAD));
            let (count, level) = (
                &mut self.counts[usize::from(cell)],
                self.levels[usize::from(cell)],
            );
            if *count == levels.start(self.row, cell, level) {
                self.suspects.push(cell);
            }
            *count -= 1;
            squares += 2 * u64::from(*count) + 1;
        }
        self.squares -= u128::from(squares);
    }

    #[inline(always)]
    fn prefetch(&self, cell: Option<&u16>) {
        if let Some(&cell) = cell {
            prefetch(&self.counts[usize::from(cell)]);
            prefetch(&self.levels[usize::from(cell)]);
        }
    }

    /// The epoch's net changes of level; what happened in between does not matter.
    pub(super) fn moves(&mut self, levels: &Levels, moved: &mut Vec<Moved>) {
        for cell in self.suspects.drain(..) {
            let level = levels.find(self.row, cell, self.counts[usize::from(cell)]);
            let told = &mut self.levels[usize::from(cell)];
            if *told != level {
                *told = level;
                moved.push(Moved {
                    row: self.row,
                    cell,
                    level,
                });
            }
        }
        // A replay as one epoch has a suspect for each level that each cell passes.
        self.suspects.shrink_to(1 << 12);
    }

    /// How many equally full cells would be as crowded, in thousandths: N² / Σ count².
    pub(super) fn effective_cells_milli(&self) -> u64 {
        let square = u128::from(self.documents) * u128::from(self.documents);
        (1000 * square).checked_div(self.squares).unwrap_or(0) as u64
    }

    pub(super) fn bytes(&self) -> usize {
        self.counts.len() * (size_of::<u32>() + size_of::<u8>())
    }
}

#[cfg(test)]
mod tests {
    use super::Row;
    use crate::density::levels::Levels;

    fn moves(row: &mut Row, levels: &Levels) -> Vec<(u16, u8)> {
        let mut moved = Vec::new();
        row.moves(levels, &mut moved);
        moved
            .iter()
            .map(|moved| (moved.cell, moved.level))
            .collect()
    }

    #[test]
    fn only_the_net_change_of_an_epoch_is_told() {
        let levels = Levels::new(1_000_000, 1).unwrap();
        let mut row = Row::new(0, 4);
        row.add(&levels, &[1, 1, 1, 2, 1]);
        assert_eq!(moves(&mut row, &levels), [(1, 3), (2, 1)]);
        row.remove(&levels, &[1]);
        row.add(&levels, &[1]);
        row.add(&levels, &[3]);
        row.remove(&levels, &[3]);
        assert_eq!(moves(&mut row, &levels), []);
        row.remove(&levels, &[1, 2]);
        assert_eq!(moves(&mut row, &levels), [(1, 2), (2, 0)]);
    }

    #[test]
    fn effective_cells_count_equal_cells_whole_and_crowds_as_one() {
        let levels = Levels::new(1_000_000, 1).unwrap();
        let mut row = Row::new(0, 8);
        assert_eq!(row.effective_cells_milli(), 0);
        row.add(&levels, &[0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(row.effective_cells_milli(), 4000);
        row.remove(&levels, &[1, 1, 2, 3, 2, 3]);
        assert_eq!(row.effective_cells_milli(), 1000);
    }
}
