//! A shard's documents by cell, for each row.

/// Chains: the last arrival by cell, and for each document the one before it in the same cell.
/// Both are offsets plus one, and 0 ends a chain.
struct Chains {
    last: Vec<u16>,
    before: Vec<u16>,
}

pub(super) struct Lists {
    rows: Vec<Chains>,
}

impl Lists {
    pub(super) fn new(rows: usize, cells: usize) -> Self {
        let chains = || Chains {
            last: vec![0; cells],
            before: Vec::new(),
        };
        Lists {
            rows: (0..rows).map(|_| chains()).collect(),
        }
    }

    /// Enters the next document, with a code for each row.
    pub(super) fn push(&mut self, codes: &[u16]) {
        for (chains, &code) in self.rows.iter_mut().zip(codes) {
            let this = chains.before.len() as u16 + 1;
            let last = std::mem::replace(&mut chains.last[usize::from(code)], this);
            chains.before.push(last);
        }
    }

    /// Calls `f` with the offset of each document of a cell.
    pub(super) fn each(&self, row: u16, cell: u16, mut f: impl FnMut(u16)) {
        let chains = &self.rows[usize::from(row)];
        let mut this = chains.last[usize::from(cell)];
        while this != 0 {
            f(this - 1);
            this = chains.before[usize::from(this) - 1];
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let numbers = |chains: &Chains| chains.last.capacity() + chains.before.capacity();
        self.rows.iter().map(numbers).sum::<usize>() * size_of::<u16>()
    }
}
