//! Which documents are in a cell: shards of consecutive arrivals, each with a list for every cell.
//!
//! A document has a position: a shard and an offset in it. When a cell changes level, its list in
//! every shard is walked and the difference added to the members' sums. The dead stay in the lists;
//! a shard of which more than a quarter is dead is emptied, in slices: its documents move to the
//! shard that is being filled.

use crate::density::by_row::by_row;
use crate::density::document::{Document, Packed, Watch, leap};
use crate::density::part::PART;
use crate::density::shard::{FULL, OFFSET_BITS, Shard, Step};
use crate::density::slots::Codes;

/// Documents entered together, at most.
const TOGETHER: usize = 1 << 14;

/// Rows of documents that are sorted or merged for each row of each document that comes. Each is
/// sorted once and merged once, so with two there would always be some left to do.
const PACE: usize = 3;

pub(super) struct Shards {
    rows: usize,
    cells: usize,
    shards: Vec<Option<Box<Shard>>>,
    /// The shard that takes arrivals.
    filling: Option<usize>,
    /// The shard that is being emptied, and the offset up to which it is.
    emptying: Option<(usize, usize)>,
    /// Rows of documents that may be sorted or merged now.
    due: usize,
    /// Members looked at since the beginning.
    touches: u64,
}

fn position(shard: usize, offset: usize) -> u32 {
    (shard << OFFSET_BITS | offset) as u32
}

fn parts(position: u32) -> (usize, usize) {
    let position = position as usize;
    (position >> OFFSET_BITS, position & ((1 << OFFSET_BITS) - 1))
}

impl Shards {
    pub(super) fn new(rows: usize, cells: usize) -> Self {
        Shards {
            rows,
            cells,
            shards: Vec::new(),
            filling: None,
            emptying: None,
            due: 0,
            touches: 0,
        }
    }

    /// A shard with room, made if there is none.
    fn filling(&mut self) -> usize {
        if let Some(at) = self.filling
            && self.shards[at]
                .as_ref()
                .is_some_and(|shard| !shard.is_full())
        {
            return at;
        }
        let vacant = self.shards.iter().position(Option::is_none);
        let at = vacant.unwrap_or_else(|| {
            self.shards.push(None);
            self.shards.len() - 1
        });
        assert!(at < 1 << 12, "a worker holds fewer than 2^31 documents");
        self.shards[at] = Some(Box::new(Shard::new(self.rows, self.cells)));
        self.filling = Some(at);
        at
    }

    /// How many documents can be entered together now.
    pub(super) fn room(&mut self) -> usize {
        let at = self.filling();
        let room = self.shards[at]
            .as_ref()
            .map_or(0, |shard| shard.lists.room());
        room.min(TOGETHER)
    }

    /// Enters documents, for which there is room, with their codes row by row; the position of the
    /// first.
    pub(super) fn enter(&mut self, documents: &[Document], codes: &[u16], watch: &Watch) -> u32 {
        let at = self.filling();
        let shard = self.shards[at]
            .as_mut()
            .expect("the shard being filled is there");
        let first = shard.len();
        shard.extend(documents, codes, watch);
        self.due += PACE * documents.len() * self.rows;
        self.tidy();
        position(at, first)
    }

    /// Sorts and merges what is due: first what is followed more slowly.
    fn tidy(&mut self) {
        while self.due >= FULL {
            let mut shards = self.shards.iter_mut().flatten();
            self.due -= if shards.any(|shard| shard.lists.sort()) {
                PART
            } else if self
                .shards
                .iter_mut()
                .flatten()
                .any(|shard| shard.lists.merge())
            {
                FULL
            } else {
                self.due
            };
        }
    }

    fn shard(&self, at: usize) -> &Shard {
        self.shards[at].as_ref().expect("a position is in a shard")
    }

    fn shard_mut(&mut self, at: usize) -> &mut Shard {
        self.shards[at].as_mut().expect("a position is in a shard")
    }

    pub(super) fn get(&self, position: u32) -> Document {
        let (shard, offset) = parts(position);
        self.shard(shard).get(offset)
    }

    pub(super) fn set(&mut self, position: u32, document: &Document, watch: &Watch) {
        let (shard, offset) = parts(position);
        self.shard_mut(shard).set(offset, document, watch);
    }

    /// Asks for the memory of a document.
    #[inline(always)]
    pub(super) fn prefetch(&self, position: u32) {
        let (shard, offset) = parts(position);
        self.shard(shard).prefetch(offset);
    }

    /// Takes a document out of all that follows.
    pub(super) fn kill(&mut self, position: u32) {
        let (shard, offset) = parts(position);
        self.shard_mut(shard).kill(offset);
    }

    /// Adds level changes, whose rows ascend, to the sums of all members, and then calls `look` for
    /// each document for which they matter, and `ahead` some time before.
    pub(super) fn walk<T>(
        &mut self,
        steps: &[Step],
        watch: &Watch,
        drawn: &mut T,
        ahead: impl Fn(&T, &Packed),
        look: impl Fn(&mut T, &mut Document),
    ) {
        let limit = leap(self.rows);
        let (leaps, steps): (Vec<Step>, Vec<Step>) = steps
            .iter()
            .partition(|step| step.difference.unsigned_abs() > limit);
        for shard in self.shards.iter_mut().flatten() {
            self.touches += shard.walk(&steps) as u64;
            if !leaps.is_empty() {
                self.touches += shard.leap(&leaps) as u64;
            }
            shard.look(watch, drawn, &ahead, &look);
        }
    }

