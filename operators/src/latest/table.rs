//! A hash table from a 32-bit tag to slots, in 8 bytes an entry and with its memory to be
//! prefetched.
//!
//! The tags are uniform bits of a hash already, so the tag itself is the home's address: homes
//! ascend with tags and growing is one sweep that looks at no id. hashbrown's table, which hides
//! its layout, cannot be prefetched and rehashes through the ids; with it `latest` took 2.5 times
//! as long.

use crate::chunks::prefetch;

pub(super) struct Table {
    /// 0, or the tag above the slot plus one; linear probing, never full.
    entries: Box<[u64]>,
    len: usize,
}

impl Table {
    pub(super) fn new(entries: usize) -> Self {
        Table {
            entries: vec![0; entries].into(),
            len: 0,
        }
    }

    #[inline(always)]
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.entries.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() {
            0
        } else {
            at + 1
        }
    }

    /// Asks for the memory where a search begins.
    #[inline(always)]
    pub(super) fn prefetch(&self, tag: u32) {
        prefetch(&self.entries[self.home(tag)]);
    }

    /// The slot at which a search begins, if it has this tag: most searches end there.
    #[inline(always)]
    pub(super) fn first(&self, tag: u32) -> Option<u32> {
        let entry = self.entries[self.home(tag)];
        (tag_of(entry) == tag && entry != 0).then(|| slot_of(entry))
    }

    /// Where the slot is that has this tag and is the right one, or where it would be, and the
    /// slot.
    #[inline(always)]
    pub(super) fn search(&self, tag: u32, right: impl Fn(u32) -> bool) -> (usize, Option<u32>) {
        let mut at = self.home(tag);
        loop {
            let entry = self.entries[at];
            if entry == 0 {
                return (at, None);
            }
            if tag_of(entry) == tag && right(slot_of(entry)) {
                return (at, Some(slot_of(entry)));
            }
            at = self.after(at);
        }
    }

    /// Puts a slot where a search for it ended.
    pub(super) fn insert(&mut self, at: usize, tag: u32, slot: u32) {
        self.entries[at] = u64::from(tag) << 32 | u64::from(slot + 1);
        self.len += 1;
        if self.len * 5 > self.entries.len() * 4 {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let mut larger = Table::new(self.entries.len() * 3 / 2);
        for &entry in self.entries.iter().filter(|entry| **entry != 0) {
            let (at, _) = larger.search(tag_of(entry), |_| false);
            larger.entries[at] = entry;
        }
        self.entries = larger.entries;
    }

    /// Empties a place, and moves the entries behind it back, so that no mark need be left.
    pub(super) fn remove(&mut self, mut hole: usize) {
        let mut at = hole;
        loop {
            at = self.after(at);
            let entry = self.entries[at];
            if entry == 0 {
                break;
            }
            let home = self.home(tag_of(entry));
            if self.distance(home, at) >= self.distance(hole, at) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = 0;
        self.len -= 1;
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from {
            to - from
        } else {
            to + self.entries.len() - from
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.entries)
    }
}

fn tag_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

fn slot_of(entry: u64) -> u32 {
    entry as u32 - 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::Table;
    use crate::draw::mix;

    #[test]
    fn oracle_the_table_finds_what_a_map_finds_while_entries_come_and_go() {
        let (mut table, mut map) = (Table::new(4), HashMap::new());
        for step in 0..20_000 {
            // Few tags, all of them high or low: long runs that wrap around the end.
            let random = mix(step);
            let slot = (random % 300) as u32;
            let tag = if slot.is_multiple_of(3) {
                u32::MAX
            } else {
                slot / 7
            };
            let (at, found) = table.search(tag, |other| other == slot);
            assert_eq!(found.is_some(), map.contains_key(&slot));
            if found.is_none() {
                table.insert(at, tag, slot);
                map.insert(slot, tag);
            } else if random >> 40 & 1 == 0 {
                table.remove(at);
                map.remove(&slot);
            }
            assert_eq!(table.len, map.len());
        }
        for (slot, tag) in map {
            assert_eq!(table.search(tag, |other| other == slot).1, Some(slot));
        }
    }

    #[test]
    fn the_first_slot_is_only_given_for_its_tag() {
        let mut table = Table::new(4);
        assert_eq!(table.first(0), None);
        let (at, _) = table.search(0, |_| false);
        table.insert(at, 0, 9);
        assert_eq!((table.first(0), table.first(1)), (Some(9), None));
        table.prefetch(1);
    }
}
