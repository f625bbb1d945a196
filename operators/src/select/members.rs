//! A worker's own documents of one stage: what an epoch did to them, and who is kept after it.

use crate::select::bins::Bins;
use crate::select::columns::{Column, Columns, Documents, KEPT, LIVE, TOUCHED};
use crate::select::messages::{Counts, Cut, Item, Question, Reply, Tally};
use crate::select::numbers::Numbers;
use crate::select::order::{Amount, Place, Span, View};
use crate::{Change, DocumentHash, Record};

/// One end of a group's band, as this worker knows it.
struct End {
    at: Place,
    guard: Span,
    /// What this epoch changed below the guard.
    below: Amount,
    /// How many items this epoch told inside it; `None` once they were too many.
    items: Option<usize>,
}

struct Group {
    name: u64,
    bins: Bins,
    ends: [End; 2],
    /// What this epoch changed.
    live: Amount,
    touched: bool,
}

impl Group {
    /// Empty bands over everything, so that the owner hears of all documents one by one.
    fn new(name: u64, moving: [bool; 2]) -> Self {
        let end = |at| End {
            at,
            guard: Span::ALL,
            below: Amount::default(),
            items: Some(0),
        };
        let upper = if moving[1] { Place::MIN } else { Place::MAX };
        Group {
            name,
            bins: Bins::new(name),
            ends: [end(Place::MIN), end(upper)],
            live: Amount::default(),
            touched: false,
        }
    }

    fn keeps(&self, place: Place) -> bool {
        self.ends[0].at <= place && place < self.ends[1].at
    }

    /// This epoch's change, for the owner.
    fn tally(&mut self) -> Tally {
        self.touched = false;
        let complete = self.ends.each_ref().map(|end| end.items.is_some());
        let below = self.ends.each_mut().map(|end| {
            end.items = end.items.map(|_| 0);
            std::mem::take(&mut end.below)
        });
        Tally {
            group: self.name,
            live: std::mem::take(&mut self.live),
            below,
            complete,
        }
    }
}

/// How many passed slots are gathered before they are looked at.
const PASSED: usize = 1 << 12;

pub(super) struct Members<R, V> {
    columns: Columns<R, V>,
    groups: Vec<Group>,
    numbers: Numbers,
    /// Which ends of the band are cuts.
    moving: [bool; 2],
    /// More items than this in one epoch's guard, and the owner is told to look anew.
    items_max: usize,
    items: Vec<Item>,
    /// Groups that changed in this epoch.
    touched_groups: Vec<usize>,
    /// Documents that changed in this epoch.
    touched: Vec<u32>,
    /// Those of them that were kept, as they were.
    was: Vec<Change<R>>,
    live: usize,
}

impl<R: Record, V: Fn(&R, DocumentHash) -> View> Members<R, V> {
    pub(super) fn new(view: V, moving: [bool; 2], guard: usize) -> Self {
        Members {
            columns: Columns::new(view),
            groups: Vec::new(),
            numbers: Numbers::default(),
            moving,
            items_max: 4 * guard,
            items: Vec::new(),
            touched_groups: Vec::new(),
            touched: Vec::new(),
            was: Vec::new(),
            live: 0,
        }
    }

    /// Takes in changes of this epoch, in order.
    pub(super) fn apply(&mut self, changes: &[Change<R>]) {
        for (i, change) in changes.iter().enumerate() {
            if let Some(later) = changes.get(i + 12) {
                self.columns.prefetch(later.slot);
            }
            self.change(change);
        }
    }

