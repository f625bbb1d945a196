//! Touches on their way to a shard's documents.
//!
//! What is waited for is memory. So a document is asked for when its touch is queued, and touched
//! when the queue is full; a queue is small enough that all of its documents stay in the cache.

use crate::chunks::prefetch;

/// Touches that wait, at most.
const QUEUE: usize = 256;

/// A gap that leads to no member: the next one is counted from where it ends.
pub(super) const NO_MEMBER: u16 = u16::MAX;

/// The documents of a shard, and the touches that wait for them.
pub(super) struct Touches<'a, T, F> {
    documents: &'a mut [T],
    /// Hears what is kept of a document, and a difference; whether somebody must look.
    apply: F,
    /// Offsets of documents that must be looked at.
    disturbed: &'a mut Vec<u32>,
    queue: [(u32, i64); QUEUE],
    waiting: usize,
    /// How many there were.
    touches: usize,
}

impl<'a, T, F: Fn(&mut T, i64) -> bool> Touches<'a, T, F> {
    pub(super) fn new(documents: &'a mut [T], apply: F, disturbed: &'a mut Vec<u32>) -> Self {
        Touches {
            documents,
            apply,
            disturbed,
            queue: [(0, 0); QUEUE],
            waiting: 0,
            touches: 0,
        }
    }

    /// Touches members by their offsets from `base`.
    #[inline(always)]
    pub(super) fn extend(&mut self, base: usize, offsets: &[u16], difference: i64) {
        for offsets in offsets.chunks(QUEUE) {
            self.make_room(offsets.len());
            for &offset in offsets {
                self.push(base + usize::from(offset), difference, true);
            }
        }
    }

    /// Touches members by the gaps between them.
    #[inline(always)]
    pub(super) fn extend_gaps(&mut self, gaps: &[u16], difference: i64) {
        let mut offset = 0;
        for gaps in gaps.chunks(QUEUE) {
            self.make_room(gaps.len());
            for &gap in gaps {
                offset += usize::from(gap);
                self.push(offset, difference, gap != NO_MEMBER);
            }
        }
    }

    #[inline(always)]
    pub(super) fn make_room(&mut self, touches: usize) {
        if self.waiting + touches > QUEUE {
            self.flush();
        }
    }

    /// Queues a touch, for which there is room; one of no member is overwritten by the next.
    #[inline(always)]
    pub(super) fn push(&mut self, offset: usize, difference: i64, is_member: bool) {
        prefetch(&self.documents[offset]);
        self.queue[self.waiting % QUEUE] = (offset as u32, difference);
        self.waiting += usize::from(is_member);
    }

    fn flush(&mut self) {
        for &(offset, difference) in &self.queue[..self.waiting] {
            if (self.apply)(&mut self.documents[offset as usize], difference) {
                self.disturbed.push(offset);
            }
        }
        self.touches += self.waiting;
        self.waiting = 0;
    }

    /// Applies what waits; how many touches there were.
    pub(super) fn finish(mut self) -> usize {
        self.flush();
        self.touches
    }
}
