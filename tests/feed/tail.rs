//! What a tail prints of a log, and when it ends.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use riffle::feed::FeedOptions;
use riffle::log::memory::MemoryStore;
use riffle::log::{Layout, Record, Store};
use riffle::tail::{Kind, Start, TailError, TailOptions, TailSummary, tail};

use crate::files::{Files, documents, feed_all, records};

const JSON_UNTIL_END: TailOptions = TailOptions {
    json: true,
    start: Start::Beginning,
    until_end: true,
    count: None,
    color: false,
};

fn store(partitions: u16) -> MemoryStore {
    let store = MemoryStore::new();
    let layout = Layout {
        partitions,
        compacted: false,
    };
    store.create("documents", layout).unwrap();
    store
}

fn document(id: &str) -> Record {
    Record {
        key: Some(id.into()),
        value: Some(format!(r#"{{"id":"{id}","text":"t"}}"#).into_bytes()),
        headers: Vec::new(),
    }
}

fn printed(store: &MemoryStore, options: &TailOptions) -> (TailSummary, String) {
    let mut out = Vec::new();
    let stop = AtomicBool::new(false);
    let summary = tail(
        store,
        "documents",
        Kind::Documents,
        options,
        &stop,
        &mut out,
    )
    .unwrap();
    (summary, String::from_utf8(out).unwrap())
}

#[test]
fn what_tail_prints_feed_takes_in_again() {
    let files = Files::new();
    let mut lines = documents(200);
    lines.extend(b"{\"id\": \"7\", \"deleted\": true}\n{\"id\": \"8\",\r \"text\": \"again\"}\r\n");
    let options = FeedOptions {
        partitions: 3,
        ..FeedOptions::default()
    };
    let first = MemoryStore::new();
    feed_all(&first, &[files.write("a.jsonl", lines)], &options).unwrap();
    let (summary, lines) = printed(&first, &JSON_UNTIL_END);
    assert_eq!((summary.printed, summary.undecoded), (202, 0));
    let second = MemoryStore::new();
    feed_all(&second, &[files.write("b.jsonl", lines)], &options).unwrap();
    let (_, again) = printed(&second, &JSON_UNTIL_END);
    assert_eq!(printed(&first, &JSON_UNTIL_END).1, again);
    assert_eq!(records(&second).len(), 202);
}

#[test]
fn what_is_no_document_is_passed_over_and_counted() {
    let files = Files::new();
    let store = MemoryStore::new();
    let path = files.write("a.jsonl", "no document\n{\"id\": \"a\", \"text\": \"b\"}\n");
    feed_all(&store, &[path], &FeedOptions::default()).unwrap();
    let (summary, lines) = printed(&store, &JSON_UNTIL_END);
    assert_eq!((summary.printed, summary.undecoded), (1, 1));
    assert_eq!(lines, "{\"id\": \"a\", \"text\": \"b\"}\n");
}

#[test]
fn a_start_and_a_count_choose_the_records() {
    let store = store(2);
    for partition in 0..2 {
        let ids = (0..5).map(|n| document(&format!("{partition}{n}")));
        store
            .produce("documents", partition, ids.collect())
            .unwrap();
    }
    let ids = |start, count| {
        let options = TailOptions {
            start,
            count,
            ..JSON_UNTIL_END
        };
        let (_, lines) = printed(&store, &options);
        let mut ids: Vec<_> = lines.lines().map(|line| line[7..9].to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(Start::Beginning, None).len(), 10);
    assert_eq!(ids(Start::Beginning, Some(3)).len(), 3);
    assert_eq!(ids(Start::Beginning, Some(0)), [""; 0]);
    assert_eq!(ids(Start::End, None), [""; 0]);
    let last = ids(Start::Last(2), None);
    assert!(
        last.ends_with(&["14".to_string()]) && last.contains(&"04".into()),
        "{last:?}"
    );
    assert!(last.len() < 10, "{last:?}");
}

#[test]
fn until_end_leaves_out_what_comes_later() {
    /// Adds a record to the log with the first line that is written.
    struct Adding<'a>(&'a MemoryStore, Vec<u8>);

    impl Write for Adding<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1.is_empty() {
                self.0
                    .produce("documents", 0, vec![document("late")])
                    .unwrap();
            }
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let store = store(1);
    store.set_poll_records_max(1);
    store
        .produce("documents", 0, vec![document("a"), document("b")])
        .unwrap();
    let mut out = Adding(&store, Vec::new());
    let stop = AtomicBool::new(false);
    let kind = Kind::Documents;
    tail(&store, "documents", kind, &JSON_UNTIL_END, &stop, &mut out).unwrap();
    let lines = String::from_utf8(out.1).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert_eq!(store.committed("documents").len(), 3);
}

#[test]
fn without_until_end_it_follows_the_log_until_it_is_stopped() {
    let store = store(1);
    let stop = AtomicBool::new(false);
    let options = TailOptions {
        until_end: false,
        ..JSON_UNTIL_END
    };
    let (sender, lines) = crossbeam_channel::unbounded();
    let summary = std::thread::scope(|scope| {
        let following = scope.spawn(|| {
            let mut out = Sending(sender);
            let kind = Kind::Documents;
            tail(&store, "documents", kind, &options, &stop, &mut out).unwrap()
        });
        for id in ["a", "b"] {
            store.produce("documents", 0, vec![document(id)]).unwrap();
            let line = lines.recv_timeout(Duration::from_secs(20)).unwrap();
            assert!(line.contains(&format!("\"id\":\"{id}\"")), "{line}");
        }
        stop.store(true, Ordering::Relaxed);
        following.join().unwrap()
    });
    assert_eq!(summary.printed, 2);
}

/// Hands on each line as it is written.
struct Sending(crossbeam_channel::Sender<String>);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8(bytes.to_vec()).unwrap();
        self.0.send(line).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Failing(io::ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broken_pipe_ends_quietly_and_a_full_disk_does_not() {
    let store = store(1);
    store.produce("documents", 0, vec![document("a")]).unwrap();
    let stop = AtomicBool::new(false);
    let to = |kind| {
        let mut out = Failing(kind);
        tail(
            &store,
            "documents",
            Kind::Documents,
            &JSON_UNTIL_END,
            &stop,
            &mut out,
        )
    };
    assert_eq!(to(io::ErrorKind::BrokenPipe).unwrap().printed, 0);
    let full = to(io::ErrorKind::StorageFull).unwrap_err();
    assert!(matches!(full, TailError::Output(_)));
}

#[test]
fn a_missing_log_is_an_error_with_its_name() {
    let stop = AtomicBool::new(false);
    let mut out = Vec::new();
    let store = MemoryStore::new();
    let error = tail(
        &store,
        "curated",
        Kind::Curated,
        &JSON_UNTIL_END,
        &stop,
        &mut out,
    );
    assert!(error.unwrap_err().to_string().contains("\"curated\""));
}
