//! What is kept of each document by its slot: codes, position, and the record if it may be drawn.

use crate::Record;
use crate::chunks::Chunks;
use crate::select::columns::Column;

/// Documents whose codes are allocated together.
const CHUNK: usize = 1 << 12;

/// The codes of all live documents, once: a takedown must be counted off again.
pub(super) struct Codes {
    rows: usize,
    chunks: Vec<Box<[u16]>>,
}

impl Codes {
    pub(super) fn new(rows: usize) -> Self {
        Codes {
            rows,
            chunks: Vec::new(),
        }
    }

    /// Makes a slot valid.
    pub(super) fn reach(&mut self, slot: u32) {
        while slot as usize / CHUNK >= self.chunks.len() {
            self.chunks.push(vec![0; CHUNK * self.rows].into());
        }
    }

    pub(super) fn get(&self, slot: u32) -> &[u16] {
        let slot = slot as usize;
        &self.chunks[slot / CHUNK][slot % CHUNK * self.rows..][..self.rows]
    }

    pub(super) fn set(&mut self, slot: u32, codes: &[u16]) {
        let slot = slot as usize;
        self.chunks[slot / CHUNK][slot % CHUNK * self.rows..][..self.rows].copy_from_slice(codes);
    }

    fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| size_of_val(&**chunk)).sum()
    }
}

/// Whether a document is in the sketch, and where it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Uncounted,
    /// Counted in this epoch; its density is known when the levels are.
    Born,
    At(u32),
}

pub(super) struct Slots<R> {
    pub codes: Codes,
    pub columns: Chunks<Column<R>>,
    /// The density with which a document is kept.
    pub densities: Chunks<f32>,
    /// 0, all ones, or the position plus one.
    places: Chunks<u32>,
    /// A bit by slot: the document is live, whether it may be drawn or not.
    live: Chunks<u64>,
}

impl<R: Record> Slots<R> {
    pub(super) fn new(rows: usize) -> Self {
        Slots {
            codes: Codes::new(rows),
            columns: Chunks::new(),
            densities: Chunks::new(),
            places: Chunks::new(),
            live: Chunks::new(),
        }
    }

    /// Makes a slot valid.
    pub(super) fn reach(&mut self, slot: u32) {
        self.codes.reach(slot);
        self.columns.reach(slot as usize);
        self.densities.reach(slot as usize);
        self.places.reach(slot as usize);
        self.live.reach(slot as usize / 64);
    }

    /// Asks for the memory of a document's place and column.
    #[inline(always)]
    pub(super) fn prefetch(&self, slot: u32) {
        self.places.prefetch(slot as usize);
        self.columns.prefetch(slot as usize);
    }

    pub(super) fn place(&self, slot: u32) -> Place {
        match self.places[slot as usize] {
            0 => Place::Uncounted,
            u32::MAX => Place::Born,
            above => Place::At(above - 1),
        }
    }

    pub(super) fn set_place(&mut self, slot: u32, place: Place) {
        self.places[slot as usize] = match place {
            Place::Uncounted => 0,
            Place::Born => u32::MAX,
            Place::At(position) => position + 1,
        };
    }

    pub(super) fn is_live(&self, slot: u32) -> bool {
        self.live[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    pub(super) fn set_live(&mut self, slot: u32, on: bool) {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        if on {
            self.live[word] |= bit;
        } else {
            self.live[word] &= !bit;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.codes.bytes()
            + self.columns.bytes()
            + self.densities.bytes()
            + self.places.bytes()
            + self.live.bytes()
    }
}
