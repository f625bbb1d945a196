//! Segments: the files of a partition, and where in them an offset stands.
//!
//! A segment is named by the offset of its first record. Where its frames stand is known by an
//! index with an entry every 64 KiB, and from there by the frames' headers. A closed segment has
//! the index in a file beside it; a missing or damaged one is made anew from the headers, which
//! takes about a microsecond a frame when the segment is in memory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::frame::read_header;
use super::index::Index;
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

/// The file of that segment's index.
pub fn index_path(partition: &Path, base: u64) -> PathBuf {
    partition.join(format!("{base:020}.idx"))
}

/// A segment opened for reading.
pub struct Segment {
    /// Offset of its first record.
    pub base: u64,
    /// Its file.
    pub file: File,
    /// The file's path, for errors.
    pub path: PathBuf,
    index_path: PathBuf,
    index: Index,
}

impl Segment {
    /// Opens the segment that begins at `base`.
    pub fn open(partition: &Path, base: u64) -> Result<Segment> {
        let path = segment_path(partition, base);
        let file = File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => corrupt(&path, 0, "this segment is missing"),
            _ => io(&path)(e),
        })?;
        let index_path = index_path(partition, base);
        Ok(Segment {
            base,
            file,
            path,
            index_path,
            index: Index::default(),
        })
    }

    /// The length of the file. Of a segment that another follows, all of it is committed.
    pub fn bytes(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(io(&self.path))?.len())
    }

    /// Where the last frame begins whose base is not above `offset`, among those before byte
    /// `limit`; `None` where all are above, or there are none.
    pub fn find(&mut self, offset: u64, limit: u64) -> Result<Option<u64>> {
        self.extend_index(limit)?;
        let Some(mut byte) = self.index.find(offset) else {
            return Ok(None);
        };
        let mut found = None;
        while byte < limit {
            let header = read_header(&self.file, &self.path, byte, limit)?;
            if header.base > offset {
                break;
            }
            found = Some(byte);
            if header.next > offset {
                break;
            }
            byte += header.frame_bytes();
        }
        Ok(found)
    }

    /// Keeps the index of the closed segment beside it, for those who open it later.
    pub fn save_index(&mut self) -> Result<()> {
        self.extend_index(self.bytes()?)?;
        std::fs::write(&self.index_path, self.index.encode()).map_err(io(&self.index_path))
    }

    fn extend_index(&mut self, limit: u64) -> Result<()> {
        if self.index.is_empty() {
            let saved = fs::read(&self.index_path)
                .ok()
                .and_then(|bytes| Index::decode(&bytes));
            // One that reaches farther is of data that were cut since.
            self.index = saved
                .filter(|index| index.bytes() <= limit)
                .unwrap_or_default();
        }
        while self.index.bytes() < limit {
            let byte = self.index.bytes();
            let header = read_header(&self.file, &self.path, byte, limit)?;
            self.index.push(header.base, header.frame_bytes());
        }
        Ok(())
    }
}
