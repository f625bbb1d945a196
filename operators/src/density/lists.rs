//! A shard's documents by cell, for each row.
//!
//! While a shard fills, a row is chains, which take a document in two writes. Once it is full, a
//! row at a time is sorted by cell, so that a cell's documents lie side by side: following a chain
//! waits for the memory at every link.

use crate::chunks::prefetch;
use crate::density::bounds::Bounds;
use crate::density::shards::Step;
use crate::density::touches::Touches;

/// How many steps ahead a list's bounds are asked for, and then its members.
const AHEAD_OF_BOUNDS: usize = 32;
const AHEAD_OF_MEMBERS: usize = 16;
/// Members that are asked for ahead, and how many share a line of the cache.
const MEMBERS: usize = 96;
const LINE: usize = 32;
/// Chains that are followed side by side.
const SIDE_BY_SIDE: usize = 64;

enum Row {
    /// The last arrival by cell, and for each document the one before it in the same cell: both are
    /// offsets plus one, and 0 ends a chain.
    Chains { last: Box<[u16]>, before: Vec<u16> },
    /// The members of all cells, one after the other.
    Sorted { bounds: Bounds, members: Box<[u16]> },
}

pub(super) struct Lists {
    rows: Vec<Row>,
    /// How many rows, from the first on, are sorted.
    sorted: usize,
}

impl Lists {
    /// Lists with room for `documents`.
    pub(super) fn new(rows: usize, cells: usize, documents: usize) -> Self {
        let chains = || Row::Chains {
            last: vec![0; cells].into(),
            before: Vec::with_capacity(documents),
        };
        Lists {
            rows: (0..rows).map(|_| chains()).collect(),
            sorted: 0,
        }
    }

    /// Enters the next documents, whose codes come row by row. No row is sorted yet.
    pub(super) fn extend(&mut self, documents: usize, codes: &[u16]) {
        for (row, codes) in self.rows.iter_mut().zip(codes.chunks_exact(documents)) {
            let Row::Chains { last, before } = row else {
                unreachable!("a shard with sorted rows is full");
            };
            for (i, &code) in codes.iter().enumerate() {
                if let Some(&later) = codes.get(i + AHEAD_OF_BOUNDS) {
                    prefetch(&last[usize::from(later)]);
                }
                let this = before.len() as u16 + 1;
                before.push(std::mem::replace(&mut last[usize::from(code)], this));
            }
        }
    }

    /// Sorts the next row; false if all are.
    pub(super) fn sort(&mut self) -> bool {
        let Some(row) = self.rows.get_mut(self.sorted) else {
            return false;
        };
        if let Row::Chains { last, before } = row {
            let mut members = Vec::with_capacity(before.len());
            let bounds = Bounds::new(last.iter().map(|&last| {
                let (mut this, start) = (last, members.len());
                while this != 0 {
                    members.push(this - 1);
                    this = before[usize::from(this) - 1];
                }
                members.len() - start
            }));
            *row = Row::Sorted {
                bounds,
                members: members.into(),
            };
        }
        self.sorted += 1;
        true
    }

    /// Queues a touch for each member of each step's cell; `flush` empties the queue when it is
    /// full. The steps' rows ascend.
    pub(super) fn touch(
        &self,
        steps: &[Step],
        queue: &mut Touches,
        mut flush: impl FnMut(&mut Touches),
    ) {
        let chains = steps.partition_point(|step| usize::from(step.row) < self.sorted);
        let (sorted, chained) = steps.split_at(chains);
        for (i, step) in sorted.iter().enumerate() {
            if let Some(later) = sorted.get(i + AHEAD_OF_BOUNDS)
                && let Row::Sorted { bounds, .. } = &self.rows[usize::from(later.row)]
            {
                bounds.prefetch(later.cell);
            }
            if let Some(later) = sorted.get(i + AHEAD_OF_MEMBERS) {
                self.members(later)
                    .iter()
                    .take(MEMBERS)
                    .step_by(LINE)
                    .for_each(prefetch);
            }
            queue.extend(self.members(step), step.difference);
            if queue.is_full() {
                flush(queue);
            }
        }
        for steps in chained.chunks(SIDE_BY_SIDE) {
            self.follow(steps, queue);
            if queue.is_full() {
                flush(queue);
            }
        }
        flush(queue);
    }

    /// The members of a cell in a sorted row.
    fn members(&self, step: &Step) -> &[u16] {
        match &self.rows[usize::from(step.row)] {
            Row::Sorted { bounds, members } => &members[bounds.of(step.cell)],
            Row::Chains { .. } => &[],
        }
    }

    /// Follows some chains side by side.
    fn follow(&self, steps: &[Step], queue: &mut Touches) {
        let mut open: Vec<(&[u16], u16, i64)> = Vec::with_capacity(steps.len());
        for step in steps {
            if let Row::Chains { last, before } = &self.rows[usize::from(step.row)] {
                open.push((before, last[usize::from(step.cell)], step.difference));
            }
        }
        while !open.is_empty() {
            open.retain_mut(|(before, this, difference)| {
                if *this == 0 {
                    return false;
                }
                queue.extend(&[*this - 1], *difference);
                *this = before[usize::from(*this) - 1];
                true
            });
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let bytes = |row: &Row| match row {
            Row::Chains { last, before } => (last.len() + before.capacity()) * size_of::<u16>(),
            Row::Sorted { bounds, members } => bounds.bytes() + size_of_val(&**members),
        };
        self.rows.iter().map(bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Lists;
    use crate::density::document::{Document, Watch};
    use crate::density::shards::Step;
    use crate::density::touches::Touches;

    #[test]
    fn sorted_rows_and_chains_have_the_same_members() {
        let (rows, cells, documents) = (5u16, 7u16, 1000);
        let code = |row: u16, i: usize| (i * i + usize::from(row)) as u16 % cells;
        let codes: Vec<u16> = (0..rows)
            .flat_map(|row| (0..documents).map(move |i| code(row, i)))
            .collect();
        let mut lists = Lists::new(rows.into(), cells.into(), documents);
        lists.extend(documents, &codes);
        let steps: Vec<Step> = (0..rows)
            .flat_map(|row| {
                [1, 4, 6].map(|cell| Step {
                    row,
                    cell,
                    difference: 1 << (4 * row),
                })
            })
            .collect();
        loop {
            let mut all: Vec<Document> = (0..documents).map(|_| Document::default()).collect();
            lists.touch(&steps, &mut Touches::default(), |queue| {
                queue.flush(&mut all, &Watch::new(1 << 30), &mut Vec::new());
            });
            for (i, document) in all.iter().enumerate() {
                let touched = |row: &u16| [1, 4, 6].contains(&code(*row, i));
                let sum: u64 = (0..rows).filter(touched).map(|row| 1 << (4 * row)).sum();
                assert_eq!(document.sum(), sum);
            }
            if !lists.sort() {
                break;
            }
        }
    }
}
