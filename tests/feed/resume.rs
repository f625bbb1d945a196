//! A feed that is interrupted anywhere and resumed leaves the log that an uninterrupted one does.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::files::{Files, documents, feed_all, gzip, records};
use riffle::feed::{FeedError, FeedOptions, FeedSummary, ResumeError, feed};
use riffle::log::memory::{MemoryStore, Side};
use riffle::log::{Fetcher, Layout, Offsets, Reader, Record, Result, Store, Writer};

/// Files that give several commits, with bad ones between them.
fn inputs(files: &Files) -> Vec<PathBuf> {
    let mut long = documents(3000);
    long.extend(b"no document\n\n{\"id\": \"7\", \"deleted\": true}\n");
    vec![
        files.write("a.jsonl", &long),
        files.write("b/readme.md", "text"),
        files.write("b/binary", b"\0"),
        files.write("c.jsonl.gz", gzip(&documents(3000))),
        files.write("d.jsonl", ""),
        files.write("e.txt", "text"),
    ]
}

fn options(resume: bool) -> FeedOptions {
    FeedOptions {
        partitions: 2,
        commit_bytes: 1,
        resume,
        ..FeedOptions::default()
    }
}

/// Feeds as a person would: resumes if there is something to resume.
fn feed_or_resume(
    store: &MemoryStore,
    inputs: &[PathBuf],
) -> std::result::Result<FeedSummary, FeedError> {
    match feed_all(store, inputs, &options(true)) {
        Err(FeedError::Resume(ResumeError::Nothing)) => feed_all(store, inputs, &options(false)),
        result => result,
    }
}

#[test]
fn fault_a_crash_anywhere_and_a_resume_leave_the_same_log() {
    let files = Files::new();
    let inputs = inputs(&files);
    let whole = MemoryStore::new();
    feed_all(&whole, &inputs, &options(false)).unwrap();
    let expected = records(&whole);
    let operations = whole.operations();
    let mut crashes = 0;
    // Appends are most of the operations and much alike; the rest is tried one by one.
    let every = (operations / 60).max(1) as usize;
    let last = operations.saturating_sub(20);
    for operation in (1..last).step_by(every).chain(last..=operations) {
        for side in [Side::Before, Side::After] {
            let store = MemoryStore::new();
            store.crash_at(operation, side);
            crashes += u64::from(feed_all(&store, &inputs, &options(false)).is_err());
            let store = store.reopen();
            feed_or_resume(&store, &inputs).unwrap();
            assert_eq!(records(&store), expected, "{side:?} operation {operation}");
        }
    }
    assert!(crashes > 100, "{crashes} crashes");
}

/// A store whose writers set the stop flag with each commit, as a person with Ctrl-C might.
struct Stopping<'a> {
    store: MemoryStore,
    stop: &'a Arc<AtomicBool>,
}

impl Store for Stopping<'_> {
    fn partitions(&self, log: &str) -> Result<Option<u16>> {
        self.store.partitions(log)
    }

    fn create(&self, log: &str, layout: Layout) -> Result<u16> {
        self.store.create(log, layout)
    }

    fn ends(&self, log: &str) -> Result<Offsets> {
        self.store.ends(log)
    }

    fn reader(&self, log: &str, from: &Offsets) -> Result<Box<dyn Reader>> {
        self.store.reader(log, from)
    }

    fn fetcher(&self, log: &str) -> Result<Box<dyn Fetcher>> {
        self.store.fetcher(log)
    }

    fn writer(&self, name: &str, logs: &[&str]) -> Result<Box<dyn Writer>> {
        Ok(Box::new(StoppingWriter {
            writer: self.store.writer(name, logs)?,
            stop: self.stop.clone(),
        }))
    }

    fn position(&self, writer: &str) -> Result<Option<Vec<u8>>> {
        self.store.position(writer)
    }
}

struct StoppingWriter {
    writer: Box<dyn Writer>,
    stop: Arc<AtomicBool>,
}

