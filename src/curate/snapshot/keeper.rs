//! The thread that makes snapshots beside the stream.
//!
//! It spools what the source sends. When a snapshot is due, the spool up to the end of an epoch is
//! sealed, and once that epoch is committed, a thread of its own, which yields to all others,
//! merges it with the last snapshot. A failure is told once and ends the snapshots of this run:
//! those that are there stay, and so does the stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use super::error::{Result, SnapshotError, io};
use super::file::Snapshot;
use super::folder::Folder;
use super::header::{Form, Header};
use super::merge::{Made, Merge};
use super::spool::{RUN_BYTES, Run, Spool};
use super::tee::{Message, QUEUE, Tee};
use super::{Schedule, entry};
use crate::curate::groups::Groups;
use crate::log::Offsets;

/// How often the time is looked at.
const TICK: Duration = Duration::from_millis(200);
/// A snapshot is due when the tail has this part of the documents of the last one: each record is
/// then written about five times, and a restart replays a quarter.
const PART: u64 = 4;
/// The same at an orderly end, where nobody waits for the processor.
const PART_AT_END: u64 = 8;
/// Making snapshots may take this part of the time.
const PART_OF_TIME: u32 = 20;
/// How far a merging thread yields, of 19.
const NICE: i32 = 10;

/// What snapshots of a run are made of.
pub struct Keeping {
    /// Where they are.
    pub folder: Folder,
    /// When they are made.
    pub schedule: Schedule,
    /// The scored log.
    pub log: String,
    /// What is read of documents.
    pub form: Form,
    /// The groups of the process.
    pub groups: Groups,
    /// The number of the first epoch.
    pub first: u64,
}

/// The thread, and the right to let it finish.
pub struct Keeper {
    messages: Option<Sender<Message>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread; what is to be kept is told through the tee.
    pub fn start(keeping: Keeping) -> (Keeper, Tee) {
        let (messages, queue) = bounded(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let tee = Tee::new(messages.clone(), keeping.form.rows, keeping.first);
        let mut work = Work::new(keeping, Arc::clone(&stop));
        let body = move || {
            match work.run(&queue) {
                Ok(()) | Err(SnapshotError::Ended) => {}
                Err(error) => tracing::warn!(
                    %error,
                    "a snapshot could not be made; no more are tried until the next start, which \
                     reads more of the scored log again"
                ),
            }
            work.end();
        };
        let thread = thread::Builder::new().name("snapshots".to_owned());
        let thread = thread.spawn(body);
        let keeper = Keeper {
            messages: Some(messages),
            stop,
            thread: Some(thread.expect("the operating system can start a thread")),
        };
        (keeper, tee)
    }

    /// To be called when all that was sent is committed: makes a last snapshot if it is worth it.
    pub fn finish(mut self) {
        if let Some(messages) = self.messages.take() {
            // The thread may have ended with a failure; it has told.
            let _ = messages.send(Message::Finish);
        }
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic has told itself; the stream's end must not be one too.
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    /// Ends the thread at once.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.messages = None;
        self.join();
    }
}

/// The spool up to the end of an epoch.
struct Sealed {
    epoch: u64,
    offsets: Offsets,
    runs: Vec<Run>,
}

/// What the thread knows.
struct Work {
    keeping: Keeping,
    stop: Arc<AtomicBool>,
    spool: Spool,
    /// Records since the last seal, or since the base.
    tail: u64,
    width: usize,
    /// The end of the last epoch, unless another has begun.
    ended: Option<(u64, Offsets)>,
    /// All epochs below this one are committed.
    durable: u64,
    sealed: Option<Sealed>,
    merging: Receiver<Result<Made>>,
    is_merging: bool,
    base: Option<Snapshot>,
    last: Instant,
    took: Duration,
}

impl Work {
    fn new(keeping: Keeping, stop: Arc<AtomicBool>) -> Self {
        let width = entry::width(keeping.form.rows);
        Work {
            spool: Spool::new(keeping.folder.path(), width, RUN_BYTES),
            keeping,
            stop,
            tail: 0,
            width,
            ended: None,
            durable: 0,
            sealed: None,
            merging: never(),
            is_merging: false,
            base: None,
            last: Instant::now(),
            took: Duration::ZERO,
        }
    }