    /// Calls `look` for every live document.
    pub(super) fn each(&self, mut look: impl FnMut(&Document)) {
        for shard in self.shards.iter().flatten() {
            (0..shard.len())
                .filter(|offset| !shard.is_dead(*offset))
                .for_each(|offset| look(&shard.get(offset)));
        }
    }

    /// Calls `look` for every live document, which may change it.
    pub(super) fn each_mut(&mut self, watch: &Watch, mut look: impl FnMut(&mut Document)) {
        for shard in self.shards.iter_mut().flatten() {
            for offset in 0..shard.len() {
                if !shard.is_dead(offset) {
                    let mut document = shard.get(offset);
                    look(&mut document);
                    shard.set(offset, &document, watch);
                }
            }
        }
    }

    /// Moves up to `budget` documents out of a shard with many dead; `moved` hears their slots and
    /// new positions.
    pub(super) fn empty(
        &mut self,
        budget: usize,
        codes: &Codes,
        watch: &Watch,
        mut moved: impl FnMut(u32, u32),
    ) {
        let Some((at, from)) = self.emptying.or_else(|| self.sparse().map(|at| (at, 0))) else {
            return;
        };
        let shard = self.shard_mut(at);
        let to = (from + budget).min(shard.len());
        let mut live = Vec::with_capacity(to - from);
        for offset in from..to {
            if !shard.is_dead(offset) {
                live.push(shard.get(offset));
                shard.kill(offset);
            }
        }
        let mut rest = live.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(self.room().min(rest.len()));
            let by_row = by_row(some.len(), 0..self.rows, |i| codes.get(some[i].slot));
            let first = self.enter(some, &by_row, watch);
            (first..)
                .zip(some)
                .for_each(|(position, document)| moved(document.slot, position));
            rest = others;
        }
        self.emptying = Some((at, to));
        if self.shard(at).len() == to {
            self.shards[at] = None;
            self.emptying = None;
        }
    }

    /// A full shard of which more than a quarter is dead.
    fn sparse(&self) -> Option<usize> {
        let sparse = |shard: &Shard| shard.is_full() && shard.dead > FULL / 4;
        self.shards
            .iter()
            .position(|shard| shard.as_ref().is_some_and(|shard| sparse(shard)))
    }

    pub(super) fn touches(&self) -> u64 {
        self.touches
    }

    pub(super) fn bytes(&self) -> usize {
        let shards = self.shards.iter().flatten();
        shards.map(|shard| shard.bytes()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::Shards;
    use crate::density::document::{Document, Watch};
    use crate::density::shard::{FULL, Step};
    use crate::density::slots::Codes;

    const ROWS: u16 = 2;
    const WATCH: Watch = Watch::new(1 << 10);
    const LEAP: i64 = 1 << 40;

    fn codes(slot: u32) -> [u16; ROWS as usize] {
        [0, 1].map(|row| (slot.wrapping_mul(2_654_435_761) >> (16 + row)) as u16 % 9)
    }

    /// Adds 1 to the sums of the first row's cell 3 and more than a gauge takes in to those of the
    /// second row's cell 5, and looks that all living members had it, and nobody else.
    fn check(shards: &mut Shards, positions: &[Option<u32>]) {
        let steps = [(0, 3, 1), (1, 5, LEAP)].map(|(row, cell, difference)| Step {
            row,
            cell,
            difference,
        });
        shards.walk(&steps, &WATCH, &mut (), |_, _| (), |_, _| ());
        for (slot, position) in (0..).zip(positions) {
            let Some(position) = *position else { continue };
            let document = shards.get(position);
            let [one, two] = codes(slot);
            let sum = u64::from(one == 3) + LEAP as u64 * u64::from(two == 5);
            assert_eq!((document.slot, document.sum), (slot, sum));
            shards.set(position, &Document { sum: 0, ..document }, &WATCH);
        }
    }

    #[test]
    fn oracle_members_are_the_same_while_a_shard_is_merged_and_emptied() {
        let mut shards = Shards::new(ROWS.into(), 9);
        let mut all = Codes::new(ROWS.into());
        let end = FULL as u32 + 50_000;
        let mut positions = Vec::new();
        while (positions.len() as u32) < end {
            let first = positions.len() as u32;
            let slots = first..end.min(first + shards.room() as u32);
            let documents: Vec<Document> = slots
                .clone()
                .map(|slot| Document::new(slot, 1, 0, &WATCH))
                .collect();
            slots.clone().for_each(|slot| {
                all.reach(slot);
                all.set(slot, &codes(slot));
            });
            let by_row: Vec<u16> = (0..usize::from(ROWS))
                .flat_map(|row| slots.clone().map(move |slot| codes(slot)[row]))
                .collect();
            let position = shards.enter(&documents, &by_row, &WATCH);
            positions.extend((position..).take(documents.len()).map(Some));
        }
        check(&mut shards, &positions);
        for slot in (0..FULL).filter(|slot| slot % 7 < 2) {
            shards.kill(positions[slot].take().expect("each is killed once"));
        }
        let before = shards.shards.iter().flatten().count();
        for slice in 0.. {
            let mut moved = Vec::new();
            shards.empty(30_000, &all, &WATCH, |slot, position| {
                moved.push((slot, position))
            });
            if moved.is_empty() {
                assert!(slice > FULL / 30_000);
                break;
            }
            for (slot, position) in moved {
                positions[slot as usize] = Some(position);
            }
            if slice % 4 == 0 {
                check(&mut shards, &positions);
            }
        }
        check(&mut shards, &positions);
        assert!(shards.shards[0].is_none() && shards.shards.iter().flatten().count() == before - 1);
    }
}
