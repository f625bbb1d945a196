//! Single records, from the copy where it has them.

use std::sync::Arc;

use super::copy::{Copies, Place};
use crate::log::local::frame::FrameReader;
use crate::log::local::pick::pick;
use crate::log::{Fetcher, Position, Record, Result};

/// Looks into the mirror first, and asks the store for the rest.
pub struct MirrorFetcher {
    store: Box<dyn Fetcher>,
    copies: Arc<Copies>,
    frames: FrameReader,
}

impl MirrorFetcher {
    /// A fetcher over the store's own.
    pub fn new(store: Box<dyn Fetcher>, copies: Arc<Copies>) -> Self {
        MirrorFetcher {
            store,
            copies,
            frames: FrameReader::new(),
        }
    }

    /// Serves as many positions from the copy as it can, from the first on.
    fn serve_copies(
        &mut self,
        wanted: &[Position],
        each: &mut dyn FnMut(Position, Record),
    ) -> usize {
        let Some(place) = self.copies.find(wanted[0]) else {
            return self.copies.pick_waiting(wanted, each);
        };
        let Place {
            file,
            byte,
            limit,
            next,
        } = &place;
        if let Err(error) = self.frames.read(&file.file, &file.path, *byte, *limit) {
            tracing::warn!(%error, "a part of the mirror is forgotten");
            self.copies.forget(&place);
            return 0;
        }
        let inside = |p: &&Position| p.partition() == wanted[0].partition() && p.offset() < *next;
        let count = wanted.iter().take_while(inside).count();
        pick(self.frames.records(), &wanted[..count], each).unwrap_or_else(|(served, _)| served)
    }
}

impl Fetcher for MirrorFetcher {
    fn fetch(
        &mut self,
        positions: &[Position],
        each: &mut dyn FnMut(Position, Record),
    ) -> Result<()> {
        let mut rest = positions;
        while !rest.is_empty() {
            let served = self.serve_copies(rest, each);
            rest = &rest[served..];
            if served > 0 || rest.is_empty() {
                continue;
            }
            // In runs: the store reads neighbours in passing.
            let misses = rest[1..]
                .iter()
                .take_while(|p| !self.copies.spans(**p))
                .count()
                + 1;
            self.store.fetch(&rest[..misses], each)?;
            rest = &rest[misses..];
        }
        Ok(())
    }
}
