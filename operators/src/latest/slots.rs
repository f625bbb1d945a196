//! Which live document has which slot: 16 bytes of id by slot, and hash tables of slots.
//!
//! One table of 10⁷ entries stops everything for 200 ms when it grows, so there are many. Their
//! shares of the documents differ evenly by a factor of two, so that they grow one after the other.

use hashbrown::{HashMap, HashTable};

use crate::DocumentHash;
use crate::chunks::Chunks;

const TABLES: u64 = 1024;

pub(super) struct Slots {
    /// By slot.
    ids: Chunks<DocumentHash>,
    tables: Vec<HashTable<u32>>,
    /// All slots ever given are below this.
    end: u32,
    free: Vec<u32>,
    /// Documents taken down in this epoch. One that comes back gets its slot again, and nobody else
    /// gets it before the next epoch: within an epoch, a slot is a document.
    departed: HashMap<DocumentHash, u32>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Slots {
            ids: Chunks::new(),
            tables: (0..TABLES).map(|_| HashTable::new()).collect(),
            end: 0,
            free: Vec::new(),
            departed: HashMap::new(),
        }
    }

    #[inline]
    pub(super) fn find(&self, id: DocumentHash) -> Option<u32> {
        let ids = &self.ids;
        self.tables[table(id)]
            .find(hash(id), |&slot| ids[slot as usize] == id)
            .copied()
    }

    /// Gives a slot to a document that has none.
    pub(super) fn assign(&mut self, id: DocumentHash) -> u32 {
        let departed = if self.departed.is_empty() {
            None
        } else {
            self.departed.remove(&id)
        };
        let slot = departed.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.end = self
                .end
                .checked_add(1)
                .expect("a worker holds fewer than 2^32 documents");
            self.end - 1
        });
        self.ids.reach(slot as usize);
        self.ids[slot as usize] = id;
        let ids = &self.ids;
        self.tables[table(id)].insert_unique(hash(id), slot, |&slot| hash(ids[slot as usize]));
        slot
    }

    /// Takes a document's slot away; `None` if it has none.
    pub(super) fn release(&mut self, id: DocumentHash) -> Option<u32> {
        let ids = &self.ids;
        let found = self.tables[table(id)].find_entry(hash(id), |&slot| ids[slot as usize] == id);
        let (slot, _) = found.ok()?.remove();
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
        let tables: usize = self.tables.iter().map(HashTable::allocation_size).sum();
        self.ids.bytes()
            + tables
            + self.tables.len() * size_of::<HashTable<u32>>()
            + self.free.capacity() * size_of::<u32>()
            + self.departed.allocation_size()
    }
}

/// Workers share documents out by the first half of the hash, so the second half is still uniform.
fn hash(id: DocumentHash) -> u64 {
    let [_, second] = id.halves();
    // The table takes its bucket from the low bits, and three of those are always clear.
    second.rotate_right(DocumentHash::CLEAR.count_ones())
}

/// The table of a document, by the first 32 bits of its hash as u in [0, 1): u + u(1 − u)/3.
///
/// Its slope falls from 4/3 to 2/3, so the last table's share is twice the first one's.
fn table(id: DocumentHash) -> usize {
    let u = id.halves()[0] >> 32;
    let stretched = u + (u * ((1 << 32) - u) >> 32) / 3;
    ((stretched * TABLES) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::{Slots, TABLES, table};
    use crate::DocumentHash;
    use crate::draw::mix;

    fn id(n: u64) -> DocumentHash {
        DocumentHash::from_halves([mix(n), mix(!n)])
    }

    #[test]
    fn a_slot_is_one_document_within_an_epoch_and_reused_after_it() {
        let mut slots = Slots::new();
        let first = slots.assign(id(1));
        assert_eq!(slots.find(id(1)), Some(first));
        assert_eq!(slots.release(id(1)), Some(first));
        assert_eq!(
            (slots.find(id(1)), slots.release(id(1)), slots.live()),
            (None, None, 0)
        );
        let second = slots.assign(id(2));
        assert_ne!(first, second);
        assert_eq!(slots.assign(id(1)), first, "it comes back within the epoch");
        slots.release(id(1));
        slots.end_epoch();
        assert_eq!(slots.assign(id(3)), first);
        assert_eq!(slots.live(), 2);
    }

    #[test]
    fn every_table_has_a_share_and_the_last_has_twice_that_of_the_first() {
        let at = |u: u64| table(DocumentHash::from_halves([u << 32, 0]));
        let tables: Vec<usize> = (0..1 << 20).map(|n| at(n << 12)).collect();
        assert!(tables.is_sorted_by(|a, b| b - a <= 1));
        assert_eq!(
            (tables[0], at(u64::from(u32::MAX))),
            (0, TABLES as usize - 1)
        );
        let share = |table| tables.iter().filter(|t| **t == table).count() as f64;
        let ratio = share(TABLES as usize - 2) / share(1);
        assert!((ratio - 2.0).abs() < 0.02, "{ratio}");
    }

    #[test]
    fn growing_keeps_every_document() {
        let mut slots = Slots::new();
        for n in 0..100_000 {
            assert_eq!(u64::from(slots.assign(id(n))), n);
        }
        assert!((0..100_000).all(|n| slots.find(id(n)) == Some(n as u32)));
        assert_eq!(slots.find(id(100_000)), None);
    }
}