    fn change(&mut self, change: &Change<R>) {
        let slot = change.slot;
        self.columns.reach(slot);
        let old = *self.columns.get(slot);
        let (was_live, is_live) = (old.is(LIVE), change.diff > 0);
        if was_live == is_live && (!is_live || old.holds(change)) {
            return;
        }
        if !old.is(TOUCHED) {
            self.touched.push(slot);
            if old.is(KEPT) {
                self.was.push(old.change(slot, -1));
            }
        }
        if was_live {
            self.leave(&old);
        }
        if is_live {
            let kept = if old.is(KEPT) { KEPT } else { 0 };
            let new = Column::new(change.id, change.record, LIVE | TOUCHED | kept);
            *self.columns.get_mut(slot) = new;
            self.enter(slot, &new);
        } else {
            let column = self.columns.get_mut(slot);
            column.set(LIVE, false);
            column.set(TOUCHED, true);
        }
    }

    fn enter(&mut self, slot: u32, column: &Column<R>) {
        let (view, place) = self.columns.view(column);
        let number = self.tell(view, place, true);
        self.live += 1;
        self.groups[number]
            .bins
            .add(slot, place, view.mass, &mut self.columns);
    }

    fn leave(&mut self, column: &Column<R>) {
        let (view, place) = self.columns.view(column);
        let number = self.tell(view, place, false);
        self.live -= 1;
        self.groups[number].bins.remove(place, view.mass);
    }

    fn group(&mut self, name: u64) -> usize {
        let number = self.numbers.of(name);
        if number == self.groups.len() {
            self.groups.push(Group::new(name, self.moving));
        }
        number
    }

    /// Notes a document that came or went for the owner of its group; the group's number.
    fn tell(
        &mut self,
        View {
            group: name, mass, ..
        }: View,
        place: Place,
        added: bool,
    ) -> usize {
        let number = self.group(name);
        let group = &mut self.groups[number];
        if !group.touched {
            group.touched = true;
            self.touched_groups.push(number);
        }
        let one = Amount::one(mass);
        let change = if added { one } else { Amount::default() - one };
        group.live += change;
        for (i, end) in (0..).zip(&mut group.ends) {
            if !self.moving[usize::from(i)] {
                continue;
            }
            if place < end.guard.from {
                end.below += change;
            } else if let Some(told) = &mut end.items
                && place < end.guard.to
            {
                *told += 1;
                if *told > self.items_max {
                    end.items = None;
                } else {
                    self.items.push(Item {
                        group: name,
                        place,
                        mass,
                        end: i,
                        added,
                    });
                }
            }
        }
        number
    }

    /// What the epoch did, for the owners.
    pub(super) fn counts(&mut self) -> Counts {
        let groups = &mut self.groups;
        let tallies = self
            .touched_groups
            .drain(..)
            .map(|number| groups[number].tally())
            .collect();
        Counts {
            tallies,
            items: std::mem::take(&mut self.items),
        }
    }

    pub(super) fn reply(&mut self, question: &Question) -> Reply {
        let number = self.group(question.group);
        let (bins, columns) = (&mut self.groups[number].bins, &mut self.columns);
        if question.documents {
            let (below, documents) = bins.fetch(question.span, columns);
            Reply::Documents(below, documents)
        } else {
            Reply::Marks(bins.marks(question.span, columns))
        }
    }

    /// Moves the cuts, and gives every change of the kept set since the last epoch.
    pub(super) fn finish(&mut self, cuts: &[Cut], mut give: impl FnMut(Change<R>)) {
        let mut moved = Vec::new();
        for cut in cuts {
            let number = self.group(cut.group);
            let end = &mut self.groups[number].ends[usize::from(cut.end)];
            if end.at != cut.at {
                moved.push((
                    number,
                    Span {
                        from: end.at.min(cut.at),
                        to: end.at.max(cut.at),
                    },
                ));
            }
            let below = Amount::default();
            *end = End {
                at: cut.at,
                guard: cut.guard,
                below,
                items: Some(0),
            };
        }
        self.give_passed(&moved, &mut give);
        self.give_touched(&mut give);
        for cut in cuts {
            let moving = self.moving;
            let Group { bins, ends, .. } = &mut self.groups[self.numbers.of(cut.group)];
            let ends = ends.iter().zip(moving).filter(|(_, moving)| *moving);
            bins.merge(ends.flat_map(|(end, _)| [end.guard.from, end.guard.to]));
            bins.split_grown(&mut self.columns);
        }
    }

