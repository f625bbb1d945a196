//! Touches on their way to a shard's documents.
//!
//! Lists are read into buckets first, by where in the shard the documents are: what is waited for is
//! memory, and the documents of a bucket stay in the cache while all that happens to them in an
//! epoch is done. There it has no branch either.

use crate::chunks::prefetch;
use crate::density::shard::OFFSET_BITS;

/// A bucket's documents, which take half a megabyte.
const BUCKET_BITS: u32 = 15;
const BUCKETS: usize = 1 << (OFFSET_BITS - BUCKET_BITS);
/// Touches and differences that are a reason to go through the buckets.
const FULL: usize = 1 << 19;
const FULL_OF_DIFFERENCES: usize = 1 << 16;
const AHEAD: usize = 24;

/// A gap that leads to no member: the next one is counted from where it ends.
pub(super) const NO_MEMBER: u16 = u16::MAX;

/// Names a difference, until the buckets are gone through.
#[derive(Clone, Copy)]
pub(super) struct Number(u32);

#[derive(Default)]
pub(super) struct Touches {
    /// Each is the number of the difference, and in the low bits the offset in the bucket.
    buckets: [Vec<u32>; BUCKETS],
    differences: Vec<i64>,
    touches: usize,
}

impl Touches {
    /// Queues a touch for members by their offsets from `base`.
    #[inline(always)]
    pub(super) fn extend(&mut self, base: usize, offsets: &[u16], difference: i64) {
        let number = self.number(difference);
        for &offset in offsets {
            self.push(number, base + usize::from(offset));
        }
    }

    /// Queues a touch for members by the gaps between them.
    #[inline(always)]
    pub(super) fn extend_gaps(&mut self, gaps: &[u16], difference: i64) {
        let number = self.number(difference);
        let mut offset = 0;
        for &gap in gaps {
            offset += usize::from(gap);
            if gap != NO_MEMBER {
                self.push(number, offset);
            }
        }
    }

    /// What to name a difference by; of members, any number may have it.
    #[inline(always)]
    pub(super) fn number(&mut self, difference: i64) -> Number {
        self.differences.push(difference);
        Number((self.differences.len() as u32 - 1) << BUCKET_BITS)
    }

    /// Queues a touch for one member.
    #[inline(always)]
    pub(super) fn push(&mut self, number: Number, offset: usize) {
        let in_bucket = offset & ((1 << BUCKET_BITS) - 1);
        self.buckets[(offset >> BUCKET_BITS) % BUCKETS].push(number.0 | in_bucket as u32);
        self.touches += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.touches >= FULL || self.differences.len() >= FULL_OF_DIFFERENCES
    }

    /// Applies all touches, and adds to `disturbed` the documents for which `apply` is true; how
    /// many touches there were. `apply` hears what is kept of a document, and the difference.
    #[inline(always)]
    pub(super) fn flush<T>(
        &mut self,
        documents: &mut [T],
        apply: impl Fn(&mut T, i64) -> bool,
        disturbed: &mut Vec<u32>,
    ) -> usize {
        let parts = documents.chunks_mut(1 << BUCKET_BITS);
        for (first, (documents, bucket)) in (0..)
            .step_by(1 << BUCKET_BITS)
            .zip(parts.zip(&mut self.buckets))
        {
            let mut end = disturbed.len();
            disturbed.resize(end + bucket.len(), 0);
            let in_bucket = |touch: u32| touch & ((1 << BUCKET_BITS) - 1);
            for (i, &touch) in bucket.iter().enumerate() {
                if let Some(&later) = bucket.get(i + AHEAD) {
                    prefetch(&documents[in_bucket(later) as usize]);
                }
                let offset = in_bucket(touch);
                let difference = self.differences[(touch >> BUCKET_BITS) as usize];
                let told = apply(&mut documents[offset as usize], difference);
                disturbed[end] = first + offset;
                end += usize::from(told);
            }
            disturbed.truncate(end);
            bucket.clear();
        }
        self.differences.clear();
        std::mem::take(&mut self.touches)
    }

    pub(super) fn bytes(&self) -> usize {
        let touches: usize = self.buckets.iter().map(Vec::capacity).sum();
        touches * size_of::<u32>() + self.differences.capacity() * size_of::<i64>()
    }
}
