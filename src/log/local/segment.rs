//! Segments: the files of a partition, and where in them an offset stands.
//!
//! A segment is named by the offset of its first record. The index of a segment (one entry a
//! frame) is rebuilt from the frames' headers when it is first asked for, which takes about a
//! microsecond a frame: less to keep right than an index file, and nothing to repair.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::frame::read_header;
use super::{corrupt, io};
use crate::log::Result;

/// The file of the segment that begins at `base`.
pub fn segment_path(partition: &Path, base: u64) -> PathBuf {
    partition.join(format!("{base:020}.seg"))
}

/// The bases of a partition's segments, ascending.
pub fn segments(partition: &Path) -> Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(partition).map_err(io(partition))? {
        let name = entry.map_err(io(partition))?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        bases.extend(base.and_then(|base| base.parse::<u64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// A segment opened for reading.
pub struct Segment {
    /// Offset of its first record.
    pub base: u64,
    /// Its file.
    pub file: File,
    /// The file's path, for errors.
    pub path: PathBuf,
    frames: Vec<Frame>,
    indexed: u64,
}

/// Where a frame begins.
#[derive(Clone, Copy)]
struct Frame {
    base: u64,
    byte: u64,
}

impl Segment {
    /// Opens the segment that begins at `base`.
    pub fn open(partition: &Path, base: u64) -> Result<Segment> {
        let path = segment_path(partition, base);
        let file = File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => corrupt(&path, 0, "this segment is missing"),
            _ => io(&path)(e),
        })?;
        Ok(Segment {
            base,
            file,
            path,
            frames: Vec::new(),
            indexed: 0,
        })
    }

    /// The length of the file. Of a segment that another follows, all of it is committed.
    pub fn bytes(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(io(&self.path))?.len())
    }

    /// Where the last frame begins whose base is not above `offset`; the frames up to byte
    /// `limit` are looked at. `None` where all are above, or there are none.
    pub fn find(&mut self, offset: u64, limit: u64) -> Result<Option<u64>> {
        self.index(limit)?;
        let after = self.frames.partition_point(|frame| frame.base <= offset);
        Ok(after.checked_sub(1).map(|at| self.frames[at].byte))
    }

    fn index(&mut self, limit: u64) -> Result<()> {
        while self.indexed < limit {
            let header = read_header(&self.file, &self.path, self.indexed, limit)?;
            self.frames.push(Frame {
                base: header.base,
                byte: self.indexed,
            });
            self.indexed += header.frame_bytes();
        }
        Ok(())
    }
}
