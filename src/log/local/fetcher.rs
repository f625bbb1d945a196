//! Reading single records back by position.
//!
//! Positions ascend, so each frame is read once a call however many of its records are wanted. A
//! few segments stay open with their index between calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{FrameReader, Header};
use super::journal::End;
use super::pick::pick;
use super::reader::limit;
use super::segment::{Segment, segments};
use super::{Shared, corrupt};
use crate::log::{Fetcher, LogError, Position, Record, Result};

/// Segments that stay open, with an index of 32 KiB each.
const OPEN_SEGMENTS: usize = 64;

/// Fetches a local log's records.
pub struct LocalFetcher {
    store: Arc<Shared>,
    log: String,
    partitions: u16,
    ends: Vec<End>,
    /// The bases of each partition's segments, as far as they have been listed.
    bases: Vec<Vec<u64>>,
    open: OpenSegments,
    frames: FrameReader,
}

impl LocalFetcher {
    /// A fetcher of the log's records.
    pub fn new(store: Arc<Shared>, log: &str, partitions: u16) -> Self {
        LocalFetcher {
            store,
            log: log.to_owned(),
            partitions,
            ends: vec![End::default(); usize::from(partitions)],
            bases: vec![Vec::new(); usize::from(partitions)],
            open: OpenSegments::default(),
            frames: FrameReader::new(),
        }
    }

    /// Reads the frame that may hold the position.
    fn frame(&mut self, position: Position) -> Result<Option<(PathBuf, u64, Header)>> {
        let (number, offset) = (usize::from(position.partition()), position.offset());
        let Some(end) = self
            .ends
            .get(number)
            .copied()
            .filter(|end| offset < end.offset)
        else {
            return Ok(None);
        };
        let dir = self.store.paths.partition(&self.log, position.partition());
        let bases = &mut self.bases[number];
        if bases.last().is_none_or(|last| *last < end.segment) {
            *bases = segments(&dir)?;
            // Later ones are not committed: an abort may put others in their place.
            bases.retain(|base| *base <= end.segment);
        }
        let after = bases.partition_point(|base| *base <= offset);
        let Some(base) = after.checked_sub(1).map(|at| bases[at]) else {
            return Err(corrupt(
                &dir,
                0,
                format!("no segment holds offset {offset}"),
            ));
        };
        let segment = self.open.get(&dir, position.partition(), base)?;
        let limit = limit(segment, &end)?;
        let byte = segment.find(offset, limit)?.unwrap_or(0);
        let header = self
            .frames
            .read(&segment.file, &segment.path, byte, limit)?;
        if header.base > offset || header.next <= offset {
            let reason = format!("no frame holds offset {offset}");
            return Err(corrupt(&segment.path, byte, reason));
        }
        Ok(Some((segment.path.clone(), byte, header)))
    }
}

impl Fetcher for LocalFetcher {
    fn fetch(
        &mut self,
        positions: &[Position],
        each: &mut dyn FnMut(Position, Record),
    ) -> Result<()> {
        self.store.journal().refresh()?;
        self.ends = self.store.ends(&self.log, self.partitions);
        let mut rest = positions;
        while let Some(first) = rest.first() {
            let gone = |log: &str, position| LogError::Gone {
                log: log.to_owned(),
                position,
            };
            let Some((path, byte, header)) = self.frame(*first)? else {
                return Err(gone(&self.log, *first));
            };
            let inside =
                |p: &Position| p.partition() == first.partition() && p.offset() < header.next;
            let count = rest.partition_point(inside);
            let (here, later) = rest.split_at(count);
            let served = pick(self.frames.records(), here, each)
                .map_err(|(_, reason)| corrupt(&path, byte, reason))?;
            if let Some(position) = here.get(served) {
                return Err(gone(&self.log, *position));
            }
            rest = later;
        }
        Ok(())
    }
}

/// The segments used last, first in, first out.
#[derive(Default)]
pub struct OpenSegments(Vec<(u16, Segment)>);

impl OpenSegments {
    /// The partition's segment that begins at `base`.
    pub fn get(&mut self, dir: &Path, partition: u16, base: u64) -> Result<&mut Segment> {
        let found = self
            .0
            .iter()
            .position(|(p, segment)| *p == partition && segment.base == base);
        let at = match found {
            Some(at) => at,
            None => {
                let segment = Segment::open(dir, base)?;
                if self.0.len() == OPEN_SEGMENTS {
                    self.0.remove(0);
                }
                self.0.push((partition, segment));
                self.0.len() - 1
            }
        };
        Ok(&mut self.0[at].1)
    }
}
