//! The documents around one end of a group's band, exactly, and the amount of those below.
//!
//! Most changes of a group are far from its cuts. They change a sum, and the cut moves by a few
//! documents, which are at hand here.

use crate::select::messages::Item;
use crate::select::order::{Amount, Place, Span};

pub(super) struct Guard {
    span: Span,
    /// The amount of the documents below the span, over all workers.
    below: Amount,
    /// All documents in the span, over all workers, ascending: place and mass.
    items: Vec<(Place, u32)>,
    /// The cut is before this item.
    index: usize,
    /// The mass of the items before the cut.
    before: i64,
}

impl Guard {
    /// A guard over everything, for a group without documents.
    pub(super) fn empty() -> Self {
        Guard::new(Span::ALL, Amount::default(), Vec::new())
    }

    /// `items` are all documents of the span, in any order.
    pub(super) fn new(span: Span, below: Amount, mut items: Vec<(Place, u32)>) -> Self {
        items.sort_unstable();
        Guard {
            span,
            below,
            items,
            index: 0,
            before: 0,
        }
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The first document not below the cut, or the end of the order if there is none: a function
    /// of the documents alone, however the cut got here.
    pub(super) fn cut(&self) -> Place {
        self.items.get(self.index).map_or(Place::MAX, |item| item.0)
    }

    /// The amount of the documents below the cut.
    pub(super) fn below_cut(&self) -> Amount {
        let inside = Amount {
            documents: self.index as i64,
            mass: self.before,
        };
        self.below + inside
    }

    /// Takes in a change of what is below the span.
    pub(super) fn shift(&mut self, below: Amount) {
        self.below += below;
    }

    /// Takes in a document that came into the span, or left it.
    pub(super) fn apply(&mut self, item: &Item) {
        let found = self.items.binary_search_by_key(&item.place, |item| item.0);
        let mass = i64::from(item.mass);
        if item.added {
            let at = found.expect_err("a place holds at most one document");
            self.items.insert(at, (item.place, item.mass));
            if at < self.index {
                self.index += 1;
                self.before += mass;
            }
        } else {
            let at = found.expect("only a known document can leave");
            self.items.remove(at);
            if at < self.index {
                self.index -= 1;
                self.before -= mass;
            }
        }
    }

    /// Moves the cut to its place; false if that may lie outside of the span.
    ///
    /// A lower end is before the first document with at least `target` below it, an `upper` one
    /// before the first that ends beyond `target`.
    pub(super) fn settle(&mut self, upper: bool, target: i64) -> bool {
        let below = self.below.mass;
        let passes = |before: i64, mass: u32| match upper {
            true => below + before + i64::from(mass) <= target,
            false => below + before < target,
        };
        while let Some(&(_, mass)) = self.index.checked_sub(1).and_then(|i| self.items.get(i)) {
            if passes(self.before - i64::from(mass), mass) {
                break;
            }
            self.index -= 1;
            self.before -= i64::from(mass);
        }
        while let Some(&(_, mass)) = self.items.get(self.index) {
            if !passes(self.before, mass) {
                break;
            }
            self.index += 1;
            self.before += i64::from(mass);
        }
        let from_here = self.index > 0 || self.span.from == Place::MIN || upper && below <= target;
        from_here && (self.index < self.items.len() || self.span.to == Place::MAX)
    }

    /// Once there are many items, keeps `width` to each side of the cut; tells whether it did.
    pub(super) fn shrink(&mut self, width: usize) -> bool {
        if self.items.len() <= 4 * width {
            return false;
        }
        if let Some(&(end, _)) = self.items.get(self.index + width) {
            self.span.to = end;
            self.items.truncate(self.index + width);
        }
        let start = self.index.saturating_sub(width);
        if start > 0 {
            self.span.from = self.items[start].0;
            let dropped: Amount = self.items.drain(..start).map(|i| Amount::one(i.1)).sum();
            self.below += dropped;
            self.before -= dropped.mass;
            self.index -= start;
        }
        true
    }

    /// The side of the order on which a cut that is not in the span must be, if it is known.
    pub(super) fn outside(&self) -> Span {
        if self.index == 0 {
            Span {
                from: Place::MIN,
                to: self.span.to,
            }
        } else {
            Span {
                from: self.span.from,
                to: Place::MAX,
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<(Place, u32)>()
    }
}