impl Writer for StoppingWriter {
    fn position(&self) -> Option<&[u8]> {
        self.writer.position()
    }

    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
        self.writer.append(log, partition, record)
    }

    fn commit(&mut self, position: &[u8]) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.commit(position)
    }

    fn abort(&mut self) -> Result<()> {
        self.writer.abort()
    }
}

#[test]
fn a_stop_at_each_commit_and_resumes_leave_the_same_log() {
    let files = Files::new();
    let inputs = inputs(&files);
    let whole = MemoryStore::new();
    let expected = feed_all(&whole, &inputs, &options(false)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let store = Stopping {
        store: MemoryStore::new(),
        stop: &stop,
    };
    let mut documents = 0;
    let mut rounds = 0;
    loop {
        stop.store(false, Ordering::Relaxed);
        let options = options(rounds > 0);
        let summary = feed(&store, "documents", &inputs, &options, &stop, &mut ()).unwrap();
        documents += summary.documents;
        rounds += 1;
        if summary.stopped_at.is_none() {
            break;
        }
    }
    assert!(rounds >= 6, "{rounds} rounds");
    assert_eq!(documents, expected.documents);
    assert_eq!(records(&store.store), records(&whole));
}

#[test]
fn a_complete_feed_has_nothing_to_resume() {
    let files = Files::new();
    let inputs = [files.write("a.jsonl", documents(3))];
    let store = MemoryStore::new();
    let nothing = feed_all(&store, &inputs, &options(true)).unwrap_err();
    assert!(matches!(nothing, FeedError::Resume(ResumeError::Nothing)));
    feed_all(&store, &inputs, &options(false)).unwrap();
    let again = feed_all(&store, &inputs, &options(true)).unwrap();
    assert_eq!((again.documents, again.files), (0, 0));
    assert_eq!(records(&store).len(), 3);
}

/// Stops the feed of a file after its first commit.
fn interrupted(path: &PathBuf) -> MemoryStore {
    let stop = Arc::new(AtomicBool::new(false));
    let store = Stopping {
        store: MemoryStore::new(),
        stop: &stop,
    };
    let inputs = std::slice::from_ref(path);
    let summary = feed(&store, "documents", inputs, &options(false), &stop, &mut ()).unwrap();
    let stopped = summary.stopped_at.unwrap();
    assert_eq!(stopped, format!("{}:{}", path.display(), summary.documents));
    store.store
}

#[test]
fn another_file_is_not_resumed() {
    let files = Files::new();
    let path = files.write("a.jsonl", documents(5000));
    let store = interrupted(&path);
    let other = [files.write("b.jsonl", documents(5000))];
    let error = feed_all(&store, &other, &options(true)).unwrap_err();
    assert!(matches!(
        error,
        FeedError::Resume(ResumeError::Inputs { .. })
    ));
    files.write("a.jsonl", documents(5001));
    let error = feed_all(&store, &[path], &options(true)).unwrap_err();
    assert!(matches!(
        error,
        FeedError::Resume(ResumeError::Changed { .. })
    ));
}

/// A pipe has neither size nor time: that it gives another stream shows in the lines.
#[test]
fn a_pipe_that_gives_other_lines_is_a_failure() {
    let files = Files::new();
    let path = files.path("pipe");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let write = |bytes: Vec<u8>| {
        let path = path.clone();
        // A feed that stops reads no further, so the writer may fail.
        std::thread::spawn(move || std::fs::write(path, bytes).unwrap_or_default())
    };
    let writing = write(documents(5000));
    let store = interrupted(&path);
    writing.join().unwrap();
    let fed = records(&store);

    let mut other = b"{\"id\": \"another\"}\n".to_vec();
    other.extend(documents(5000));
    let writing = write(other);
    let summary = feed_all(&store, std::slice::from_ref(&path), &options(true)).unwrap();
    writing.join().unwrap();
    let failure = summary.failures[0].to_string();
    assert!(failure.contains("without --resume"), "{failure}");
    assert_eq!(records(&store), fed);
}
