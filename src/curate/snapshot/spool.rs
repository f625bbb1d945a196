//! The spool: entries since the last snapshot, in files of sorted runs.
//!
//! Runs of a few megabytes are sorted in memory, so that a merge, which streams them, keeps no id
//! of the corpus: memory is the same for any number of documents.

use std::fs;
use std::path::{Path, PathBuf};

use super::block::{BLOCK_BYTES, BlockWriter, Kind};
use super::entry;
use super::error::Result;

/// Entries are sorted and written when they reach this many bytes. Sorting takes as much again.
pub const RUN_BYTES: usize = 8 << 20;

/// A file of entries in the order of their ids, the last one of each id; removed when dropped.
pub struct Run {
    /// The file.
    pub path: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        // Someone may have deleted it: nothing is lost.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes runs of consecutive numbers into a directory.
pub struct Spool {
    dir: PathBuf,
    width: usize,
    run_bytes: usize,
    open: Vec<u8>,
    runs: Vec<Run>,
    count: u64,
}

impl Spool {
    /// An empty spool of entries of `width` bytes, in runs of `run_bytes`.
    pub fn new(dir: &Path, width: usize, run_bytes: usize) -> Self {
        Spool {
            dir: dir.to_path_buf(),
            width,
            run_bytes,
            open: Vec::new(),
            runs: Vec::new(),
            count: 0,
        }
    }

    /// Adds entries, end to end.
    pub fn push(&mut self, entries: &[u8]) -> Result<()> {
        self.open.extend_from_slice(entries);
        match self.open.len() >= self.run_bytes {
            true => self.close_run(),
            false => Ok(()),
        }
    }

    /// All runs so far, the oldest first; the spool is empty afterwards.
    pub fn take(&mut self) -> Result<Vec<Run>> {
        self.close_run()?;
        Ok(std::mem::take(&mut self.runs))
    }

    fn close_run(&mut self) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let path = self.dir.join(format!("run-{}.tmp", self.count));
        self.count += 1;
        let mut writer = RunWriter::create(path, self.width)?;
        let order = sorted(&self.open, self.width);
        for (place, &(id, at)) in order.iter().enumerate() {
            if order.get(place + 1).is_none_or(|(next, _)| *next != id) {
                let at = at as usize * self.width;
                writer.push(&self.open[at..at + self.width])?;
            }
        }
        self.runs.push(writer.finish()?);
        self.open.clear();
        Ok(())
    }
}

/// Ids and places of entries, by id and then by place.
fn sorted(entries: &[u8], width: usize) -> Vec<(u128, u32)> {
    let entries = entries.chunks_exact(width).enumerate();
    let mut order: Vec<_> = entries
        .map(|(place, entry)| (entry::id(entry), place as u32))
        .collect();
    order.sort_unstable();
    order
}

/// Writes a run whose entries come in order.
pub struct RunWriter {
    run: Run,
    blocks: BlockWriter,
    width: usize,
    open: Vec<u8>,
}

impl RunWriter {
    /// An empty run at `path`.
    pub fn create(path: PathBuf, width: usize) -> Result<Self> {
        Ok(RunWriter {
            blocks: BlockWriter::create(&path, false)?,
            run: Run { path },
            width,
            open: Vec::with_capacity(BLOCK_BYTES),
        })
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: &[u8]) -> Result<()> {
        self.open.extend_from_slice(entry);
        if self.open.len() + self.width > BLOCK_BYTES {
            self.blocks.put(Kind::Documents, &self.open)?;
            self.open.clear();
        }
        Ok(())
    }

    /// The whole run.
    pub fn finish(mut self) -> Result<Run> {
        if !self.open.is_empty() {
            self.blocks.put(Kind::Documents, &self.open)?;
        }
        self.blocks.flush()?;
        Ok(self.run)
    }
}
