//! The members of a row's cells, one cell after the other.
//!
//! In a part they are offsets. Once eight parts are merged they are the gaps between offsets in the
//! whole shard, which need more than 16 bits: a gap as long as a part only leads on.

use crate::chunks::prefetch;
use crate::density::bounds::Bounds;
use crate::density::part::PART;
use crate::density::shard::Step;
use crate::density::touches::NO_MEMBER;

/// Steps whose bounds are asked for together, and then their entries.
const TOGETHER: usize = 32;
/// Entries that are asked for ahead, and how many share a line of the cache.
const ENTRIES: usize = 96;
const LINE: usize = 32;

/// Most cells of a part have as many members at most.
const SHORT: usize = 8;

#[derive(Default)]
pub(super) struct Sorted {
    bounds: Bounds,
    entries: Box<[u16]>,
}

impl Sorted {
    /// A part's row, given how many of `codes` each cell has: the members are their indices.
    pub(super) fn of_codes(codes: &[u16], lengths: &[u32]) -> Self {
        let mut next = Vec::with_capacity(lengths.len());
        let mut start = 0;
        for length in lengths {
            next.push(start as u16);
            start += length;
        }
        let mut entries = vec![0; codes.len()];
        for (offset, &code) in (0..=u16::MAX).zip(codes) {
            let next = &mut next[usize::from(code)];
            entries[usize::from(*next)] = offset;
            // After the last of 65,535 documents comes none.
            *next = next.wrapping_add(1);
        }
        Sorted {
            bounds: Bounds::new(lengths),
            entries: entries.into(),
        }
    }

    /// A shard's row, from those of its parts.
    pub(super) fn merge(parts: &[Sorted], cells: usize) -> Self {
        let entries: usize = parts.iter().map(|part| part.entries.len()).sum();
        let mut gaps = Gaps {
            gaps: vec![0; entries + entries / 8],
            len: 0,
        };
        let mut lengths = Vec::with_capacity(cells);
        let mut rests: Vec<_> = (0..)
            .step_by(PART)
            .zip(parts)
            .map(|(base, part)| (base, &part.bounds, part.bounds.long(), &*part.entries))
            .collect();
        for cell in 0..cells {
            let (start, mut end) = (gaps.len, 0);
            for (base, bounds, long, rest) in &mut rests {
                let length = bounds.length(cell, long);
                if length > 0 {
                    gaps.extend(rest, length, *base - end);
                    end = *base + usize::from(rest[length - 1]);
                    *rest = &rest[length..];
                }
            }
            lengths.push((gaps.len - start) as u32);
        }
        gaps.gaps.truncate(gaps.len);
        Sorted {
            bounds: Bounds::new(&lengths),
            entries: gaps.gaps.into(),
        }
    }

    #[inline(always)]
    fn get(&self, cell: u16) -> &[u16] {
        &self.entries[self.bounds.of(cell)]
    }

    pub(super) fn bytes(&self) -> usize {
        self.bounds.bytes() + size_of_val(&*self.entries)
    }
}

/// Gaps that are being written, and room for more.
struct Gaps {
    gaps: Vec<u16>,
    len: usize,
}

impl Gaps {
    /// Writes the gaps between the first `length` of `offsets`, of which the first one is counted
    /// from `base` before their zero.
    #[inline(always)]
    fn extend(&mut self, offsets: &[u16], length: usize, base: usize) {
        // Eight at once, also where fewer are wanted: the others are written over. A loop would be
        // left at another place every time.
        let gap = base + usize::from(offsets[0]);
        let room = self.gaps.get_mut(self.len..self.len + SHORT);
        if let (Some(offsets), Some(room)) = (offsets.first_chunk::<SHORT>(), room)
            && length <= SHORT
            && gap < usize::from(NO_MEMBER)
        {
            room[0] = gap as u16;
            for i in 1..SHORT {
                room[i] = offsets[i].wrapping_sub(offsets[i - 1]);
            }
            self.len += length;
        } else {
            self.extend_long(&offsets[..length], gap);
        }
    }

    fn extend_long(&mut self, offsets: &[u16], mut gap: usize) {
        let most = self.len + gap / usize::from(NO_MEMBER) + offsets.len();
        if most > self.gaps.len() {
            self.gaps.resize(most + most / 16, 0);
        }
        while gap >= usize::from(NO_MEMBER) {
            self.push(NO_MEMBER);
            gap -= usize::from(NO_MEMBER);
        }
        self.push(gap as u16);
        for pair in offsets.windows(2) {
            self.push(pair[1] - pair[0]);
        }
    }

    fn push(&mut self, gap: u16) {
        self.gaps[self.len] = gap;
        self.len += 1;
    }
}

/// Calls `each` with the entries of every step's cell and the difference, in any order.
///
/// Nearly every list is in a page of its own, and the processor goes on only when it knows where
/// that is. Asked for together, many pages are looked up at once.
#[inline(always)]
pub(super) fn each<'a>(
    steps: &[Step],
    row: impl Fn(u16) -> &'a Sorted,
    mut each: impl FnMut(&'a [u16], i64),
) {
    let mut due: [(&[u16], i64); TOGETHER] = [(&[], 0); TOGETHER];
    let mut rest = steps;
    while !rest.is_empty() {
        let (some, later) = rest.split_at(TOGETHER.min(rest.len()));
        for step in later.iter().take(TOGETHER) {
            row(step.row).bounds.prefetch(step.cell);
        }
        let mut next: [(&[u16], i64); TOGETHER] = [(&[], 0); TOGETHER];
        for (step, next) in some.iter().zip(&mut next) {
            let entries = row(step.row).get(step.cell);
            let lines = entries.iter().take(ENTRIES).step_by(LINE);
            lines.for_each(prefetch);
            *next = (entries, step.difference);
        }
        for (entries, difference) in std::mem::replace(&mut due, next) {
            each(entries, difference);
        }
        rest = later;
    }
    for (entries, difference) in due {
        each(entries, difference);
    }
}
