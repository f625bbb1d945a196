//! Writing: frames behind the committed end, and a journal entry that moves it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::frame::FrameBuilder;
use super::journal::{Commit, End};
use super::layout::{sync_dir, try_lock};
use super::segment::{Segment, index_path, segment_path, segments};
use super::{Shared, corrupt, io};
use crate::log::{LogError, Record, Result, Writer};

/// The one live writer of its name and of its logs.
pub struct LocalWriter {
    store: Arc<Shared>,
    name: String,
    position: Option<Vec<u8>>,
    logs: BTreeMap<String, Vec<Partition>>,
    /// Released when they are closed, here or by the end of the process.
    _locks: Vec<File>,
}

impl LocalWriter {
    /// Takes the locks, and cuts what predecessors left uncommitted.
    ///
    /// # Errors
    /// [`LogError::Locked`] where a live writer has this name or one of the logs.
    pub fn new(store: Arc<Shared>, name: &str, logs: &[(&str, u16)]) -> Result<Self> {
        let mut locks = vec![try_lock(&store.paths.writer_lock(name))?];
        for (log, _) in logs {
            locks.push(try_lock(&store.paths.log_lock(log))?);
        }
        // Only now, since the predecessors may have committed until they let go of the locks.
        store.journal().refresh()?;
        let position = store.journal().state().position(name).map(<[u8]>::to_vec);
        let mut partitions = BTreeMap::new();
        for (log, count) in logs {
            let ends = (0..*count).zip(store.ends(log, *count));
            let of_log = ends.map(|(p, end)| {
                Partition::open(
                    store.paths.partition(log, p),
                    end,
                    store.options.segment_bytes,
                )
            });
            partitions.insert((*log).to_owned(), of_log.collect::<Result<Vec<_>>>()?);
        }
        let name = name.to_owned();
        Ok(LocalWriter {
            store,
            name,
            position,
            logs: partitions,
            _locks: locks,
        })
    }

    fn partition(&mut self, log: &str, partition: u16) -> Result<&mut Partition> {
        let missing = || self.store.missing(log);
        let partitions = self.logs.get_mut(log).ok_or_else(missing)?;
        let count = partitions.len() as u16;
        let no_partition = || LogError::NoPartition {
            log: log.to_owned(),
            partition,
            partitions: count,
        };
        partitions
            .get_mut(usize::from(partition))
            .ok_or_else(no_partition)
    }
}

impl Writer for LocalWriter {
    fn position(&self) -> Option<&[u8]> {
        self.position.as_deref()
    }

    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
        let (bytes, limit) = (record.bytes(), self.store.options.record_bytes_max);
        if bytes > limit {
            return Err(LogError::TooLarge {
                log: log.to_owned(),
                bytes,
                limit,
            });
        }
        self.partition(log, partition)?.append(&record)
    }

    fn commit(&mut self, position: &[u8]) -> Result<()> {
        let mut ends = Vec::new();
        for (log, partitions) in &mut self.logs {
            for (number, partition) in (0u16..).zip(partitions) {
                if partition.settle(self.store.options.durable)? {
                    ends.push((log.clone(), number, partition.end));
                }
            }
        }
        let (writer, position) = (self.name.clone(), position.to_vec());
        let commit = Commit {
            writer,
            position: position.clone(),
            ends,
        };
        self.store.journal().commit(commit)?;
        self.store.committed.notify_all();
        self.position = Some(position);
        self.logs
            .values_mut()
            .flatten()
            .for_each(Partition::committed);
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        self.logs
            .values_mut()
            .flatten()
            .try_for_each(Partition::cut)
    }
}

/// The end of a partition that is being written.
struct Partition {
    dir: PathBuf,
    segment_bytes: u64,
    committed: End,
    /// Behind the last frame written.
    end: End,
    builder: FrameBuilder,
    segment: Option<(File, PathBuf)>,
    /// Closed segments that have not been flushed to the disk.
    unflushed: Vec<(File, PathBuf)>,
    /// Whether the folder has names that have not been flushed.
    named: bool,
}

impl Partition {
    fn open(dir: PathBuf, committed: End, segment_bytes: u64) -> Result<Self> {
        let mut partition = Partition {
            dir,
            segment_bytes,
            committed,
            end: committed,
            builder: FrameBuilder::new(),
            segment: None,
            unflushed: Vec::new(),
            named: false,
        };
        partition.cut()?;
        Ok(partition)
    }

    /// Removes all that lies behind the committed end.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] where committed data are missing.
    fn cut(&mut self) -> Result<()> {
        self.builder.clear();
        self.segment = None;
        self.unflushed.clear();
        self.end = self.committed;
        for base in segments(&self.dir)?.into_iter().rev() {
            let path = segment_path(&self.dir, base);
            if base >= self.end.segment {
                // Closed ones have an index, which must not outlive what it points to.
                let _ = fs::remove_file(index_path(&self.dir, base));
            }
            if base > self.end.segment || self.end.byte == 0 && base == self.end.segment {
                fs::remove_file(&path).map_err(io(&path))?;
            }
        }
        if self.end.byte == 0 {
            return Ok(());
        }
        let path = segment_path(&self.dir, self.end.segment);
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(io(&path))?;
        let bytes = file.metadata().map_err(io(&path))?.len();
        if bytes < self.end.byte {
            return Err(corrupt(
                &path,
                bytes,
                "the file ends before the committed data do",
            ));
        }
        file.set_len(self.end.byte).map_err(io(&path))
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        let offset = self.end.offset + self.builder.count();
        self.builder.push(offset, record);
        if self.builder.is_full() {
            self.write_frame()
        } else {
            Ok(())
        }
    }

    fn write_frame(&mut self) -> Result<()> {
        if self.end.byte >= self.segment_bytes {
            self.unflushed.extend(self.segment.take());
            let closed = Segment::open(&self.dir, self.end.segment);
            if let Err(error) = closed.and_then(|mut segment| segment.save_index()) {
                tracing::warn!(%error, "a segment has no index; reading from it is slower");
            }
            self.end.segment = self.end.offset;
            self.end.byte = 0;
        }
        let segment = match self.segment.take() {
            Some(segment) => segment,
            None => {
                let path = segment_path(&self.dir, self.end.segment);
                let mut options = OpenOptions::new();
                let file = options.create(true).truncate(false).write(true).open(&path);
                self.named = true;
                (file.map_err(io(&path))?, path)
            }
        };
        let (file, path) = self.segment.insert(segment);
        let (header, bytes) = self.builder.encode();
        file.write_all_at(bytes, self.end.byte).map_err(io(path))?;
        self.end.byte += header.frame_bytes();
        self.end.offset = header.next;
        self.builder.clear();
        Ok(())
    }

    /// Writes what is left and flushes it to the disk; whether there was anything.
    fn settle(&mut self, durable: bool) -> Result<bool> {
        if !self.builder.is_empty() {
            self.write_frame()?;
        }
        if self.end == self.committed {
            return Ok(false);
        }
        if durable {
            for (file, path) in self.unflushed.iter().chain(&self.segment) {
                file.sync_data().map_err(io(path))?;
            }
            if self.named {
                sync_dir(&self.dir)?;
            }
        }
        self.named = false;
        self.unflushed.clear();
        Ok(true)
    }

    fn committed(&mut self) {
        self.committed = self.end;
    }
}
