//! The selection around the cut: exact keys inside a guard, and numbers of documents outside.
//!
//! Growth alone moves every key, so telling every change to a [`select`](crate::select()) would
//! cost more than the density itself. Hence only the documents inside the guard are in one, and all
//! those below or above it are one document each on every worker, as heavy as there are many.
//! While the cut is inside the guard it is the right one.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::chunks::Chunks;
use crate::density::document::Side;
use crate::density::guard::quota;
use crate::density::messages::Crowd;
use crate::density::order::KEY_END;
use crate::select::messages::{Body, Mail};
use crate::select::protocol::Worker;
use crate::select::{Place, Rate, Stage, View};
use crate::{Change, DocumentHash, Usage};

/// What the selection knows of a document inside the guard, or of all those to a side of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Item {
    key: i64,
    mass: u32,
    slot: u32,
}

/// The slot of an item that stands for many documents.
const MANY: u32 = u32::MAX;
/// Numbers of these items, and the sides that they stand for.
const SIDES: [(u32, Side); 2] = [(0, Side::Below), (1, Side::Above)];

type Select = Worker<Item, fn(&Item, DocumentHash) -> View>;

pub(super) struct Band {
    select: Select,
    index: u32,
    /// By slot, the number in the selection plus one, or 0.
    numbers: Chunks<u32>,
    /// Numbers that are free, and the first that was never given.
    free: Vec<u32>,
    end: u32,
    /// This worker's documents by side.
    held: [u32; 3],
    changes: Vec<Change<Item>>,
    /// Of the documents that the selection tells of, numbers and slots.
    told: Vec<(u32, u32)>,
    /// By number, additions less removals that it tells of; all 0 between uses.
    net: Vec<i8>,
}

impl Band {
    pub(super) fn new(rate: Rate, index: u32, peers: u32) -> Self {
        let view: fn(&Item, DocumentHash) -> View = |item, _| View {
            group: 0,
            key: item.key,
            mass: item.mass,
        };
        Band {
            select: Worker::new(view, Stage::new(quota(rate), 0), index, peers),
            index,
            numbers: Chunks::new(),
            free: Vec::new(),
            end: SIDES.len() as u32,
            held: [0; 3],
            changes: Vec::new(),
            told: Vec::new(),
            net: Vec::new(),
        }
    }

    /// Asks for the memory of a document's number.
    #[inline(always)]
    pub(super) fn prefetch(&self, slot: u32) {
        self.numbers.prefetch(slot as usize);
    }

    /// Takes in that a document goes from one side to another, or has another key inside.
    pub(super) fn shift(&mut self, slot: u32, id: DocumentHash, from: Side, to: Side, key: u64) {
        if from != Side::Out {
            self.held[from as usize] -= 1;
        }
        if to != Side::Out {
            self.held[to as usize] += 1;
        }
        if to == Side::Inside {
            let record = Item {
                key: key as i64,
                mass: 1,
                slot,
            };
            let slot = self.number(slot);
            self.changes.push(Change {
                slot,
                diff: 1,
                id,
                record,
            });
        } else if from == Side::Inside {
            let number = std::mem::take(&mut self.numbers[slot as usize]) - 1;
            self.free.push(number);
            let record = Item::default();
            self.changes.push(Change {
                slot: number,
                diff: -1,
                id,
                record,
            });
        }
    }

    /// The number of a document inside; a new one if it has none.
    fn number(&mut self, slot: u32) -> u32 {
        self.numbers.reach(slot as usize);
        let number = &mut self.numbers[slot as usize];
        if *number == 0 {
            let vacant = self.free.pop();
            *number = 1 + vacant.unwrap_or_else(|| {
                self.end += 1;
                self.end - 1
            });
        }
        *number - 1
    }

    /// All changes are here: begins to look for the cut.
    pub(super) fn close(&mut self) {
        for (number, side) in SIDES {
            let key = if side == Side::Below {
                -1
            } else {
                KEY_END as i64
            };
            // Workers' items are told apart as documents are, by the id.
            let id = DocumentHash::from_halves([u64::from(self.index), 0]);
            let record = Item {
                key,
                mass: self.held[side as usize],
                slot: MANY,
            };
            self.changes.push(Change {
                slot: number,
                diff: 1,
                id,
                record,
            });
        }
        self.select.apply(&self.changes);
        self.changes.clear();
        self.changes.shrink_to(1 << 16);
        self.select.close();
    }

    pub(super) fn receive(&mut self, from: u32, body: Body) {
        self.select.receive(Mail {
            to: self.index,
            from,
            body,
        });
    }

    /// Gives the letters to deliver: to whom, and what.
    pub(super) fn letters(&mut self, outbox: &mut VecDeque<(u32, Body)>) {
        while let Some(letter) = self.select.letter() {
            outbox.push_back((letter.to, letter.body));
        }
    }

    /// Whether the cut has been found.
    pub(super) fn is_settled(&self) -> bool {
        self.select.is_settled()
    }

    /// Takes the cut that has been found; `changed` hears the slots of documents that have stayed
    /// inside and may now be kept, or not any more.
    pub(super) fn finish(&mut self, mut changed: impl FnMut(u32)) {
        // Most were kept with one key and are kept with another.
        let Band { told, net, .. } = self;
        net.resize(self.end as usize, 0);
        self.select.finish(|change| {
            if change.record.slot != MANY {
                net[change.slot as usize] += change.diff as i8;
                told.push((change.slot, change.record.slot));
            }
        });
        for (number, slot) in told.drain(..) {
            if std::mem::take(&mut net[number as usize]) != 0 {
                changed(slot);
            }
        }
        told.shrink_to(1 << 16);
        drop(self.select.summaries());
    }

    /// The first document inside the guard that is not kept, or the end of the order if there is
    /// none at all; nothing if the cut is not inside the guard.
    pub(super) fn cut(&mut self) -> Option<Place> {
        let cut = self.select.upper_cut(0);
        let inside = (0..KEY_END as i64).contains(&cut.key);
        (inside || cut == Place::MAX).then_some(cut)
    }

    pub(super) fn crowd(&self) -> Crowd {
        Crowd {
            survivors: self.held.iter().copied().map(u64::from).sum(),
            inside: u64::from(self.held[Side::Inside as usize]),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.select.bytes()
            + self.numbers.bytes()
            + self.free.capacity() * size_of::<u32>()
            + self.changes.capacity() * size_of::<Change<Item>>()
            + self.told.capacity() * size_of::<(u32, u32)>()
            + self.net.capacity()
    }
}
