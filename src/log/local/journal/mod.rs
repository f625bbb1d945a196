//! The journal: one file that says what is committed in every log of a store.
//!
//! A commit appends one checksummed entry {writer, its position, the new end of every partition it
//! wrote}, so that several logs and the position move together. Processes follow each other by
//! reading on in the file. An entry that is cut off at the end of the file is a commit that never
//! took place; the next committer removes it. When the file has grown past a bound it is replaced
//! by a checkpoint under the same name: followers notice the other inode and start over.

pub(super) mod entry;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

pub use entry::{Commit, End, State};
use entry::{Entry, FILE_HEADER, Parsed};

use super::layout::{Paths, open_lock, sync_dir};
use super::{corrupt, io};
use crate::log::Result;

/// The journal as this process knows it.
pub struct Journal {
    path: PathBuf,
    dir: PathBuf,
    lock: File,
    lock_path: PathBuf,
    file: File,
    inode: u64,
    /// Bytes of valid entries read so far.
    read: u64,
    state: State,
    bytes_max: u64,
    durable: bool,
}

impl Journal {
    /// Opens the store's journal and reads it; makes it where there is none.
    ///
    /// # Errors
    /// [`crate::log::LogError::Corrupt`] where committed entries are damaged, or the journal of a
    /// store that holds data is missing.
    pub fn open(paths: &Paths, bytes_max: u64, durable: bool) -> Result<Journal> {
        let (path, lock_path) = (paths.journal(), paths.journal_lock());
        let lock = open_lock(&lock_path)?;
        lock.lock().map_err(io(&lock_path))?;
        if !path.exists() {
            if holds_segments(&paths.logs())? {
                return Err(corrupt(&path, 0, "it is missing, but the logs hold data"));
            }
            replace(
                &path,
                paths.dir(),
                &Entry::Checkpoint(State::default()).encode(),
            )?;
        }
        let (file, inode) = open_file(&path)?;
        let dir = paths.dir().to_path_buf();
        let mut journal = Journal {
            path,
            dir,
            lock,
            lock_path,
            file,
            inode,
            read: 0,
            state: State::default(),
            bytes_max,
            durable,
        };
        journal.read_on()?;
        journal.tail()?;
        journal.lock.unlock().map_err(io(&journal.lock_path))?;
        Ok(journal)
    }

    /// What is committed, as of the last refresh or commit.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Reads what other processes have committed since.
    pub fn refresh(&mut self) -> Result<()> {
        let metadata = fs::metadata(&self.path).map_err(io(&self.path))?;
        if metadata.ino() != self.inode {
            (self.file, self.inode) = open_file(&self.path)?;
            self.read = 0;
        }
        self.read_on()
    }

    /// Appends a commit; on return it is durable.
    ///
    /// After a failure the entry is either whole or no entry at all.
    pub fn commit(&mut self, commit: Commit) -> Result<()> {
        self.lock.lock().map_err(io(&self.lock_path))?;
        let result = self.commit_locked(commit);
        self.lock.unlock().map_err(io(&self.lock_path))?;
        result
    }

    fn commit_locked(&mut self, commit: Commit) -> Result<()> {
        self.refresh()?;
        if !self.tail()?.is_empty() {
            // A predecessor's torn entry, or our own after a full disk.
            self.file.set_len(self.read).map_err(io(&self.path))?;
        }
        let entry = Entry::Commit(commit);
        let bytes = entry.encode();
        if let Err(e) = self.file.write_all_at(&bytes, self.read) {
            let _ = self.file.set_len(self.read);
            return Err(io(&self.path)(e));
        }
        if self.durable {
            self.file.sync_data().map_err(io(&self.path))?;
        }
        self.read += bytes.len() as u64;
        self.state.apply(entry);
        if self.read > self.bytes_max {
            self.compact()
        } else {
            Ok(())
        }
    }

    /// Replaces the journal by a checkpoint, unless that would save little.
    fn compact(&mut self) -> Result<()> {
        let checkpoint = Entry::Checkpoint(self.state.clone()).encode();
        if self.read > 4 * checkpoint.len() as u64 {
            replace(&self.path, &self.dir, &checkpoint)?;
            self.refresh()?;
        }
        Ok(())
    }

    /// Reads entries from where the last call stopped until the first that is not whole.
    fn read_on(&mut self) -> Result<()> {
        let bytes = self.rest()?;
        let mut at = 0;
        if self.read == 0 {
            if bytes.get(..FILE_HEADER.len()) != Some(&FILE_HEADER[..]) {
                return Err(corrupt(
                    &self.path,
                    0,
                    "this is no journal of a known version",
                ));
            }
            at = FILE_HEADER.len();
            self.state = State::default();
        }
        while let Some(Parsed {
            entry,
            bytes: length,
        }) = Entry::decode(&bytes[at..])
        {
            self.state.apply(entry);
            at += length;
        }
        self.read += at as u64;
        if at > 0 && self.durable {
            // Another process may be about to flush this entry. What is read here may be acted
            // upon in a store elsewhere, so it must not vanish with the power.
            self.file.sync_data().map_err(io(&self.path))?;
        }
        Ok(())
    }

    /// What stands behind the entries read so far, when they have all been read.
    ///
    /// With the lock held no one is writing: an entry behind bytes that are none is damage inside
    /// committed data, while such bytes at the very end are a commit that was cut off.
    fn tail(&self) -> Result<Vec<u8>> {
        let tail = self.rest()?;
        if (1..tail.len()).any(|at| Entry::decode(&tail[at..]).is_some()) {
            return Err(corrupt(
                &self.path,
                self.read,
                "an entry does not match its checksum",
            ));
        }
        Ok(tail)
    }

    fn rest(&self) -> Result<Vec<u8>> {
        let bytes = self.file.metadata().map_err(io(&self.path))?.len();
        let mut rest = vec![0; bytes.saturating_sub(self.read) as usize];
        let mut filled = 0;
        // A committer may shorten the file meanwhile: what is missing is no entry.
        while filled < rest.len() {
            match self
                .file
                .read_at(&mut rest[filled..], self.read + filled as u64)
            {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) => return Err(io(&self.path)(e)),
            }
        }
        rest.truncate(filled);
        Ok(rest)
    }
}

fn open_file(path: &Path) -> Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(io(path))?;
    let inode = file.metadata().map_err(io(path))?.ino();
    Ok((file, inode))
}

/// Puts a journal of one checkpoint in the place of the present one; whole or not at all.
fn replace(path: &Path, dir: &Path, checkpoint: &[u8]) -> Result<()> {
    let aside = path.with_extension("next");
    let mut file = File::create(&aside).map_err(io(&aside))?;
    file.write_all(FILE_HEADER)
        .and_then(|()| file.write_all(checkpoint))
        .and_then(|()| file.sync_all())
        .map_err(io(&aside))?;
    fs::rename(&aside, path).map_err(io(path))?;
    sync_dir(dir)
}

/// Whether any log has a segment.
fn holds_segments(logs: &Path) -> Result<bool> {
    for log in fs::read_dir(logs).map_err(io(logs))? {
        let log = log.map_err(io(logs))?.path();
        for partition in fs::read_dir(&log).map_err(io(&log))?.flatten() {
            let files = fs::read_dir(partition.path()).into_iter().flatten();
            if files
                .flatten()
                .any(|file| file.file_name().to_string_lossy().ends_with(".seg"))
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
