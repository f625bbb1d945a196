//! Touches on their way to a shard's documents.
//!
//! Lists are read into a buffer first, across their ends, so that every document can be asked for
//! well ahead, and what is done to it has no branch that would wait for it.

use crate::chunks::prefetch;
use crate::density::document::{Document, Watch};

const FULL: usize = 4096;
const AHEAD: usize = 24;

/// Each is the difference, and in the low 16 bits the offset.
#[derive(Default)]
pub(super) struct Touches(Vec<i64>);

impl Touches {
    #[inline(always)]
    pub(super) fn extend(&mut self, offsets: &[u16], difference: i64) {
        // A level's value is below 2³⁷, so the shift loses nothing.
        self.0.extend(
            offsets
                .iter()
                .map(|&offset| difference << 16 | i64::from(offset)),
        );
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
        disturbed: &mut Vec<u16>,
    ) -> usize {
        let touches = self.0.len();
        let mut end = disturbed.len();
        disturbed.resize(end + touches, 0);
        for (i, &touch) in self.0.iter().enumerate() {
            if let Some(later) = self.0.get(i + AHEAD) {
                prefetch(&documents[usize::from(*later as u16)]);
            }
            let offset = touch as u16;
            let told = documents[usize::from(offset)].shift(touch >> 16, watch);
            disturbed[end] = offset;
            end += usize::from(told);
        }
        disturbed.truncate(end);
        self.0.clear();
        touches
    }
}
