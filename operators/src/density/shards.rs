//! Which documents are in a cell: shards of consecutive arrivals, each with a list for every cell.
//!
//! A document has a position: a shard and a 16-bit offset in it. When a cell changes level, its
//! list in every shard is walked and the difference added to the members' sums. The dead stay in
//! the lists; a shard of which more than a quarter is dead is emptied, in slices: its documents
//! move to the shard that is being filled.

use crate::density::document::{Document, Watch};
use crate::density::lists::Lists;
use crate::density::slots::Codes;

/// A level change: what each member of a cell is to add to its sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub row: u16,
    pub cell: u16,
    pub difference: i64,
}

/// Documents in a full shard: offsets are 16 bits, and lists need one more number to end.
pub(super) const FULL: usize = u16::MAX as usize;

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
            documents: Vec::new(),
            lists: Lists::new(self.rows, self.cells),
            dead: 0,
            disturbed: Vec::new(),
        }));
        self.filling = Some(at);
        at
    }

    /// Enters a document; its position.
    pub(super) fn enter(&mut self, document: Document, codes: &[u16]) -> u32 {
        let at = self.filling();
        let shard = self.shards[at]
            .as_mut()
            .expect("the shard being filled is there");
        shard.documents.push(document);
        shard.lists.push(codes);
        position(at, shard.documents.len() - 1)
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

    /// Adds level changes to the sums of all members, and then calls `look` for each document for
    /// which they matter.
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
            for step in steps {
                lists.each(step.row, step.cell, |offset| {
                    self.touches += 1;
                    if documents[usize::from(offset)].shift(step.difference, watch) {
                        disturbed.push(offset);
                    }
                });
            }
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
        for offset in from..to {
            let document = *self.get(position(at, offset));
            if !document.is_dead() {
                self.kill(position(at, offset));
                let position = self.enter(document, codes.get(document.slot));
                moved(document.slot, position);
            }
        }
        self.emptying = Some((at, to));
        if self.get_len(at) == to {
            self.shards[at] = None;
            self.emptying = None;
        }
    }

    fn get_len(&self, at: usize) -> usize {
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
