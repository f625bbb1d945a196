//! Which documents are in a cell: shards of consecutive arrivals, each with a list for every cell.
//!
//! A document has a position: a shard and a 16-bit offset in it. When a cell changes level, its
//! list in every shard is walked and the difference added to the members' sums. The dead stay in
//! the lists; a shard of which more than a quarter is dead is emptied, in slices: its documents
//! move to the shard that is being filled.

use std::collections::VecDeque;

use crate::density::by_row::by_row;
use crate::density::document::{Document, Watch};
use crate::density::lists::Lists;
use crate::density::slots::Codes;
use crate::density::touches::Touches;

/// A level change: what each member of a cell is to add to its sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub row: u16,
    pub cell: u16,
    pub difference: i64,
}

/// Documents in a full shard: offsets are 16 bits, and lists need one more number to end.
pub(super) const FULL: usize = u16::MAX as usize;

/// Documents entered together, at most.
const TOGETHER: usize = 4096;

struct Shard {
    documents: Vec<Document>,
    lists: Lists,
    dead: usize,
    /// Offsets of documents that must be looked at.
    disturbed: Vec<u16>,
}

impl Shard {
    fn is_full(&self) -> bool {
        self.documents.len() == FULL
    }
}

pub(super) struct Shards {
    rows: usize,
    cells: usize,
    shards: Vec<Option<Box<Shard>>>,
    /// The shard that takes arrivals.
    filling: Option<usize>,
    /// The shard that is being emptied, and the offset up to which it is.
    emptying: Option<(usize, usize)>,
    /// Full shards whose rows are not all sorted.
    unsorted: VecDeque<usize>,
    queue: Touches,
    /// Members looked at since the beginning.
    touches: u64,
}

fn position(shard: usize, offset: usize) -> u32 {
    (shard << 16 | offset) as u32
}

fn parts(position: u32) -> (usize, usize) {
    ((position >> 16) as usize, (position & 0xffff) as usize)
}

impl Shards {
    pub(super) fn new(rows: usize, cells: usize) -> Self {
        Shards {
            rows,
            cells,
            shards: Vec::new(),
            filling: None,
            emptying: None,
            unsorted: VecDeque::new(),
            queue: Touches::default(),
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
        assert!(at < 1 << 15, "a worker holds fewer than 2^31 documents");
        self.shards[at] = Some(Box::new(Shard {
            documents: Vec::with_capacity(FULL),
            lists: Lists::new(self.rows, self.cells, FULL),
            dead: 0,
            disturbed: Vec::new(),
        }));
        self.filling = Some(at);
        at
    }

    /// How many documents can be entered together now.
    pub(super) fn room(&mut self) -> usize {
        let at = self.filling();
        (FULL - self.len(at)).min(TOGETHER)
    }

    /// Enters documents, for which there is room; the position of the first.
    pub(super) fn enter(&mut self, documents: &[Document], codes: &Codes) -> u32 {
        let at = self.filling();
        let by_row = by_row(documents.len(), 0..self.rows, |i| {
            codes.get(documents[i].slot)
        });
        let shard = self.shards[at]
            .as_mut()
            .expect("the shard being filled is there");
        let first = shard.documents.len();
        shard.documents.extend_from_slice(documents);
        shard.lists.extend(documents.len(), &by_row);
        if shard.is_full() {
            self.unsorted.push_back(at);
        }
        position(at, first)
    }

    /// Sorts the next `rows` rows of full shards.
    pub(super) fn sort(&mut self, rows: usize) {
        for _ in 0..rows {
            let Some(&at) = self.unsorted.front() else {
                break;
            };
            let sorted = self.shards[at]
                .as_mut()
                .is_some_and(|shard| shard.lists.sort());
            if !sorted {
                self.unsorted.pop_front();
            }
        }
    }

    pub(super) fn get(&self, position: u32) -> &Document {
        let (shard, offset) = parts(position);
        &self.shards[shard]
            .as_ref()
            .expect("a position is in a shard")
            .documents[offset]
    }

    pub(super) fn get_mut(&mut self, position: u32) -> &mut Document {
        let (shard, offset) = parts(position);
        &mut self.shards[shard]
            .as_mut()
            .expect("a position is in a shard")
            .documents[offset]
    }

    /// Takes a document out of all that follows.
    pub(super) fn kill(&mut self, position: u32) {
        let (shard, offset) = parts(position);
        let shard = self.shards[shard]
            .as_mut()
            .expect("a position is in a shard");
        shard.documents[offset].kill();
        shard.dead += 1;
    }

    /// Adds level changes, whose rows ascend, to the sums of all members, and then calls `look` for
    /// each document for which they matter.
    pub(super) fn walk(
        &mut self,
        steps: &[Step],
        watch: &Watch,
        mut look: impl FnMut(&mut Document),
    ) {
        for shard in self.shards.iter_mut().flatten() {
            let Shard {
                documents,
                lists,
                disturbed,
                ..
            } = &mut **shard;
            lists.touch(steps, &mut self.queue, |queue| {
                self.touches += queue.flush(documents, watch, disturbed) as u64;
            });
            for offset in disturbed.drain(..) {
                let document = &mut documents[usize::from(offset)];
                document.calm();
                look(document);
            }
        }
    }

    /// Calls `look` for every live document.
    pub(super) fn each(&mut self, mut look: impl FnMut(&mut Document)) {
        for shard in self.shards.iter_mut().flatten() {
            shard
                .documents
                .iter_mut()
                .filter(|document| !document.is_dead())
                .for_each(&mut look);
        }
    }

    /// Moves up to `budget` documents out of a shard with many dead; `moved` hears their slots and
    /// new positions.
    pub(super) fn empty(&mut self, budget: usize, codes: &Codes, mut moved: impl FnMut(u32, u32)) {
        let Some((at, from)) = self.emptying.or_else(|| self.sparse().map(|at| (at, 0))) else {
            return;
        };
        let shard = self.shards[at].as_ref().expect("a sparse shard is there");
        let to = (from + budget).min(shard.documents.len());
        let mut live = Vec::with_capacity(to - from);
        for offset in from..to {
            let document = *self.get(position(at, offset));
            if !document.is_dead() {
                self.kill(position(at, offset));
                live.push(document);
            }
        }
        let mut rest = live.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(self.room().min(rest.len()));
            let first = self.enter(some, codes);
            (first..)
                .zip(some)
                .for_each(|(position, document)| moved(document.slot, position));
            rest = others;
        }
        self.emptying = Some((at, to));
        if self.len(at) == to {
            self.shards[at] = None;
            self.unsorted.retain(|unsorted| *unsorted != at);
            self.emptying = None;
        }
    }

    fn len(&self, at: usize) -> usize {
        self.shards[at]
            .as_ref()
            .map_or(0, |shard| shard.documents.len())
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
        let bytes = |shard: &Shard| {
            size_of::<Shard>()
                + shard.documents.capacity() * size_of::<Document>()
                + shard.disturbed.capacity() * size_of::<u16>()
                + shard.lists.bytes()
        };
        self.shards.iter().flatten().map(|shard| bytes(shard)).sum()
    }
}
