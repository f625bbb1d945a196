//! The local store against the model in memory: any sequence of operations shows the same records
//! and positions. Offsets differ, since the model's have gaps.
#![allow(clippy::unwrap_used)] // a test that unwraps has failed

use std::time::Duration;

use proptest::prelude::*;
use riffle::log::local::{LocalOptions, LocalStore};
use riffle::log::memory::MemoryStore;
use riffle::log::{Layout, Offsets, Position, Reader, Received, Record, Store, Writer};

const LOGS: [(&str, u16); 2] = [("a", 1), ("b", 3)];
/// Small, so that segments, frames and checkpoints change often.
const OPTIONS: LocalOptions = LocalOptions {
    durable: false,
    record_bytes_max: 200_000,
    journal_bytes_max: 300,
    segment_bytes: 20_000,
};

#[derive(Clone, Debug)]
enum Operation {
    Append {
        log: usize,
        partition: u16,
        bytes: usize,
    },
    Commit,
    Abort,
    /// The process ends, with what is open, and another begins.
    Restart,
    Poll {
        log: usize,
    },
    /// Another reader, from where the present one stands.
    Reader {
        log: usize,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let append = (
        0..2usize,
        0..3u16,
        prop_oneof![9 => 0..2000usize, 1 => 0..90_000usize],
    );
    prop_oneof![
        12 => append.prop_map(|(log, partition, bytes)| {
            Operation::Append { log, partition: partition % LOGS[log].1, bytes }
        }),
        4 => Just(Operation::Commit),
        1 => Just(Operation::Abort),
        1 => Just(Operation::Restart),
        4 => (0..2usize).prop_map(|log| Operation::Poll { log }),
        1 => (0..2usize).prop_map(|log| Operation::Reader { log }),
    ]
}

/// A store's handles, and what its readers have seen of each log.
struct Side {
    store: Box<dyn Store>,
    writer: Option<Box<dyn Writer>>,
    readers: Vec<Box<dyn Reader>>,
    seen: Vec<Vec<Received>>,
}

impl Side {
    fn new(store: Box<dyn Store>) -> Self {
        for (log, partitions) in LOGS {
            store
                .create(
                    log,
                    Layout {
                        partitions,
                        compacted: true,
                    },
                )
                .unwrap();
        }
        let reader = |(log, _)| store.reader(log, &Offsets::default()).unwrap();
        let readers = LOGS.map(reader).into_iter().collect();
        let writer = Some(store.writer("w", &["a", "b"]).unwrap());
        Side {
            store,
            writer,
            readers,
            seen: vec![Vec::new(), Vec::new()],
        }
    }

    fn writer(&mut self) -> &mut dyn Writer {
        self.writer
            .as_deref_mut()
            .expect("there is always one between operations")
    }

    fn restart(&mut self, store: Box<dyn Store>) {
        self.writer = None;
        self.store = store;
        self.writer = Some(self.store.writer("w", &["a", "b"]).unwrap());
        (0..2).for_each(|log| self.reader(log));
    }

    fn reader(&mut self, log: usize) {
        let from = self.readers[log].offsets().clone();
        self.readers[log] = self.store.reader(LOGS[log].0, &from).unwrap();
    }

    fn poll(&mut self, log: usize) {
        let ends = self.store.ends(LOGS[log].0).unwrap();
        loop {
            let records = self.readers[log].poll(Duration::ZERO).unwrap();
            if records.is_empty() {
                break;
            }
            self.seen[log].extend(records);
        }
        // Open records of the model lie before its end.
        assert!(ends.reaches(self.readers[log].offsets()));
    }

    /// Every partition's records in order, checked against a fetch of each.
    fn records(&self, log: usize) -> Vec<(u16, Record)> {
        let mut seen = self.seen[log].clone();
        seen.sort_by_key(|received| received.position);
        let positions: Vec<Position> = seen.iter().map(|r| r.position).collect();
        let mut fetched = Vec::new();
        let mut each = |position, record| fetched.push(Received { position, record });
        self.store
            .fetcher(LOGS[log].0)
            .unwrap()
            .fetch(&positions, &mut each)
            .unwrap();
        assert_eq!(fetched, seen);
        seen.into_iter()
            .map(|r| (r.position.partition(), r.record))
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn differential_local_files_behave_as_the_model(
        operations in proptest::collection::vec(operation(), 1..120),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let open = || Box::new(LocalStore::open(dir.path(), OPTIONS).unwrap());
        let memory = MemoryStore::new();
        let mut local = Side::new(open());
        let mut model = Side::new(Box::new(memory.clone()));
        for (number, operation) in (0u64..).zip(operations) {
            match operation {
                Operation::Append { log, partition, bytes } => {
                    let key = Some(number.to_le_bytes().to_vec());
                    let value = Some(number.to_le_bytes().repeat(bytes / 8));
                    let record = Record { key, value, headers: Vec::new() };
                    local.writer().append(LOGS[log].0, partition, record.clone()).unwrap();
                    model.writer().append(LOGS[log].0, partition, record).unwrap();
                }
                Operation::Commit => {
                    local.writer().commit(&number.to_le_bytes()).unwrap();
                    model.writer().commit(&number.to_le_bytes()).unwrap();
                }
                Operation::Abort => {
                    local.writer().abort().unwrap();
                    model.writer().abort().unwrap();
                }
                Operation::Restart => {
                    local.writer = None;
                    local.restart(open());
                    model.restart(Box::new(memory.reopen()));
                    prop_assert_eq!(local.writer().position(), model.writer().position());
                }
                Operation::Poll { log } => {
                    local.poll(log);
                    model.poll(log);
                }
                Operation::Reader { log } => {
                    local.reader(log);
                    model.reader(log);
                }
            }
        }
        local.writer().abort().unwrap();
        model.writer().abort().unwrap();
        for log in 0..2 {
            local.poll(log);
            model.poll(log);
            prop_assert_eq!(local.records(log), model.records(log));
        }
    }
}
