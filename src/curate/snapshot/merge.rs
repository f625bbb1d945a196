//! Merges the last snapshot and the runs behind it: of each id the last entry counts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::cursor::Cursor;
use super::entry;
use super::error::{Result, SnapshotError};
use super::file::{Snapshot, SnapshotWriter};
use super::folder::Folder;
use super::header::Header;
use super::spool::{Run, RunWriter};
use crate::curate::groups::Groups;

/// Files that are merged at once: each takes up to three blocks of memory and a file handle.
const FILES_MAX: usize = 64;

/// What a snapshot is made of.
pub struct Merge {
    /// Where it is made.
    pub folder: Folder,
    /// What it will say of itself.
    pub header: Header,
    /// The groups of the process.
    pub groups: Groups,
    /// The snapshot before it, if there is one.
    pub base: Option<Snapshot>,
    /// What came since, the oldest first.
    pub runs: Vec<Run>,
}

/// A snapshot that has been made.
pub struct Made {
    /// It, proven.
    pub snapshot: Snapshot,
    /// How long it took.
    pub took: Duration,
}

impl Merge {
    /// Makes the snapshot, proves it by reading it back, and removes what it replaces: all but
    /// itself and the one that it was made from. Where documents of that one have been taken down,
    /// it goes too, so that the newest snapshot is the end of a takedown.
    ///
    /// # Errors
    /// [`SnapshotError::Ended`] once `stop` is set; those of the files.
    pub fn run(mut self, stop: &AtomicBool) -> Result<Made> {
        let started = Instant::now();
        let temporary = self.folder.temporary();
        let written = self.write(&temporary, stop);
        if written.is_err() {
            // What fills the disk must not stay there.
            let _ = fs::remove_file(&temporary);
        }
        let taken_down = written?;
        let path = self.folder.keep(&temporary, self.header.epoch)?;
        let snapshot = Snapshot::open(&path)?;
        let before = self.base.filter(|_| !taken_down);
        let kept = [Some(&snapshot), before.as_ref()];
        self.folder.remove_all_but(kept.into_iter().flatten())?;
        let took = started.elapsed();
        Ok(Made { snapshot, took })
    }

    /// Writes the snapshot; whether a document of the last one was taken down.
    fn write(&mut self, path: &Path, stop: &AtomicBool) -> Result<bool> {
        let (header, groups) = (&self.header, &self.groups);
        let width = entry::width(header.reading.rows);
        let runs = few(
            std::mem::take(&mut self.runs),
            self.folder.path(),
            width,
            stop,
        )?;
        let mut sources = Vec::new();
        if let Some(base) = &self.base {
            sources.push(Cursor::of_snapshot(base, &header.reading, groups)?);
        }
        for run in &runs {
            sources.push(Cursor::of_run(&run.path, width)?);
        }
        let mut writer = SnapshotWriter::create(path, header, groups)?;
        let mut taken_down = false;
        merge(sources, stop, |entry, replaces| {
            if entry::is_takedown(entry) {
                taken_down |= replaces && self.base.is_some();
                return Ok(());
            }
            writer.push(entry)
        })?;
        writer.finish()?;
        Ok(taken_down)
    }
}

/// The same entries in as few runs as are merged at once.
fn few(mut runs: Vec<Run>, dir: &Path, width: usize, stop: &AtomicBool) -> Result<Vec<Run>> {
    let mut count = 0;
    while runs.len() > FILES_MAX {
        let mut many = std::mem::take(&mut runs).into_iter().peekable();
        while many.peek().is_some() {
            let some: Vec<Run> = many.by_ref().take(FILES_MAX).collect();
            let path = dir.join(format!("merged-{count}.tmp"));
            runs.push(merge_runs(&some, path, width, stop)?);
            count += 1;
        }
    }
    Ok(runs)
}

/// One run in the place of several, with their takedowns.
fn merge_runs(runs: &[Run], path: PathBuf, width: usize, stop: &AtomicBool) -> Result<Run> {
    let sources = runs.iter().map(|run| Cursor::of_run(&run.path, width));
    let mut writer = RunWriter::create(path, width)?;
    let sources = sources.collect::<Result<Vec<_>>>()?;
    merge(sources, stop, |entry, _| writer.push(entry))?;
    writer.finish()
}

/// Calls `each` with the last entry of each id, in their order, and with whether it takes the place
/// of one in the first source.
fn merge(
    mut sources: Vec<Cursor>,
    stop: &AtomicBool,
    mut each: impl FnMut(&[u8], bool) -> Result<()>,
) -> Result<()> {
    // The least id is on top, and of its entries that of the last source.
    let mut heads = BinaryHeap::new();
    for (index, source) in sources.iter_mut().enumerate() {
        source.step()?;
        heads.extend(source.entry().map(|head| (Reverse(entry::id(head)), index)));
    }
    let mut steps = 0u32;
    while let Some(&(Reverse(id), latest)) = heads.peek() {
        let of_first = |head: &[u8]| latest > 0 && entry::id(head) == id;
        let replaces = sources[0].entry().is_some_and(of_first);
        each(sources[latest].entry().expect("it has a head"), replaces)?;
        while let Some(mut top) = heads.peek_mut()
            && top.0 == Reverse(id)
        {
            let source = &mut sources[top.1];
            source.step()?;
            match source.entry() {
                Some(head) => top.0 = Reverse(entry::id(head)),
                None => drop(PeekMut::pop(top)),
            }
        }
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(1 << 12) && stop.load(Ordering::Relaxed) {
            return Err(SnapshotError::Ended);
        }
    }
    Ok(())
}
