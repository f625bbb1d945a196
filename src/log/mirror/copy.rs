//! The copied records: segments on disk, and where in them each record stands.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::log::local::frame::{FrameBuilder, Header};
use crate::log::local::io;
use crate::log::local::layout::try_lock;
use crate::log::local::pick::pick;
use crate::log::{Position, Received, Record, Result};

/// Segments go one by one, so they are small against the bound.
const SEGMENTS: u64 = 32;
const SEGMENT_BYTES_MAX: u64 = 128 << 20;

/// The mirror's records, shared by the readers that fill it and the fetchers that look into it.
pub struct Copies {
    state: Mutex<State>,
    _lock: File,
}

/// What a record is copied for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// It stands before the place where the readers began.
    Before,
    /// A reader has passed it.
    Passing,
}

struct State {
    dir: PathBuf,
    bytes_max: u64,
    segment_bytes: u64,
    partitions: BTreeMap<(u16, Side), Partition>,
    /// Those of records before the readers first, then oldest first, over all partitions.
    segments: VecDeque<Segment>,
    count: u64,
    bytes: u64,
    /// Whether the last write failed: said once.
    failing: bool,
}

/// The open end of a partition's copy.
struct Partition {
    builder: FrameBuilder,
    /// The number of the segment that is written; another begins when it is full or gone.
    segment: Option<u64>,
    /// Readers that come by again bring nothing.
    next: u64,
}

/// A file of frames of one partition.
struct Segment {
    number: u64,
    partition: u16,
    side: Side,
    file: Arc<SegmentFile>,
    /// Base and first byte of each frame.
    frames: Vec<(u64, u64)>,
    next: u64,
    bytes: u64,
}

/// A segment's file, removed when neither the mirror nor a fetcher needs it.
pub struct SegmentFile {
    /// The file.
    pub file: File,
    /// Its path, for errors.
    pub path: PathBuf,
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        // Someone may have deleted the mirror: nothing is lost.
        let _ = fs::remove_file(&self.path);
    }
}

/// A frame that spans an offset.
pub struct Place {
    /// The file it stands in.
    pub file: Arc<SegmentFile>,
    /// Where it begins.
    pub byte: u64,
    /// Where the segment's frames end.
    pub limit: u64,
    /// The offset at which the next frame begins, or none is known.
    pub next: u64,
}

impl Copies {
    /// An empty mirror in `dir`.
    pub fn new(dir: &Path, bytes_max: u64) -> Result<Self> {
        fs::create_dir_all(dir).map_err(io(dir))?;
        let lock = try_lock(&dir.join("lock"))?;
        for entry in fs::read_dir(dir).map_err(io(dir))? {
            let path = entry.map_err(io(dir))?.path();
            if path.extension().is_some_and(|extension| extension == "seg") {
                fs::remove_file(&path).map_err(io(&path))?;
            }
        }
        let state = State {
            dir: dir.to_path_buf(),
            bytes_max,
            segment_bytes: (bytes_max / SEGMENTS).min(SEGMENT_BYTES_MAX),
            partitions: BTreeMap::new(),
            segments: VecDeque::new(),
            count: 0,
            bytes: 0,
            failing: false,
        };
        Ok(Copies {
            state: Mutex::new(state),
            _lock: lock,
        })
    }

    /// Copies records, which ascend in each partition of a side.
    pub fn take_in(&self, side: Side, records: &[Received]) {
        let mut state = self.state();
        for received in records {
            state.push(side, received);
        }
    }

    /// Whether there is room for another segment beside those that are there.
    pub fn has_room(&self) -> bool {
        let state = self.state();
        state.bytes + state.segment_bytes <= state.bytes_max
    }

    /// The frame that may hold the record; records that wait for their frame are not found here.
    pub fn find(&self, position: Position) -> Option<Place> {
        self.state().find(position)
    }

    /// Hands out what waits for its frame, from the first position on; how many positions.
    pub fn pick_waiting(
        &self,
        wanted: &[Position],
        each: &mut dyn FnMut(Position, Record),
    ) -> usize {
        let state = self.state();
        let Some(first) = wanted.first() else {
            return 0;
        };
        let Some(builder) = state.waiting(*first) else {
            return 0;
        };
        let span = builder.offsets();
        let inside =
            |p: &Position| p.partition() == first.partition() && span.contains(&p.offset());
        let count = wanted.iter().take_while(|p| inside(p)).count();
        pick(builder.records(), &wanted[..count], each).unwrap_or_else(|(served, _)| served)
    }

    /// Whether the position lies in what is copied, be it a record or a gap.
    pub fn spans(&self, position: Position) -> bool {
        let state = self.state();
        state.waiting(position).is_some() || state.find(position).is_some()
    }

