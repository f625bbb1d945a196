//! Redelivery on the log in memory: crashes at any operation, and other producers meanwhile.

use crate::log::memory::{MemoryStore, Side};
use crate::log::{Fetcher, Layout, Reader, Record, Result, Writer};
use crate::records::dead_letter;

use super::*;

const PARTITIONS: u16 = 2;

fn document(id: &str, version: u32) -> Record {
    let value = format!(r#"{{"id":"{id}","text":"version {version}"}}"#);
    Record {
        key: Some(id.into()),
        value: Some(value.into_bytes()),
        headers: Vec::new(),
    }
}

/// A store whose documents are all dead letters, but for those of which something newer has come.
fn store() -> MemoryStore {
    let store = MemoryStore::new();
    for (log, partitions) in [("documents", PARTITIONS), ("letters", 1)] {
        let layout = Layout {
            partitions,
            compacted: false,
        };
        store.create(log, layout).unwrap();
    }
    for n in 0..8u16 {
        let (id, partition) = (format!("d{n}"), n % PARTITIONS);
        let record = document(&id, 0);
        let offset = store.ends("documents").unwrap().0[usize::from(partition)];
        let position = Position::new(partition, offset);
        let letter = dead_letter(record.clone(), "too large", "documents", position);
        store.produce("documents", partition, vec![record]).unwrap();
        store.produce("letters", 0, vec![letter]).unwrap();
    }
    let gone = Record {
        key: Some("d3".into()),
        ..Record::default()
    };
    store.produce("documents", 1, vec![gone]).unwrap();
    store
        .produce("documents", 0, vec![document("d4", 1)])
        .unwrap();
    store
}

fn run(store: Arc<dyn Store>) -> std::result::Result<RedeliverSummary, RedeliverError> {
    redeliver(&Redeliver {
        documents_store: Arc::clone(&store),
        documents: "documents".into(),
        letters_store: store,
        letters: "letters".into(),
        document_bytes_max: 1000,
        reason: None,
        dry_run: false,
        stop: Arc::default(),
        steps: Arc::default(),
    })
}

/// Partition, key and value of each committed document.
fn documents(store: &MemoryStore) -> Vec<(u16, Record)> {
    let committed = store.committed("documents").into_iter();
    committed
        .map(|it| (it.position.partition(), it.record))
        .collect()
}

#[test]
fn fault_a_crash_at_any_operation_loses_no_letter_and_doubles_none() {
    let whole = store();
    let summary = run(Arc::new(whole.clone())).unwrap();
    assert_eq!((summary.delivered, summary.superseded), (6, 2));
    let expected = documents(&whole);
    assert_eq!(expected.len(), 10 + 6);
    let mut crashes = 0;
    for side in [Side::Before, Side::After] {
        for operation in 1.. {
            let store = store();
            store.crash_at(operation, side);
            let crashed = run(Arc::new(store.clone())).is_err();
            crashes += u32::from(crashed);
            let store = store.reopen();
            run(Arc::new(store.clone())).unwrap();
            assert_eq!(
                documents(&store),
                expected,
                "{side:?} operation {operation}"
            );
            let again = run(Arc::new(store.clone())).unwrap();
            assert_eq!(again, RedeliverSummary::default());
            if !crashed {
                break;
            }
        }
    }
    assert!(crashes > 20, "{crashes} crashes");
}

/// A store on which another producer appends a version of `d5` when the first letter is appended.
struct Meanwhile(MemoryStore);

impl Store for Meanwhile {
    fn partitions(&self, log: &str) -> Result<Option<u16>> {
        self.0.partitions(log)
    }

    fn create(&self, log: &str, layout: Layout) -> Result<u16> {
        self.0.create(log, layout)
    }

    fn ends(&self, log: &str) -> Result<Offsets> {
        self.0.ends(log)
    }

    fn reader(&self, log: &str, from: &Offsets) -> Result<Box<dyn Reader>> {
        self.0.reader(log, from)
    }

    fn fetcher(&self, log: &str) -> Result<Box<dyn Fetcher>> {
        self.0.fetcher(log)
    }

    fn writer(&self, name: &str, logs: &[&str]) -> Result<Box<dyn Writer>> {
        let writer = self.0.writer(name, logs)?;
        let store = self.0.clone();
        Ok(Box::new(Late(writer, Some(store))))
    }

    fn position(&self, writer: &str) -> Result<Option<Vec<u8>>> {
        self.0.position(writer)
    }
}

struct Late(Box<dyn Writer>, Option<MemoryStore>);

impl Writer for Late {
    fn position(&self) -> Option<&[u8]> {
        self.0.position()
    }

    fn append(&mut self, log: &str, partition: u16, record: Record) -> Result<()> {
        if let Some(store) = self.1.take() {
            store.produce("documents", 1, vec![document("d5", 1)])?;
        }
        self.0.append(log, partition, record)
    }

    fn commit(&mut self, position: &[u8]) -> Result<()> {
        self.0.commit(position)
    }

    fn abort(&mut self) -> Result<()> {
        self.0.abort()
    }
}

#[test]
fn a_version_that_comes_before_the_commit_and_is_hidden_by_it_is_told() {
    let summary = run(Arc::new(Meanwhile(store()))).unwrap();
    assert_eq!(
        (summary.delivered, &*summary.overtaken),
        (6, &["d5".to_owned()][..])
    );
    let told = summary.to_string();
    assert!(
        told.contains("OVERTAKEN: a newer version of d5 came"),
        "{told}"
    );
}
