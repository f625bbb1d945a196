//! Touches on their way to a shard's documents.
//!
//! Lists are read into a buffer first, across their ends, so that every document can be asked for
//! well ahead, and what is done to it has no branch that would wait for it.

use crate::chunks::prefetch;
use crate::density::document::{Document, Watch};
use crate::density::shard::OFFSET_BITS;

const FULL: usize = 4096;
const AHEAD: usize = 24;
const OFFSET: i64 = (1 << OFFSET_BITS) - 1;

/// A gap that leads to no member: the next one is counted from where it ends.
pub(super) const NO_MEMBER: u16 = u16::MAX;

/// Each is the difference, and in the low bits the offset in the shard.
#[derive(Default)]
pub(super) struct Touches(Vec<i64>);

impl Touches {
    /// Queues a touch for members by their offsets from `base`.
    #[inline(always)]
    pub(super) fn extend(&mut self, base: usize, offsets: &[u16], difference: i64) {
        // A level's value is below 2³⁷, so the shift loses nothing.
        let first = difference << OFFSET_BITS | base as i64;
        self.0
            .extend(offsets.iter().map(|&offset| first + i64::from(offset)));
    }

    /// Queues a touch for members by the gaps between them.
    #[inline(always)]
    pub(super) fn extend_gaps(&mut self, gaps: &[u16], difference: i64) {
        let start = self.0.len();
        self.0.resize(start + gaps.len(), 0);
        let (out, mut members) = (&mut self.0[start..], 0);
        let mut touch = difference << OFFSET_BITS;
        for &gap in gaps {
            // What is no member is overwritten by the next one.
            touch += i64::from(gap);
            out[members] = touch;
            members += usize::from(gap != NO_MEMBER);
        }
        self.0.truncate(start + members);
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= FULL
    }

    /// Applies all touches, and adds to `disturbed` the documents that must be looked at; how many
    /// touches there were.
    pub(super) fn flush(
        &mut self,
        documents: &mut [Document],
        watch: &Watch,
        disturbed: &mut Vec<u32>,
    ) -> usize {
        let touches = self.0.len();
        let mut end = disturbed.len();
        disturbed.resize(end + touches, 0);
        for (i, &touch) in self.0.iter().enumerate() {
            if let Some(later) = self.0.get(i + AHEAD) {
                prefetch(&documents[(later & OFFSET) as usize]);
            }
            let offset = touch & OFFSET;
            let told = documents[offset as usize].shift(touch >> OFFSET_BITS, watch);
            disturbed[end] = offset as u32;
            end += usize::from(told);
        }
        disturbed.truncate(end);
        self.0.clear();
        touches
    }
}
