//! Files for tests to feed, in a folder of their own.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use flate2::Compression;
use flate2::write::GzEncoder;
use riffle::feed::{FeedError, FeedOptions, FeedSummary, feed};
use riffle::log::Record;
use riffle::log::memory::MemoryStore;

/// A folder that is removed in the end.
pub struct Files(tempfile::TempDir);

impl Files {
    pub fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// `count` documents, a line each.
pub fn documents(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("{{\"id\": \"{n}\", \"text\": \"text of {n}\"}}\n").into_bytes())
        .collect()
}

/// Feeds the inputs to the end.
pub fn feed_all(
    store: &MemoryStore,
    inputs: &[PathBuf],
    options: &FeedOptions,
) -> Result<FeedSummary, FeedError> {
    let stop = AtomicBool::new(false);
    feed(store, "documents", inputs, options, &stop, &mut ())
}

/// The records of the documents log, partition after partition.
pub fn records(store: &MemoryStore) -> Vec<Record> {
    let received = store.committed("documents").into_iter();
    received.map(|received| received.record).collect()
}

/// The keys of the documents log, `None` for rejects.
pub fn ids(store: &MemoryStore) -> Vec<Option<String>> {
    let id = |record: Record| record.key.map(|key| String::from_utf8(key).unwrap());
    records(store).into_iter().map(id).collect()
}

pub fn header(record: &Record, name: &str) -> String {
    let (_, value) = record.headers.iter().find(|(n, _)| n == name).unwrap();
    String::from_utf8(value.clone()).unwrap()
}
