//! The mirror against the store that it stands before.

use std::fs;
use std::sync::Mutex;

use crate::log::memory::MemoryStore;
use crate::log::{LogError, Position, Record};

use super::*;

/// A memory store that notes what is fetched from it.
struct Noted {
    store: MemoryStore,
    fetched: Arc<Mutex<Vec<Position>>>,
}

impl Store for Noted {
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
        let fetcher = self.store.fetcher(log)?;
        Ok(Box::new(NotedFetcher {
            fetcher,
            fetched: Arc::clone(&self.fetched),
        }))
    }

    fn writer(&self, name: &str, logs: &[&str]) -> Result<Box<dyn Writer>> {
        self.store.writer(name, logs)
    }

    fn position(&self, writer: &str) -> Result<Option<Vec<u8>>> {
        self.store.position(writer)
    }
}

struct NotedFetcher {
    fetcher: Box<dyn Fetcher>,
    fetched: Arc<Mutex<Vec<Position>>>,
}

impl Fetcher for NotedFetcher {
    fn fetch(
        &mut self,
        positions: &[Position],
        each: &mut dyn FnMut(Position, Record),
    ) -> Result<()> {
        self.fetched.lock().unwrap().extend(positions);
        self.fetcher.fetch(positions, each)
    }
}

/// A mirrored log of 4,000 records with gaps, in 3 partitions, and what its store was asked for.
struct Fixture {
    dir: tempfile::TempDir,
    store: MirroredStore,
    committed: Vec<Received>,
    fetched: Arc<Mutex<Vec<Position>>>,
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| step()).collect()
}

fn mirrored(bytes_max: u64) -> Fixture {
    mirrored_from(bytes_max, &Offsets::default())
}

/// The same, read from these offsets on.
fn mirrored_from(bytes_max: u64, from: &Offsets) -> Fixture {
    let memory = MemoryStore::new();
    memory
        .create(
            "log",
            Layout {
                partitions: 3,
                compacted: false,
            },
        )
        .unwrap();
    let mut writer = memory.writer("w", &["log"]).unwrap();
    for i in 0..4000u64 {
        let value = Some(noise(i, 300 + i as usize % 500));
        let record = Record {
            key: Some(i.to_string().into()),
            value,
            headers: Vec::new(),
        };
        writer.append("log", (i * i % 3) as u16, record).unwrap();
        if i % 50 == 49 {
            if i % 400 == 399 {
                writer.abort().unwrap()
            } else {
                writer.commit(b"").unwrap()
            }
        }
    }
    let mut committed = memory.committed("log");
    committed.sort_by_key(|received| received.position);
    let (dir, fetched) = (tempfile::tempdir().unwrap(), Arc::default());
    let noted = Noted {
        store: memory,
        fetched: Arc::clone(&fetched),
    };
    let store = MirroredStore::new(Arc::new(noted), "log", dir.path(), bytes_max).unwrap();
    let ends = store.ends("log").unwrap();
    let mut reader = store.reader("log", from).unwrap();
    while !reader.offsets().reaches(&ends) {
        reader.poll(Duration::ZERO).unwrap();
    }
    Fixture {
        dir,
        store,
        committed,
        fetched,
    }
}

impl Fixture {
    /// Fetches every `step`-th record, which must be the right ones; how many came from the store.
    fn fetch(&self, step: usize) -> usize {
        self.fetched.lock().unwrap().clear();
        let wanted: Vec<&Received> = self.committed.iter().step_by(step).collect();
        let positions: Vec<Position> = wanted.iter().map(|r| r.position).collect();
        let mut got = Vec::new();
        let mut fetcher = self.store.fetcher("log").unwrap();
        let mut each = |position, record| got.push(Received { position, record });
        fetcher.fetch(&positions, &mut each).unwrap();
        assert!(got.iter().eq(wanted));
        self.fetched.lock().unwrap().len()
    }

    fn segments(&self) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some()).collect()
    }

    fn bytes(&self) -> u64 {
        self.segments()
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum()
    }
}

