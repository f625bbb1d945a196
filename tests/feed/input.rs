//! What a feed makes of its inputs: each form and compression, and everything that can be bad.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::files::{Files, documents, feed_all, gzip, header, ids, records, zstd};
use riffle::feed::{
    FeedOptions, FeedSummary, Format, Progress, REJECT_HEADER, SOURCE_HEADER, feed,
};
use riffle::log::memory::MemoryStore;
use riffle::log::{Record, Store, partition_of};

fn fed(inputs: &[PathBuf], options: &FeedOptions) -> (FeedSummary, MemoryStore) {
    let store = MemoryStore::new();
    let summary = feed_all(&store, inputs, options).unwrap();
    (summary, store)
}

fn fed_bytes(name: &str, bytes: impl AsRef<[u8]>) -> (FeedSummary, MemoryStore) {
    let files = Files::new();
    fed(&[files.write(name, bytes)], &FeedOptions::default())
}

#[test]
fn every_compression_gives_the_same_records() {
    let text = documents(5000);
    let (head, tail) = text.split_at(100_000);
    let forms = [
        ("a.jsonl", text.clone()),
        ("a.jsonl.gz", gzip(&text)),
        ("a.jsonl.gz", [gzip(head), gzip(tail)].concat()),
        ("a.jsonl.zst", zstd(&text)),
        ("a.jsonl.zst", [zstd(head), zstd(tail)].concat()),
        ("named.by.nobody", gzip(&text)),
    ];
    for (name, bytes) in forms {
        let size = bytes.len() as u64;
        let (summary, store) = fed_bytes(name, bytes);
        assert_eq!((summary.documents, summary.rejected), (5000, 0), "{name}");
        assert_eq!(summary.bytes, size, "{name}");
        assert!(summary.is_complete());
        let values = records(&store).into_iter().flat_map(|r| {
            let mut line = r.value.unwrap();
            line.push(b'\n');
            line
        });
        assert!(values.eq(text.iter().copied()), "{name}");
    }
}

#[test]
fn documents_stand_in_the_partition_of_their_id() {
    let files = Files::new();
    let options = FeedOptions {
        partitions: 3,
        ..FeedOptions::default()
    };
    let bytes = [&b"no document\n"[..], &documents(100)].concat();
    let (_, store) = fed(&[files.write("a.jsonl", bytes)], &options);
    assert_eq!(store.partitions("documents").unwrap(), Some(3));
    for received in store.committed("documents") {
        let expected = received.record.key.map_or(0, |key| partition_of(&key, 3));
        assert_eq!(received.position.partition(), expected);
    }
}