    /// Forgets the segment of a frame that did not read back.
    pub fn forget(&self, place: &Place) {
        let mut state = self.state();
        let at = state
            .segments
            .iter()
            .position(|s| Arc::ptr_eq(&s.file, &place.file));
        if let Some(segment) = at.and_then(|at| state.segments.remove(at)) {
            state.bytes -= segment.bytes;
        }
    }

    /// The state. A panic in the middle of a change could only make it lack records.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, side: Side, received: &Received) {
        let (number, offset) = (received.position.partition(), received.position.offset());
        let key = (number, side);
        let partition = self.partitions.entry(key).or_insert_with(|| Partition {
            builder: FrameBuilder::new(),
            segment: None,
            next: 0,
        });
        if offset < partition.next {
            return;
        }
        partition.next = offset + 1;
        partition.builder.push(offset, &received.record);
        if !partition.builder.is_full() {
            return;
        }
        let written = self.write_frame(key);
        if let Err(error) = &written
            && !self.failing
        {
            tracing::warn!(%error, "the mirror cannot be written; it keeps what it has");
        }
        self.failing = written.is_err();
    }

    /// Moves the partition's waiting records into its segment. They are gone if that fails.
    fn write_frame(&mut self, key: (u16, Side)) -> Result<()> {
        let Some(mut partition) = self.partitions.remove(&key) else {
            return Ok(());
        };
        let (header, bytes) = partition.builder.encode();
        let result = self.write(key, partition.segment, &header, bytes);
        partition.builder.clear();
        let result = result.map(|segment| partition.segment = segment);
        self.partitions.insert(key, partition);
        result
    }

    /// Appends a frame to the partition's open segment; which segment is open afterwards.
    fn write(
        &mut self,
        key: (u16, Side),
        open: Option<u64>,
        header: &Header,
        frame: &[u8],
    ) -> Result<Option<u64>> {
        let bytes = frame.len() as u64;
        if bytes > self.bytes_max {
            return Ok(open);
        }
        self.make_room(bytes);
        let at = self.segment_of(key, open)?;
        let segment = &mut self.segments[at];
        let written = segment.file.file.write_all_at(frame, segment.bytes);
        written.map_err(io(&segment.file.path))?;
        segment.frames.push((header.base, segment.bytes));
        segment.next = header.next;
        segment.bytes += bytes;
        self.bytes += bytes;
        Ok((segment.bytes < self.segment_bytes).then_some(segment.number))
    }

    /// Where the partition's open segment stands in the queue; a fresh one if it has none.
    fn segment_of(&mut self, key: (u16, Side), open: Option<u64>) -> Result<usize> {
        let at = open.and_then(|open| self.segments.iter().position(|s| s.number == open));
        if let Some(at) = at {
            return Ok(at);
        }
        fs::create_dir_all(&self.dir).map_err(io(&self.dir))?;
        let path = self.dir.join(format!("{:020}.seg", self.count));
        let mut options = OpenOptions::new();
        let file = options.create_new(true).read(true).write(true).open(&path);
        let file = Arc::new(SegmentFile {
            file: file.map_err(io(&path))?,
            path,
        });
        let ((partition, side), number, frames) = (key, self.count, Vec::new());
        self.count += 1;
        let at = self.segments.partition_point(|s| s.side <= side);
        let segment = Segment {
            number,
            partition,
            side,
            file,
            frames,
            next: 0,
            bytes: 0,
        };
        self.segments.insert(at, segment);
        Ok(at)
    }

    /// Drops the oldest segments until so many bytes fit.
    fn make_room(&mut self, bytes: u64) {
        while self.bytes + bytes > self.bytes_max
            && let Some(segment) = self.segments.pop_front()
        {
            self.bytes -= segment.bytes;
        }
    }

    /// The records that wait for their frame, if the position lies among them.
    fn waiting(&self, position: Position) -> Option<&FrameBuilder> {
        let sides = [Side::Before, Side::Passing].into_iter();
        let open = sides.filter_map(|side| self.partitions.get(&(position.partition(), side)));
        open.map(|partition| &partition.builder)
            .find(|builder| builder.offsets().contains(&position.offset()))
    }

    fn find(&self, position: Position) -> Option<Place> {
        let (partition, offset) = (position.partition(), position.offset());
        let spans = |s: &&Segment| {
            let first = s.frames.first().is_some_and(|(base, _)| *base <= offset);
            s.partition == partition && first && offset < s.next
        };
        let segment = self.segments.iter().find(spans)?;
        let after = segment.frames.partition_point(|(base, _)| *base <= offset);
        let (_, byte) = segment.frames[after - 1];
        let next = segment
            .frames
            .get(after)
            .map_or(segment.next, |(base, _)| *base);
        Some(Place {
            file: Arc::clone(&segment.file),
            byte,
            limit: segment.bytes,
            next,
        })
    }
}
