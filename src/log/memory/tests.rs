//! What the model does beyond the contract of logs: gaps, crashes and incarnations.

use std::time::Duration;

use super::*;
use crate::log::{LogError, Position};

fn record(text: &str) -> Record {
    Record {
        key: Some(text.into()),
        value: None,
        headers: Vec::new(),
    }
}

fn store() -> MemoryStore {
    let store = MemoryStore::new();
    store
        .create(
            "log",
            Layout {
                partitions: 1,
                compacted: false,
            },
        )
        .unwrap();
    store
}

fn keys(store: &MemoryStore) -> Vec<String> {
    let key = |r: Received| String::from_utf8(r.record.key.unwrap()).unwrap();
    store.committed("log").into_iter().map(key).collect()
}

#[test]
fn aborted_records_and_marks_leave_gaps() {
    let store = store();
    let mut writer = store.writer("w", &["log"]).unwrap();
    for (text, commit) in [("a", true), ("b", false), ("c", true)] {
        writer.append("log", 0, record(text)).unwrap();
        if commit {
            writer.commit(b"").unwrap()
        } else {
            writer.abort().unwrap()
        }
    }
    let offsets: Vec<u64> = store
        .committed("log")
        .iter()
        .map(|r| r.position.offset())
        .collect();
    assert_eq!(offsets, [0, 4]);
    assert_eq!(store.ends("log").unwrap(), Offsets(vec![6]));
}

#[test]
fn an_open_transaction_of_a_crashed_writer_stops_readers_until_its_successor_comes() {
    let first = store();
    let mut writer = first.writer("w", &["log"]).unwrap();
    writer.append("log", 0, record("left open")).unwrap();
    first.crash_at(1, Side::Before);
    assert!(matches!(writer.commit(b"1"), Err(LogError::Crash)));
    drop(writer);
    let store = first.reopen();
    store.produce("log", 0, vec![record("of another")]).unwrap();
    let mut reader = store.reader("log", &Offsets::default()).unwrap();
    assert_eq!(reader.poll(Duration::from_millis(5)).unwrap(), []);
    assert_eq!(reader.offsets(), &Offsets(vec![0]));
    let writer = store.writer("w", &["log"]).unwrap();
    assert_eq!(writer.position(), None);
    let seen = reader.poll(Duration::ZERO).unwrap();
    assert_eq!((seen.len(), seen[0].position), (1, Position::new(0, 1)));
    assert!(reader.offsets().reaches(&store.ends("log").unwrap()));
}

#[test]
fn a_crash_strikes_on_the_planned_side_of_a_commit() {
    for (side, committed) in [(Side::Before, 0), (Side::After, 1)] {
        let store = store();
        let mut writer = store.writer("w", &["log"]).unwrap();
        store.crash_at(2, side);
        writer.append("log", 0, record("a")).unwrap();
        assert!(matches!(writer.commit(b"1"), Err(LogError::Crash)));
        assert!(
            matches!(store.ends("log"), Err(LogError::Crash)),
            "all handles are dead"
        );
        assert_eq!(keys(&store).len(), committed, "{side:?}");
        let next = store.reopen();
        assert!(
            matches!(store.ends("log"), Err(LogError::Crash)),
            "and stay so"
        );
        let position = next
            .writer("w", &["log"])
            .unwrap()
            .position()
            .map(<[u8]>::to_vec);
        assert_eq!(position, (committed == 1).then(|| b"1".to_vec()));
    }
}

#[test]
fn only_polls_that_find_something_are_operations() {
    let store = store();
    let mut reader = store.reader("log", &Offsets::default()).unwrap();
    let before = store.operations();
    assert_eq!(reader.poll(Duration::ZERO).unwrap(), []);
    assert_eq!(store.operations(), before);
    store
        .produce("log", 0, vec![record("a"), record("b")])
        .unwrap();
    store.set_poll_records_max(1);
    assert_eq!(reader.poll(Duration::ZERO).unwrap().len(), 1);
    assert_eq!(store.operations(), before + 1);
}

#[test]
fn a_waiting_poll_ends_when_the_process_crashes() {
    let store = store();
    let mut reader = store.reader("log", &Offsets::default()).unwrap();
    let waiting = std::thread::spawn(move || reader.poll(Duration::from_secs(60)));
    store.crash_at(1, Side::Before);
    assert!(store.ends("log").is_err());
    assert!(matches!(waiting.join().unwrap(), Err(LogError::Crash)));
}
