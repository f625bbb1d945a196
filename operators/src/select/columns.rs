//! A worker's documents of one stage, by slot: the record, the id, and three flags beside it.
//!
//! A stage has columns of its own because the operators before it may be epochs ahead.

use crate::chunks::Chunks;
use crate::select::order::{Place, Span, View};
use crate::{Change, DocumentHash, Record};

/// The document is live in this stage's input.
pub(crate) const LIVE: u64 = 1;
/// The document was kept at the end of the last epoch.
pub(crate) const KEPT: u64 = 2;
/// The document changed in this epoch.
pub(crate) const TOUCHED: u64 = 4;

#[derive(Clone, Copy, Default)]
pub(crate) struct Column<R> {
    record: R,
    first: u64,
    /// The second half of the id, and the flags in the bits that every id leaves clear.
    second: u64,
}

impl<R: Record> Column<R> {
    pub(crate) fn new(id: DocumentHash, record: R, flags: u64) -> Self {
        let [first, second] = id.halves();
        Column {
            record,
            first,
            second: second | flags,
        }
    }

    pub(crate) fn id(&self) -> DocumentHash {
        DocumentHash::from_halves([self.first, self.second])
    }

    pub(crate) fn is(&self, flag: u64) -> bool {
        self.second & flag != 0
    }

    pub(crate) fn set(&mut self, flag: u64, on: bool) {
        if on {
            self.second |= flag
        } else {
            self.second &= !flag
        }
    }

    /// Whether this is the same version of the same document, whatever the flags.
    pub(crate) fn holds(&self, change: &Change<R>) -> bool {
        self.record == change.record && self.id() == change.id
    }

    pub(crate) fn change(&self, slot: u32, diff: i32) -> Change<R> {
        Change {
            slot,
            diff,
            id: self.id(),
            record: self.record,
        }
    }
}

pub(crate) struct Columns<R, V> {
    columns: Chunks<Column<R>>,
    /// A bit by slot, all clear between uses.
    seen: Chunks<u64>,
    view: V,
}

impl<R: Record, V: Fn(&R, DocumentHash) -> View> Columns<R, V> {
    pub(crate) fn new(view: V) -> Self {
        Columns {
            columns: Chunks::new(),
            seen: Chunks::new(),
            view,
        }
    }

    /// Makes a slot valid.
    pub(crate) fn reach(&mut self, slot: u32) {
        self.columns.reach(slot as usize);
        self.seen.reach(slot as usize / 64);
    }

    #[inline(always)]
    pub(crate) fn prefetch(&self, slot: u32) {
        self.columns.prefetch(slot as usize);
    }

    #[inline(always)]
    pub(crate) fn get(&self, slot: u32) -> &Column<R> {
        &self.columns[slot as usize]
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, slot: u32) -> &mut Column<R> {
        &mut self.columns[slot as usize]
    }

    #[inline(always)]
    pub(crate) fn view(&self, column: &Column<R>) -> (View, Place) {
        let id = column.id();
        let view = (self.view)(&column.record, id);
        (view, Place { key: view.key, id })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.columns.bytes() + self.seen.bytes()
    }
}

/// What bins need to know of the documents that their logs name.
///
/// A log may hold slots that have since been freed, moved elsewhere or taken by other documents,
/// and a slot more than once: everything that it says goes through here.
pub(crate) trait Documents {
    /// Place and mass of a slot's document, if it is live, in this group and within the span.
    fn find(&self, slot: u32, group: u64, span: &Span) -> Option<(Place, u32)>;

    /// Calls `f` with slot, place and mass of each such document of a log, once.
    fn each(&mut self, log: &[u32], group: u64, span: &Span, f: impl FnMut(u32, Place, u32));
}

impl<R: Record, V: Fn(&R, DocumentHash) -> View> Documents for Columns<R, V> {
    #[inline(always)]
    fn find(&self, slot: u32, group: u64, span: &Span) -> Option<(Place, u32)> {
        let column = self.get(slot);
        if !column.is(LIVE) {
            return None;
        }
        let (view, place) = self.view(column);
        (view.group == group && span.contains(place)).then_some((place, view.mass))
    }

    fn each(&mut self, log: &[u32], group: u64, span: &Span, mut f: impl FnMut(u32, Place, u32)) {
        for (i, &slot) in log.iter().enumerate() {
            if let Some(&later) = log.get(i + 16) {
                self.prefetch(later);
            }
            let Some((place, mass)) = self.find(slot, group, span) else {
                continue;
            };
            let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
            if self.seen[word] & bit == 0 {
                self.seen[word] |= bit;
                f(slot, place, mass);
            }
        }
        for &slot in log {
            self.seen[slot as usize / 64] = 0;
        }
    }
}
