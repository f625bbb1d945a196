//! The documents of a part of a shard by cell, for each row.
//!
//! While a part fills, a row is chains, which take a document in two writes. Once it is full, a row
//! at a time is sorted by cell, so that a cell's documents lie side by side: following a chain
//! waits for the memory at every link.

use crate::chunks::prefetch;
use crate::density::shard::Step;
use crate::density::sorted::{self, Sorted};
use crate::density::touches::Touches;

/// Documents in a full part: offsets are 16 bits, and chains need one more number to end.
pub(super) const PART: usize = u16::MAX as usize;

/// How far ahead of its use the end of a chain is asked for.
const AHEAD: usize = 32;
/// Documents for which chains get room at once: doubling would waste a third of it.
const GROWTH: usize = 1 << 13;
/// Chains that are followed side by side.
const SIDE_BY_SIDE: usize = 64;

enum Row {
    Chains(Chains),
    Sorted(Sorted),
}

/// The last arrival by cell, and for each document the one before it in the same cell: both are
/// offsets plus one, and 0 ends a chain.
struct Chains {
    last: Box<[u16]>,
    before: Vec<u16>,
}

impl Chains {
    fn extend(&mut self, codes: &[u16]) {
        if self.before.capacity() - self.before.len() < codes.len() {
            self.before.reserve_exact(codes.len().max(GROWTH));
        }
        let next = self.before.len() as u16 + 1;
        let link = |(i, &code): (usize, &u16)| {
            if let Some(&later) = codes.get(i + AHEAD) {
                prefetch(&self.last[usize::from(later)]);
            }
            std::mem::replace(&mut self.last[usize::from(code)], next + i as u16)
        };
        self.before.extend(codes.iter().enumerate().map(link));
    }

    /// Sorts without following any chain: a document's cell is known before its turn, from the
    /// later one in the same cell.
    fn sort(&self) -> Sorted {
        // By offset plus one; what chains end with is written and never read.
        let mut codes = vec![0; self.before.len() + 1];
        for (cell, &last) in (0..=u16::MAX).zip(&self.last) {
            codes[usize::from(last)] = cell;
        }
        let mut lengths = vec![0; self.last.len()];
        for (i, &before) in self.before.iter().enumerate().rev() {
            let code = codes[i + 1];
            lengths[usize::from(code)] += 1;
            codes[usize::from(before)] = code;
        }
        Sorted::of_codes(&codes[1..], &lengths)
    }
}

pub(super) struct Part {
    rows: Vec<Row>,
    documents: usize,
    /// How many rows, from the first on, are sorted.
    sorted: usize,
}

impl Part {
    pub(super) fn new(rows: usize, cells: usize) -> Self {
        let chains = || Chains {
            last: vec![0; cells].into(),
            before: Vec::new(),
        };
        Part {
            rows: (0..rows).map(|_| Row::Chains(chains())).collect(),
            documents: 0,
            sorted: 0,
        }
    }

    pub(super) fn room(&self) -> usize {
        PART - self.documents
    }

    /// Enters the next documents, for which there is room; their codes come row by row.
    pub(super) fn extend(&mut self, documents: usize, codes: &[u16]) {
        self.documents += documents;
        for (row, codes) in self.rows.iter_mut().zip(codes.chunks_exact(documents)) {
            match row {
                Row::Chains(chains) => chains.extend(codes),
                Row::Sorted(_) => unreachable!("a part with sorted rows is full"),
            }
        }
    }

    /// Sorts the next row, if the part is full; false if there is none to sort.
    pub(super) fn sort(&mut self) -> bool {
        if self.room() > 0 {
            return false;
        }
        let Some(row) = self.rows.get_mut(self.sorted) else {
            return false;
        };
        if let Row::Chains(chains) = row {
            *row = Row::Sorted(chains.sort());
        }
        self.sorted += 1;
        true
    }

    /// Takes a sorted row out, for which nobody will ask again.
    pub(super) fn take(&mut self, row: usize) -> Sorted {
        match &mut self.rows[row] {
            Row::Sorted(sorted) => std::mem::take(sorted),
            Row::Chains(_) => unreachable!("rows are sorted before they are taken"),
        }
    }

    /// Touches each member of each step's cell, whose offsets in the shard begin at `base`. The
    /// steps' rows ascend.
    #[inline(always)]
    pub(super) fn touch<T>(
        &self,
        steps: &[Step],
        base: usize,
        touches: &mut Touches<'_, T, impl Fn(&mut T, i64) -> bool>,
    ) {
        let chained = steps.partition_point(|step| usize::from(step.row) < self.sorted);
        let (sorted, chained) = steps.split_at(chained);
        let row = |row: u16| match &self.rows[usize::from(row)] {
            Row::Sorted(sorted) => sorted,
            Row::Chains(_) => unreachable!("these rows are sorted"),
        };
        sorted::each(sorted, row, |offsets, difference| {
            touches.extend(base, offsets, difference)
        });
        for steps in chained.chunks(SIDE_BY_SIDE) {
            self.follow(steps, base, touches);
        }
    }

    /// Follows some chains side by side.
    fn follow<T>(
        &self,
        steps: &[Step],
        base: usize,
        touches: &mut Touches<'_, T, impl Fn(&mut T, i64) -> bool>,
    ) {
        let mut open: Vec<(&[u16], u16, i64)> = Vec::with_capacity(steps.len());
        for step in steps {
            if let Row::Chains(Chains { last, before }) = &self.rows[usize::from(step.row)] {
                open.push((before, last[usize::from(step.cell)], step.difference));
            }
        }
        while !open.is_empty() {
            touches.make_room(open.len());
            open.retain_mut(|(before, this, difference)| {
                if *this == 0 {
                    return false;
                }
                let offset = usize::from(*this) - 1;
                touches.push(base + offset, *difference, true);
                *this = before[offset];
                true
            });
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let bytes = |row: &Row| match row {
            Row::Chains(Chains { last, before }) => {
                (last.len() + before.capacity()) * size_of::<u16>()
            }
            Row::Sorted(sorted) => sorted.bytes(),
        };
        self.rows.iter().map(bytes).sum()
    }
}