    /// Looks again at the untouched documents of spans that cuts have passed over.
    fn give_passed(&mut self, moved: &[(usize, Span)], give: &mut impl FnMut(Change<R>)) {
        // Many small groups together, so that the columns of one are on their way from memory while
        // those of another are looked at.
        let mut passed = Vec::new();
        for (i, &(number, span)) in (0..).zip(moved) {
            let bins = &mut self.groups[number].bins;
            for bin in bins.cover(span, &mut self.columns) {
                passed.extend(bins.log(bin).iter().map(|slot| (*slot, i)));
            }
            if passed.len() >= PASSED {
                self.look_again(&passed, moved, give);
                passed.clear();
            }
        }
        self.look_again(&passed, moved, give);
    }

    /// Looks at slots, each with the number of the span that it is to be in.
    fn look_again(
        &mut self,
        passed: &[(u32, u32)],
        moved: &[(usize, Span)],
        give: &mut impl FnMut(Change<R>),
    ) {
        for (i, &(slot, of)) in passed.iter().enumerate() {
            if let Some(&(later, _)) = passed.get(i + 16) {
                self.columns.prefetch(later);
            }
            let (number, span) = &moved[of as usize];
            let group = &self.groups[*number];
            let Some((place, _)) = self.columns.find(slot, group.name, span) else {
                continue;
            };
            let kept = group.keeps(place);
            let column = self.columns.get_mut(slot);
            if !column.is(TOUCHED) && column.is(KEPT) != kept {
                column.set(KEPT, kept);
                give(column.change(slot, if kept { 1 } else { -1 }));
            }
        }
    }

    /// First the removals of what touched documents were, then the additions of what they are.
    fn give_touched(&mut self, give: &mut impl FnMut(Change<R>)) {
        let was = std::mem::take(&mut self.was);
        for old in &was {
            let column = *self.columns.get(old.slot);
            if column.holds(old) && self.keeps(&column) {
                // Nothing happened in the end.
                self.columns.get_mut(old.slot).set(TOUCHED, false);
            } else {
                give(*old);
            }
        }
        let touched = std::mem::take(&mut self.touched);
        for (i, &slot) in touched.iter().enumerate() {
            if let Some(&later) = touched.get(i + 12) {
                self.columns.prefetch(later);
            }
            let column = *self.columns.get(slot);
            if !column.is(TOUCHED) {
                continue;
            }
            let kept = self.keeps(&column);
            if kept {
                give(column.change(slot, 1));
            }
            let column = self.columns.get_mut(slot);
            column.set(TOUCHED, false);
            column.set(KEPT, kept);
        }
        (self.was, self.touched) = (emptied(was), emptied(touched));
    }

    fn keeps(&mut self, column: &Column<R>) -> bool {
        if !column.is(LIVE) {
            return false;
        }
        let (view, place) = self.columns.view(column);
        let number = self.group(view.group);
        self.groups[number].keeps(place)
    }

    /// Where a group's band ends, as last told.
    pub(super) fn upper_cut(&mut self, name: u64) -> Place {
        let number = self.group(name);
        self.groups[number].ends[1].at
    }

    /// Whether this epoch has changed anything so far.
    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn bytes(&self) -> usize {
        self.columns.bytes()
            + self.numbers.bytes()
            + self.groups.capacity() * size_of::<Group>()
            + self
                .groups
                .iter()
                .map(|group| group.bins.bytes())
                .sum::<usize>()
            + self.touched.capacity() * size_of::<u32>()
            + self.was.capacity() * size_of::<Change<R>>()
    }
}

/// The vector, empty, without the room that one huge epoch (a replay) made it have.
fn emptied<T>(mut vector: Vec<T>) -> Vec<T> {
    vector.clear();
    vector.shrink_to(1 << 16);
    vector
}
