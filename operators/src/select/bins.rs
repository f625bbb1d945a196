//! One group's documents on one worker, in bins that are unsorted inside.
//!
//! The mass of each bin is exact at any moment. Its log of slots is not: a document that leaves
//! stays in it until a compaction, so that most changes only add to a number and push to a vector.

use std::ops::Range;

use crate::draw::mix;
use crate::select::columns::Documents;
use crate::select::messages::Mark;
use crate::select::order::{Amount, Place, Span};

/// A bin of more documents is split before one of its ends is looked for.
const FINE: usize = 64;
/// No bin is made with more documents, so that no split is long.
const COARSE: usize = 1 << 13;
/// A bin that has grown to more is split, though nobody asks for its ends. Left to grow with the
/// corpus, bins of 400,000 documents were split when a cut came by, and stopped an epoch for 15 ms.
const GROWN: usize = 4 * COARSE;
/// How many parts a span is divided into when its marks are asked for.
const PARTS: usize = 32;

#[derive(Default)]
struct Bin {
    held: Amount,
    log: Vec<u32>,
}

impl Bin {
    fn documents(&self) -> usize {
        usize::try_from(self.held.documents).expect("a bin holds no fewer than no documents")
    }
}

pub(super) struct Bins {
    group: u64,
    /// The least place of each bin; the first is [`Place::MIN`].
    starts: Vec<Place>,
    bins: Vec<Bin>,
    /// With more bins than this it is time to look for some to merge.
    merge_at: usize,
}

impl Bins {
    pub(super) fn new(group: u64) -> Self {
        Bins {
            group,
            starts: vec![Place::MIN],
            bins: vec![Bin::default()],
            merge_at: 64,
        }
    }

    /// The bin that a place lies in.
    fn find(&self, place: Place) -> usize {
        self.starts.partition_point(|start| *start <= place) - 1
    }

    fn span(&self, bin: usize) -> Span {
        let to = self.starts.get(bin + 1).copied().unwrap_or(Place::MAX);
        Span {
            from: self.starts[bin],
            to,
        }
    }

    pub(super) fn add(
        &mut self,
        slot: u32,
        place: Place,
        mass: u32,
        documents: &mut impl Documents,
    ) {
        let at = self.find(place);
        let bin = &mut self.bins[at];
        bin.held += Amount::one(mass);
        bin.log.push(slot);
        if bin.log.len() > 2 * bin.documents() + 64 {
            self.compact(at, documents);
        }
    }

    pub(super) fn remove(&mut self, place: Place, mass: u32) {
        let at = self.find(place);
        self.bins[at].held -= Amount::one(mass);
    }

    /// Drops from a bin's log what is no longer there.
    fn compact(&mut self, at: usize, documents: &mut impl Documents) {
        let span = self.span(at);
        let bin = &mut self.bins[at];
        let mut log = Vec::with_capacity(bin.documents() * 3 / 2 + 32);
        documents.each(&bin.log, self.group, &span, |slot, _, _| log.push(slot));
        bin.log = log;
    }

    /// Splits a bin at some places, which ascend and lie inside it.
    fn split(&mut self, at: usize, places: &[Place], documents: &mut impl Documents) {
        let (span, bin) = (self.span(at), &self.bins[at]);
        let room = bin.documents() / (places.len() + 1) * 5 / 4 + 8;
        let new = || Bin {
            held: Amount::default(),
            log: Vec::with_capacity(room),
        };
        let mut parts: Vec<Bin> = std::iter::repeat_with(new).take(places.len() + 1).collect();
        documents.each(&bin.log, self.group, &span, |slot, place, mass| {
            let part = &mut parts[places.partition_point(|p| *p <= place)];
            part.held += Amount::one(mass);
            part.log.push(slot);
        });
        debug_assert_eq!(bin.held, parts.iter().map(|part| part.held).sum());
        self.bins.splice(at..=at, parts);
        self.starts.splice(at + 1..at + 1, places.iter().copied());
    }

    /// Splits a bin into about `parts` equal ones, by a sample; tells how many it made.
    fn split_evenly(&mut self, at: usize, parts: usize, documents: &mut impl Documents) -> usize {
        let (span, log) = (self.span(at), &self.bins[at].log);
        let step = (log.len() / (parts * 16)).max(1);
        let mut sample = Vec::with_capacity(parts * 17);
        for block in 0..log.len() / step {
            // One of each block, anywhere in it, so that an order of arrival does no harm.
            let inside = mix(block as u64 ^ log.len() as u64) % step as u64;
            let slot = log[block * step + inside as usize];
            sample.extend(
                documents
                    .find(slot, self.group, &span)
                    .map(|(place, _)| place),
            );
        }
        sample.sort_unstable();
        let quantile = |part| sample.get(part * sample.len() / parts).copied();
        let mut places: Vec<Place> = (1..parts)
            .filter_map(quantile)
            .filter(|place| *place > span.from)
            .collect();
        places.dedup();
        self.split(at, &places, documents);
        places.len() + 1
    }

