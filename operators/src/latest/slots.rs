//! Which live document has which slot: 16 bytes of id by slot, and hash tables of slots.
//!
//! One table of 10⁷ entries stops everything for 200 ms when it grows, so there are many, of
//! staggered sizes, so that they grow one after the other.

use hashbrown::HashMap;

use crate::DocumentHash;
use crate::chunks::Chunks;
use crate::latest::table::Table;

const TABLES: usize = 1024;
/// How far ahead of its use a table's memory is asked for, and then that of the id it leads to.
const AHEAD_OF_TABLE: usize = 24;
const AHEAD_OF_ID: usize = 12;

pub(super) struct Slots {
    /// By slot.
    ids: Chunks<DocumentHash>,
    tables: Vec<Table>,
    /// All slots ever given are below this.
    end: u32,
    free: Vec<u32>,
    /// Documents taken down in this epoch. One that comes back gets its slot again, and nobody else
    /// gets it before the next epoch: within an epoch, a slot is a document.
    departed: HashMap<DocumentHash, u32>,
}

impl Slots {
    pub(super) fn new() -> Self {
        // A table grows by half, so the sizes spread evenly over that factor.
        let size = |table| (16.0 * 1.5f64.powf(table as f64 / TABLES as f64)) as usize;
        Slots {
            ids: Chunks::new(),
            tables: (0..TABLES).map(|table| Table::new(size(table))).collect(),
            end: 0,
            free: Vec::new(),
            departed: HashMap::new(),
        }
    }

    /// Asks for the memory of the documents soon to be looked up, of which `id(n)` is the nth.
    #[inline(always)]
    pub(super) fn prefetch(&self, id: impl Fn(usize) -> Option<DocumentHash>) {
        if let Some(id) = id(AHEAD_OF_TABLE) {
            self.tables[table(id)].prefetch(tag(id));
        }
        if let Some(slot) = id(AHEAD_OF_ID).and_then(|id| self.tables[table(id)].first(tag(id))) {
            self.ids.prefetch(slot as usize);
        }
    }

    #[inline(always)]
    fn search(&self, id: DocumentHash) -> (usize, Option<u32>) {
        self.tables[table(id)].search(tag(id), |slot| self.ids[slot as usize] == id)
    }

    /// The document's slot; a new one if it has none.
    pub(super) fn find_or_assign(&mut self, id: DocumentHash) -> u32 {
        let (at, found) = self.search(id);
        found.unwrap_or_else(|| {
            let slot = self.vacant(id);
            self.ids.reach(slot as usize);
            self.ids[slot as usize] = id;
            self.tables[table(id)].insert(at, tag(id), slot);
            slot
        })
    }

    fn vacant(&mut self, id: DocumentHash) -> u32 {
        let departed = if self.departed.is_empty() {
            None
        } else {
            self.departed.remove(&id)
        };
        departed.or_else(|| self.free.pop()).unwrap_or_else(|| {
            let slot = self.end;
            self.end = slot
                .checked_add(1)
                .expect("a worker holds fewer than 2^32 documents");
            slot
        })
    }

    /// Takes a document's slot away; `None` if it has none.
    pub(super) fn release(&mut self, id: DocumentHash) -> Option<u32> {
        let (at, found) = self.search(id);
        let slot = found?;
        self.tables[table(id)].remove(at);
        self.departed.insert(id, slot);
        Some(slot)
    }

    /// Lets the slots of the departed be given anew.
    pub(super) fn end_epoch(&mut self) {
        self.free
            .extend(self.departed.drain().map(|(_, slot)| slot));
        self.departed.shrink_to(1 << 16);
    }

    pub(super) fn live(&self) -> usize {
        self.end as usize - self.free.len() - self.departed.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.ids.bytes()
            + self.tables.iter().map(Table::bytes).sum::<usize>()
            + self.free.capacity() * size_of::<u32>()
            + self.departed.allocation_size()
    }
}

/// Workers share documents out by the low bits of the first half, so its high bits are uniform.
fn table(id: DocumentHash) -> usize {
    (id.halves()[0] >> (64 - TABLES.ilog2())) as usize
}

fn tag(id: DocumentHash) -> u32 {
    (id.halves()[1] >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::Slots;
    use crate::DocumentHash;
    use crate::draw::mix;

    fn id(n: u64) -> DocumentHash {
        DocumentHash::from_halves([mix(n), mix(!n)])
    }

    #[test]
    fn a_slot_is_one_document_within_an_epoch_and_reused_after_it() {
        let mut slots = Slots::new();
        let first = slots.find_or_assign(id(1));
        assert_eq!(slots.find_or_assign(id(1)), first);
        assert_eq!(slots.release(id(1)), Some(first));
        assert_eq!((slots.release(id(1)), slots.live()), (None, 0));
        assert_ne!(slots.find_or_assign(id(2)), first);
        assert_eq!(
            slots.find_or_assign(id(1)),
            first,
            "it comes back within the epoch"
        );
        slots.release(id(1));
        slots.end_epoch();
        assert_eq!(slots.find_or_assign(id(3)), first);
        assert_eq!(slots.live(), 2);
    }

    #[test]
    fn growing_keeps_every_document() {
        let mut slots = Slots::new();
        for _ in 0..2 {
            for n in 0..100_000 {
                assert_eq!(slots.find_or_assign(id(n)), n as u32);
            }
        }
        assert!(
            slots.bytes() < 100_000 * 24 + (1 << 20) + 50_000,
            "{}",
            slots.bytes()
        );
    }
}
