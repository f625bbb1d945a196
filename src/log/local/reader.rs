//! Sequential reading: each partition's frames, from an offset to the committed end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frame::FrameReader;
use super::journal::End;
use super::segment::{Segment, segments};
use super::{Shared, corrupt};
use crate::log::{LogError, Offsets, Position, Reader, Received, Result};

/// A poll stops after this many bytes of records, or one frame more.
const POLL_BYTES: usize = 2 << 20;

/// Reads a local log's committed records.
pub struct LocalReader {
    store: Arc<Shared>,
    log: String,
    offsets: Offsets,
    cursors: Vec<Cursor>,
    /// The partition that the next poll begins with, so that a busy one does not starve others.
    turn: usize,
    frames: FrameReader,
}

/// How far a partition has been read.
struct Cursor {
    dir: PathBuf,
    partition: u16,
    segment: Option<(Segment, u64)>,
}

impl LocalReader {
    /// A reader from these offsets on; a partition that `from` lacks is read from its start.
    ///
    /// # Errors
    /// [`LogError::Gone`] where an offset lies behind the committed end.
    pub fn new(store: Arc<Shared>, log: &str, partitions: u16, from: &Offsets) -> Result<Self> {
        let mut offsets = Offsets::start(partitions);
        for (offset, from) in offsets.0.iter_mut().zip(&from.0) {
            *offset = *from;
        }
        for (partition, end) in (0..partitions).zip(store.ends(log, partitions)) {
            let offset = offsets.0[usize::from(partition)];
            if offset > end.offset && offset != Offsets::ELSEWHERE {
                let position = Position::new(partition, offset);
                return Err(LogError::Gone {
                    log: log.to_owned(),
                    position,
                });
            }
        }
        let cursor = |partition| {
            let dir = store.paths.partition(log, partition);
            Cursor {
                dir,
                partition,
                segment: None,
            }
        };
        let cursors = (0..partitions).map(cursor).collect();
        let (log, frames) = (log.to_owned(), FrameReader::new());
        Ok(LocalReader {
            store,
            log,
            offsets,
            cursors,
            turn: 0,
            frames,
        })
    }

    /// Reads frames of all partitions in turn until the poll is full or all is read.
    fn read(&mut self) -> Result<Vec<Received>> {
        let ends = self.store.ends(&self.log, self.cursors.len() as u16);
        let (mut records, mut bytes) = (Vec::new(), 0);
        let mut idle = 0;
        while idle < self.cursors.len() && bytes < POLL_BYTES {
            let at = self.turn;
            self.turn = (at + 1) % self.cursors.len();
            let (cursor, next) = (&mut self.cursors[at], &mut self.offsets.0[at]);
            if *next >= ends[at].offset {
                idle += 1;
                continue;
            }
            cursor.read_frame(next, &ends[at], &mut self.frames, &mut records)?;
            bytes += self.frames.raw_bytes();
            idle = 0;
        }
        Ok(records)
    }
}

impl Reader for LocalReader {
    fn poll(&mut self, timeout: Duration) -> Result<Vec<Received>> {
        let deadline = Instant::now() + timeout;
        self.store.journal().refresh()?;
        loop {
            let records = self.read()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !records.is_empty() || left.is_zero() {
                return Ok(records);
            }
            self.store.wait(left)?;
        }
    }

    fn offsets(&self) -> &Offsets {
        &self.offsets
    }
}

impl Cursor {
    /// Reads the frame that holds offset `next`, which lies before `end`, and moves `next` on.
    fn read_frame(
        &mut self,
        next: &mut u64,
        end: &End,
        frames: &mut FrameReader,
        records: &mut Vec<Received>,
    ) -> Result<()> {
        let (mut segment, mut byte) = match self.segment.take() {
            Some(place) => place,
            None => self.seek(*next, end)?,
        };
        let mut limit = limit(&segment, end)?;
        if byte == limit && segment.base != end.segment {
            (segment, byte) = (Segment::open(&self.dir, *next)?, 0);
            limit = self::limit(&segment, end)?;
        }
        let header = frames.read(&segment.file, &segment.path, byte, limit)?;
        let damaged = |reason: &str| corrupt(&segment.path, byte, reason);
        if header.base > *next || header.next <= *next {
            return Err(damaged("a frame's offsets do not follow those before it"));
        }
        for item in frames.records() {
            let (offset, body) = item.map_err(damaged)?;
            if offset >= *next {
                let record = body
                    .decode()
                    .ok_or_else(|| damaged("a record makes no sense"))?;
                let position = Position::new(self.partition, offset);
                records.push(Received { position, record });
            }
        }
        *next = header.next;
        self.segment = Some((segment, byte + header.frame_bytes()));
        Ok(())
    }

    /// The segment and byte of the frame that holds `offset`.
    fn seek(&self, offset: u64, end: &End) -> Result<(Segment, u64)> {
        let bases = segments(&self.dir)?;
        let after = bases.partition_point(|base| *base <= offset);
        let missing = || corrupt(&self.dir, 0, format!("no segment holds offset {offset}"));
        let base = after
            .checked_sub(1)
            .map(|at| bases[at])
            .ok_or_else(missing)?;
        let mut segment = Segment::open(&self.dir, base)?;
        let limit = limit(&segment, end)?;
        let byte = segment.find(offset, limit)?.unwrap_or(0);
        Ok((segment, byte))
    }
}

/// Where the committed data of a segment end.
pub fn limit(segment: &Segment, end: &End) -> Result<u64> {
    if segment.base == end.segment {
        Ok(end.byte)
    } else {
        segment.bytes()
    }
}