    /// The bin that starts at a place, which is made if there is none.
    fn start(&mut self, place: Place, documents: &mut impl Documents) -> usize {
        if place == Place::MAX {
            return self.bins.len();
        }
        let at = self.find(place);
        if self.starts[at] == place {
            return at;
        }
        self.split(at, &[place], documents);
        at + 1
    }

    fn below(&self, bin: usize) -> Amount {
        self.bins[..bin].iter().map(|bin| bin.held).sum()
    }

    /// Marks that cover a span, fine enough to narrow it down about [`PARTS`] times.
    pub(super) fn marks(&mut self, span: Span, documents: &mut impl Documents) -> Vec<Mark> {
        let first = self.start(span.from, documents);
        let mut last = self.start(span.to, documents);
        if last - first <= PARTS / 4 {
            // Only here, near the cut: dividing all that is asked about costs four times the work
            // where the keys drift steadily.
            last = self.refine(first, last, documents);
        }
        let mut below = self.below(first);
        let mut marks = Vec::with_capacity(last - first + 1);
        for (start, bin) in self.starts[first..last].iter().zip(&self.bins[first..last]) {
            marks.push(Mark { at: *start, below });
            below += bin.held;
        }
        marks.push(Mark { at: span.to, below });
        marks
    }

    /// Divides the larger ones of some bins; returns the end of what they have become.
    fn refine(&mut self, first: usize, mut last: usize, documents: &mut impl Documents) -> usize {
        let sizes = self.bins[first..last].iter().map(Bin::documents);
        let limit = (sizes.sum::<usize>() / PARTS).clamp(FINE / 2, COARSE);
        let mut at = first;
        while at < last {
            let size = self.bins[at].documents();
            let mut parts = 1;
            if size > limit * 3 / 2 {
                parts = self.split_evenly(at, size.div_ceil(limit), documents);
                last += parts - 1;
            }
            at += parts;
        }
        last
    }

    /// The amount below a span, and its documents.
    pub(super) fn fetch(
        &mut self,
        span: Span,
        documents: &mut impl Documents,
    ) -> (Amount, Vec<(Place, u32)>) {
        let first = self.start(span.from, documents);
        let last = self.start(span.to, documents);
        let mut found = Vec::new();
        for at in first..last {
            let (span, log) = (self.span(at), &self.bins[at].log);
            documents.each(log, self.group, &span, |_, place, mass| {
                found.push((place, mass))
            });
        }
        (self.below(first), found)
    }

    /// The bins that hold all documents of a span, and few others: those at its ends are divided.
    pub(super) fn cover(&mut self, span: Span, documents: &mut impl Documents) -> Range<usize> {
        for end in [span.from, span.to] {
            let at = self.find(end);
            let size = self.bins[at].documents();
            if end != Place::MAX && self.starts[at] != end && size > 2 * FINE {
                self.split_evenly(at, size.div_ceil(FINE).min(256), documents);
            }
        }
        self.find(span.from)..self.starts.partition_point(|start| *start < span.to)
    }

    /// The slots of a bin's documents, with stale ones and some twice.
    pub(super) fn log(&self, bin: usize) -> &[u32] {
        &self.bins[bin].log
    }

    /// Joins neighbours that are small for their distance, in documents, from all of `near`.
    pub(super) fn merge(&mut self, near: impl Iterator<Item = Place>) {
        if self.bins.len() <= self.merge_at {
            return;
        }
        let mut ranks = vec![0];
        for bin in &self.bins {
            ranks.push(ranks[ranks.len() - 1] + bin.documents());
        }
        let near: Vec<usize> = near.map(|place| ranks[self.find(place)]).collect();
        let old = self.starts.drain(..).zip(self.bins.drain(..)).enumerate();
        let mut merged: Vec<(Place, Bin)> = Vec::new();
        let mut first = 0usize;
        for (i, (start, bin)) in old {
            let end = ranks[i + 1];
            let distance = |&n: &usize| first.saturating_sub(n).max(n.saturating_sub(end));
            let nearest = near.iter().map(distance).min().unwrap_or(0);
            match merged.last_mut() {
                Some((_, last)) if end - first <= (nearest / 8).min(COARSE) => {
                    last.held += bin.held;
                    last.log.extend_from_slice(&bin.log);
                }
                _ => {
                    first = ranks[i];
                    merged.push((start, bin));
                }
            }
        }
        (self.starts, self.bins) = merged.into_iter().unzip();
        self.merge_at = 2 * self.bins.len() + 64;
    }

    /// Splits one of the bins that have grown too large. One an epoch keeps up: an epoch that fills
    /// more of them is long itself.
    pub(super) fn split_grown(&mut self, documents: &mut impl Documents) {
        let grown = |bin: &Bin| bin.documents() > GROWN;
        if let Some(at) = self.bins.iter().position(grown) {
            let parts = self.bins[at].documents().div_ceil(COARSE);
            self.split_evenly(at, parts, documents);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let logs: usize = self
            .bins
            .iter()
            .map(|bin| bin.log.capacity() * size_of::<u32>())
            .sum();
        size_of::<Self>()
            + self.starts.capacity() * size_of::<Place>()
            + self.bins.capacity() * size_of::<Bin>()
            + logs
    }
}