    fn run(&mut self, queue: &Receiver<Message>) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            select! {
                recv(queue) -> message => match message {
                    Ok(Message::Finish) => return self.finish(),
                    Ok(message) => self.take(message)?,
                    Err(_) => return Ok(()),
                },
                recv(self.merging) -> made => self.note(made.unwrap_or(Err(SnapshotError::Ended))?),
                default(TICK) => {}
            }
            self.seal_if_due(PART)?;
            self.merge_if_committed()?;
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Base(base) => self.base = Some(base),
            Message::Entries(entries) => {
                self.ended = None;
                self.tail += (entries.len() / self.width) as u64;
                self.spool.push(&entries)?;
            }
            Message::End(epoch, offsets) => self.ended = Some((epoch, offsets)),
            Message::Durable(before) => self.durable = before,
            Message::Finish => unreachable!("it ends the loop"),
        }
        Ok(())
    }

    /// Seals the spool if it ends with an epoch and is worth a snapshot.
    fn seal_if_due(&mut self, part: u64) -> Result<()> {
        let is_busy = self.sealed.is_some() || self.is_merging;
        let is_early = self.last.elapsed() < PART_OF_TIME * self.took && part == PART;
        if is_busy || is_early || !self.is_due(part) {
            return Ok(());
        }
        let Some((epoch, offsets)) = self.ended.clone() else {
            return Ok(());
        };
        self.sealed = Some(Sealed {
            epoch,
            offsets,
            runs: self.spool.take()?,
        });
        self.tail = 0;
        Ok(())
    }

    fn is_due(&self, part: u64) -> bool {
        let Schedule {
            interval,
            records_min,
        } = self.keeping.schedule;
        let documents = self.base.as_ref().map_or(0, |base| base.documents);
        let by_tail = self.tail >= records_min.max(documents / part);
        let by_time = self.last.elapsed() >= interval;
        self.tail > 0 && (by_tail || by_time)
    }

    /// Starts to merge what is sealed, once its epoch is committed.
    fn merge_if_committed(&mut self) -> Result<()> {
        let Some(sealed) = self.sealed.take_if(|sealed| sealed.epoch < self.durable) else {
            return Ok(());
        };
        let merge = Merge {
            folder: self.keeping.folder.clone(),
            header: Header {
                log: self.keeping.log.clone(),
                offsets: sealed.offsets,
                epoch: sealed.epoch,
                reading: self.keeping.form.clone(),
            },
            groups: self.keeping.groups.clone(),
            base: self.base.clone(),
            runs: sealed.runs,
        };
        let (done, merging) = bounded(1);
        let stop = Arc::clone(&self.stop);
        let thread = thread::Builder::new().name("snapshot".to_owned());
        // At the end all others have finished, and the user waits.
        let yields = self.durable < u64::MAX;
        let body = move || {
            if yields {
                // Without the right to it, it does not yield.
                let _ = rustix::process::nice(NICE);
            }
            let _ = done.send(merge.run(&stop));
        };
        let started = thread.spawn(body).map(|_| ());
        started.map_err(io(self.keeping.folder.path()))?;
        (self.merging, self.is_merging) = (merging, true);
        Ok(())
    }

    fn note(&mut self, made: Made) {
        let Made { snapshot, took } = made;
        tracing::info!(
            epoch = snapshot.header.epoch,
            documents = snapshot.documents,
            bytes = snapshot.bytes,
            ms = took.as_millis() as u64,
            "snapshot"
        );
        self.base = Some(snapshot);
        (self.merging, self.is_merging) = (never(), false);
        (self.last, self.took) = (Instant::now(), took);
    }

    /// All that was sent is committed.
    fn finish(&mut self) -> Result<()> {
        self.durable = u64::MAX;
        loop {
            self.merge_if_committed()?;
            if self.is_merging {
                tracing::info!("waiting for a snapshot; to end at once instead loses nothing");
                let made = self.merging.recv();
                self.note(made.unwrap_or(Err(SnapshotError::Ended))?);
            }
            self.seal_if_due(PART_AT_END)?;
            if self.sealed.is_none() {
                return Ok(());
            }
        }
    }

    /// Stops a merge and waits for it, since it writes into the directory.
    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.is_merging {
            let _ = self.merging.recv();
        }
    }
}