#[test]
fn lines_of_every_kind_become_their_records() {
    let lines = b"\xef\xbb\xbf{\"id\": \"a\", \"text\": \"1\"}\r\n\
        \r\n  \n\
        {\"id\": \"a\", \"deleted\": true}\n\
        not json\r\n\
        {\"text\": \"no id\"}\n\
        {\"id\": \"\xff\"}\n\
        {\"id\": \"b\", \"text\": \"no end\"}";
    let (summary, store) = fed_bytes("a.jsonl", lines);
    assert_eq!(
        (summary.documents, summary.takedowns, summary.rejected),
        (2, 1, 3)
    );
    let records = records(&store);
    let plain = |key: &str, value: Option<&str>| Record {
        key: Some(key.into()),
        value: value.map(Into::into),
        headers: Vec::new(),
    };
    assert_eq!(records[0], plain("a", Some(r#"{"id": "a", "text": "1"}"#)));
    assert_eq!(records[1], plain("a", None));
    assert_eq!(
        records[5],
        plain("b", Some(r#"{"id": "b", "text": "no end"}"#))
    );
    let rejects: [(&[u8], u64, &str); 3] = [
        (b"not json", 5, "a JSON object is expected"),
        (b"{\"text\": \"no id\"}", 6, "missing field `id`"),
        (b"{\"id\": \"\xff\"}", 7, "invalid UTF-8 at byte 8"),
    ];
    for (record, (value, line, reason)) in records[2..5].iter().zip(rejects) {
        assert_eq!((&record.key, record.value.as_deref()), (&None, Some(value)));
        let source = header(record, SOURCE_HEADER);
        assert!(source.ends_with(&format!("/a.jsonl:{line}")), "{source}");
        let given = header(record, REJECT_HEADER);
        assert!(given.contains(reason), "{given}");
    }
}

#[test]
fn a_text_file_is_a_document() {
    let files = Files::new();
    let path = files.write("docs/guide.md", "# Guide\n\n\"quoted\"\n");
    let modified = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    std::fs::File::open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let options = FeedOptions {
        source: "manual".into(),
        ..FeedOptions::default()
    };
    let (summary, store) = fed(std::slice::from_ref(&path), &options);
    assert_eq!(summary.documents, 1);
    let id = path.to_str().unwrap();
    let value = format!(
        "{{\"id\":\"{id}\",\"text\":\"# Guide\\n\\n\\\"quoted\\\"\\n\",\
         \"source\":\"manual\",\"added\":\"2023-11-14T22:13:20Z\"}}"
    );
    assert_eq!(ids(&store), [Some(id.to_string())]);
    assert_eq!(records(&store)[0].value, Some(value.into_bytes()));
}

#[test]
fn a_folder_gives_its_files_in_order_and_counts_what_it_skips() {
    let files = Files::new();
    files.write("in/b.jsonl.gz", gzip(&documents(2)));
    files.write("in/a/readme.txt", "text");
    files.write("in/a/empty.txt", "");
    files.write("in/a/image.bin", b"\x89x\0\0");
    files.write("in/a/latin1.txt", b"caf\xe9");
    files.write("in/.git/config", "text");
    let root = files.path("in");
    let (summary, store) = fed(std::slice::from_ref(&root), &FeedOptions::default());
    let readme = root.join("a/readme.txt").to_str().unwrap().to_string();
    assert_eq!(
        ids(&store),
        [Some(readme), Some("0".into()), Some("1".into())]
    );
    assert_eq!(
        (
            summary.files,
            summary.empty,
            summary.skipped_binary,
            summary.skipped_hidden
        ),
        (5, 1, 2, 1)
    );
    assert!(summary.is_complete());
}

#[derive(Default)]
struct Notes(Vec<String>);

impl Progress for Notes {
    fn begin(&mut self, _: Option<u64>) {}
    fn advance(&mut self, _: u64, _: u64) {}
    fn note(&mut self, line: &str) {
        self.0.push(line.into());
    }
    fn end(&mut self) {}
}

#[test]
fn what_cannot_be_read_is_told_and_the_others_are_fed() {
    let files = Files::new();
    let inputs = [
        files.path("missing.jsonl"),
        files.write("binary", b"\x7fELF\0"),
        files.write("latin1.txt", b"caf\xe9"),
        files.write("empty.jsonl", ""),
        files.write("cut.jsonl.gz", &gzip(&documents(3))[..50]),
        files.write("good.jsonl", documents(1)),
    ];
    let store = MemoryStore::new();
    let mut notes = Notes::default();
    let stop = AtomicBool::new(false);
    let options = FeedOptions::default();
    let summary = feed(&store, "documents", &inputs, &options, &stop, &mut notes).unwrap();
    assert!(!summary.is_complete());
    assert_eq!(summary.failures.len(), 4);
    assert_eq!(summary.empty, 1);
    assert_eq!(ids(&store).last(), Some(&Some("0".into())));
    for (note, (name, what)) in notes.0.iter().zip([
        ("missing.jsonl", "No such file"),
        ("binary", "is binary"),
        ("latin1.txt", "is not UTF-8 text (byte 3)"),
        ("empty.jsonl", "is empty"),
        ("cut.jsonl.gz", "line 1"),
    ]) {
        assert!(note.contains(name) && note.contains(what), "{note}");
    }
    assert_eq!(notes.0.len(), 5);
}

/// Documents with their end of line just before the cut may or may not have been given by the
/// decoder, but what is in the log is a beginning of the file, and the damage is reported.
#[test]
fn a_file_cut_anywhere_gives_its_beginning_and_a_failure() {
    let text = documents(20);
    for (name, whole) in [("a.jsonl.gz", gzip(&text)), ("a.jsonl.zst", zstd(&text))] {
        let files = Files::new();
        for end in 1..whole.len() {
            let path = files.write(name, &whole[..end]);
            let (summary, store) = fed(&[path], &FeedOptions::default());
            assert_eq!(summary.failures.len(), 1, "{name} at {end}");
            assert_eq!(summary.rejected, 0, "{name} at {end}");
            let expected = (0..summary.documents).map(|n| Some(n.to_string()));
            assert!(ids(&store).into_iter().eq(expected), "{name} at {end}");
        }
    }
}

#[test]
fn documents_before_the_damage_are_kept() {
    let text = documents(20_000);
    for (name, whole) in [("a.jsonl.gz", gzip(&text)), ("a.jsonl.zst", zstd(&text))] {
        let (summary, store) = fed_bytes(name, &whole[..whole.len() / 2]);
        assert!(summary.documents > 5000, "{summary}");
        assert_eq!(summary.rejected, 0);
        let failure = &summary.failures[0];
        assert_eq!(failure.line, Some(summary.documents + 1));
        let bytes = records(&store)
            .iter()
            .map(|r| r.value.as_ref().unwrap().len() + 1)
            .sum::<usize>();
        assert_eq!(failure.byte, Some(bytes as u64));
    }
}

#[test]
fn a_compressed_line_of_a_gigabyte_is_a_reject_in_bounded_memory() {
    let frame = zstd(&vec![b' '; 64 << 20]);
    let bomb = [frame.repeat(16), zstd(b"\n"), zstd(&documents(1))].concat();
    assert!(bomb.len() < 200 << 10, "{}", bomb.len());
    let before = memory_peak_kib();
    let (summary, store) = fed_bytes("a.jsonl.zst", bomb);
    assert_eq!((summary.documents, summary.rejected), (1, 1));
    let reject = &records(&store)[0];
    assert_eq!(reject.value.as_ref().map(Vec::len), Some(1024));
    assert_eq!(
        header(reject, REJECT_HEADER),
        "the document has 1073741824 bytes, over the limit of 16777216"
    );
    // Other tests of this process take some, but by far no gigabyte.
    let grown = memory_peak_kib().saturating_sub(before);
    assert!(grown < 400 << 10, "grew by {grown} KiB");
}

/// The most memory that the process has had, in KiB; 0 where the system does not say.
fn memory_peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits = line.and_then(|line| line.trim().strip_suffix(" kB"));
    digits.map_or(0, |digits| digits.parse().unwrap())
}

#[test]
fn a_document_of_100_mb_is_a_reject_and_one_at_the_limit_is_not() {
    let files = Files::new();
    let path = files.path("a.jsonl");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut line = |id: &str, bytes: usize| {
        let start = format!("{{\"id\": \"{id}\", \"text\": \"");
        let text = "x".repeat(bytes - start.len() - 2);
        writeln!(file, "{start}{text}\"}}").unwrap();
    };
    line("large", 100_000_000);
    line("limit", 16 << 20);
    line("over", (16 << 20) + 1);
    line("small", 100);
    let (summary, store) = fed(&[path], &FeedOptions::default());
    assert_eq!((summary.documents, summary.rejected), (2, 2));
    let kept = [None, Some("limit".into()), None, Some("small".into())];
    assert_eq!(ids(&store), kept);
}

#[test]
fn a_text_file_over_the_limit_is_a_reject() {
    let files = Files::new();
    let options = FeedOptions {
        document_bytes_max: 2000,
        ..FeedOptions::default()
    };
    // The second one is over the limit only once it is written as JSON.
    let inputs = [
        files.write("a.txt", "x".repeat(5000)),
        files.write("b.txt", "\n".repeat(1500)),
    ];
    let (summary, store) = fed(&inputs, &options);
    assert_eq!((summary.documents, summary.rejected), (0, 2));
    for record in records(&store) {
        assert_eq!(record.value.as_ref().map(Vec::len), Some(1024));
        assert!(header(&record, REJECT_HEADER).ends_with("over the limit of 2000"));
        assert!(header(&record, SOURCE_HEADER).ends_with(".txt:1"));
    }
}

#[test]
fn deep_nesting_is_a_reject() {
    for close in [0, 100_000] {
        let (open, close) = ("[".repeat(100_000), "]".repeat(close));
        let line = format!("{{\"id\": \"a\", \"text\": \"b\", \"x\": {open}{close}}}\n");
        let (summary, _) = fed_bytes("a.jsonl", line);
        assert_eq!((summary.documents, summary.rejected), (0, 1));
    }
}

#[test]
fn a_format_that_is_given_decides() {
    let files = Files::new();
    let path = files.write("a.jsonl", documents(2));
    let options = |format| FeedOptions {
        format,
        ..FeedOptions::default()
    };
    let (summary, _) = fed(std::slice::from_ref(&path), &options(Format::Text));
    assert_eq!((summary.documents, summary.rejected), (1, 0));
    let path = files.write("a.md", "# Title\n");
    let (summary, _) = fed(&[path], &options(Format::Jsonl));
    assert_eq!((summary.documents, summary.rejected), (0, 1));
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn a_pipe_that_stays_open_holds_up_neither_commits_nor_the_stop() {
    let files = Files::new();
    let path = files.path("pipe");
    pipe(&path);
    let store = MemoryStore::new();
    let stop = AtomicBool::new(false);
    let options = FeedOptions {
        commit_interval: Duration::from_millis(50),
        ..FeedOptions::default()
    };
    let inputs = [path.clone()];
    let summary = std::thread::scope(|scope| {
        let feed = || feed(&store, "documents", &inputs, &options, &stop, &mut ()).unwrap();
        let feeding = scope.spawn(feed);
        let mut writer = std::fs::File::create(&path).unwrap();
        writer.write_all(&documents(3)).unwrap();
        writer.write_all(b"{\"id\": \"half a line").unwrap();
        let begun = Instant::now();
        while ids(&store).len() < 3 {
            assert!(begun.elapsed() < Duration::from_secs(20), "no commit");
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        let summary = feeding.join().unwrap();
        drop(writer);
        summary
    });
    assert_eq!((summary.documents, summary.rejected), (3, 0));
    let stopped = summary.stopped_at.unwrap();
    assert!(stopped.ends_with("pipe:3"), "{stopped}");
}

#[test]
fn a_compressed_pipe_is_read_to_its_end() {
    let files = Files::new();
    let path = files.path("pipe");
    pipe(&path);
    let input = path.clone();
    let writing = std::thread::spawn(move || std::fs::write(path, zstd(&documents(50))).unwrap());
    let (summary, _) = fed(&[input], &FeedOptions::default());
    writing.join().unwrap();
    assert_eq!((summary.documents, summary.rejected), (50, 0));
}