#[test]
fn what_was_read_is_fetched_from_the_mirror() {
    let fixture = mirrored(1 << 30);
    assert_eq!(fixture.fetch(1), 0);
    assert_eq!(fixture.fetch(97), 0);
}

#[test]
fn what_stands_before_the_first_reader_is_copied_beside_it_and_goes_first() {
    let half = Offsets(vec![600, 1300, 0]);
    let fixture = mirrored_from(16 << 20, &half);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while fixture.fetch(1) > 0 {
        assert!(std::time::Instant::now() < deadline, "it is never copied");
        std::thread::sleep(Duration::from_millis(10));
    }
    // With less room than all takes, what has passed the reader is there, as if nothing had been
    // before it.
    let tight = mirrored_from(1 << 20, &half);
    let whole = mirrored_from(1 << 20, &tight.store.ends("log").unwrap());
    std::thread::sleep(Duration::from_millis(300));
    assert!(tight.bytes() <= 1 << 20 && whole.bytes() <= 1 << 20);
    let last = tight.committed.len() - 300;
    tight.fetched.lock().unwrap().clear();
    let positions: Vec<Position> = tight.committed[last..].iter().map(|r| r.position).collect();
    let mut fetcher = tight.store.fetcher("log").unwrap();
    fetcher.fetch(&positions, &mut |_, _| {}).unwrap();
    assert_eq!(tight.fetched.lock().unwrap().len(), 0);
}

#[test]
fn the_bound_is_kept_and_the_rest_comes_from_the_store() {
    let fixture = mirrored(500_000);
    assert!(fixture.bytes() <= 500_000, "{}", fixture.bytes());
    let from_store = fixture.fetch(1);
    let all = fixture.committed.len();
    assert!(
        from_store > all / 2 && from_store < all,
        "{from_store} of {all}"
    );
    let none = mirrored(0);
    assert!(
        none.fetch(1) > all - 200,
        "all but what waits for its frame"
    );
    assert_eq!(none.bytes(), 0);
}

#[test]
fn a_deleted_mirror_is_made_again() {
    let fixture = mirrored(1 << 20);
    fixture
        .segments()
        .iter()
        .for_each(|path| fs::remove_file(path).unwrap());
    fixture.fetch(3);
    fs::remove_dir_all(fixture.dir.path()).unwrap();
    let mut reader = fixture.store.reader("log", &Offsets::default()).unwrap();
    while !reader.poll(Duration::ZERO).unwrap().is_empty() {}
    fixture.fetch(3);
}

#[test]
fn fault_damaged_copies_are_forgotten() {
    let fixture = mirrored(1 << 30);
    for path in fixture.segments() {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    assert!(fixture.fetch(1) > 0);
}

#[test]
fn a_gap_is_gone_as_the_store_says() {
    let fixture = mirrored(1 << 30);
    let taken: Vec<Position> = fixture.committed.iter().map(|r| r.position).collect();
    let gap = (0..)
        .map(|offset| Position::new(0, offset))
        .find(|p| !taken.contains(p))
        .unwrap();
    let mut fetcher = fixture.store.fetcher("log").unwrap();
    let error = fetcher
        .fetch(&[gap], &mut |_, _| panic!("nothing stands there"))
        .unwrap_err();
    assert!(
        matches!(error, LogError::Gone { position, .. } if position == gap),
        "{error:?}"
    );
}

#[test]
fn a_mirror_has_one_process() {
    let fixture = mirrored(1 << 20);
    let other: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let Err(error) = MirroredStore::new(Arc::clone(&other), "log", fixture.dir.path(), 1) else {
        panic!("two mirrors in one place");
    };
    assert!(matches!(error, LogError::Locked { .. }), "{error:?}");
    let Fixture { dir, store, .. } = fixture;
    drop(store);
    assert!(MirroredStore::new(other, "log", dir.path(), 1).is_ok());
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "only the lock is left"
    );
}
