//! What a log promises, empty or missing, and of its records.

use std::time::Duration;

use riffle::log::{Layout, LogError, Offsets, Position, Record};

use super::{Fixture, append, fetch, made, read};

pub fn an_empty_log_has_an_end(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 3);
    assert_eq!(store.ends(&log).unwrap(), Offsets(vec![0, 0, 0]));
    let mut reader = store.reader(&log, &Offsets::default()).unwrap();
    assert_eq!(reader.poll(Duration::from_millis(20)).unwrap(), []);
    assert!(reader.offsets().reaches(&store.ends(&log).unwrap()));
}

pub fn a_missing_log_is_missing(fixture: &dyn Fixture) {
    let (store, log) = (fixture.open(), fixture.name("none"));
    assert_eq!(store.partitions(&log).unwrap(), None);
    let errors = [
        store.ends(&log).unwrap_err(),
        store
            .reader(&log, &Offsets::default())
            .map(|_| ())
            .unwrap_err(),
        store.fetcher(&log).map(|_| ()).unwrap_err(),
        store
            .writer(&fixture.name("w"), &[&log])
            .map(|_| ())
            .unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(&error, LogError::Missing { log: l, .. } if *l == log),
            "{error:?}"
        );
    }
}

pub fn a_log_keeps_its_layout(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 3);
    let other = Layout {
        partitions: 5,
        compacted: true,
    };
    assert_eq!(store.create(&log, other).unwrap(), 3);
    assert_eq!(fixture.open().partitions(&log).unwrap(), Some(3));
}

pub fn large_records_pass_and_larger_ones_are_refused(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    let limit = fixture.record_bytes_max().unwrap_or(1 << 20);
    // Noise, so that compression does not make it small.
    let noise = |bytes: usize| -> Vec<u8> {
        let mut state = 1u64;
        let mut step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..bytes).map(|_| step()).collect()
    };
    let large = Record {
        value: Some(noise(limit * 9 / 10)),
        ..Record::default()
    };
    append(&mut *writer, &log, 0, &["before"]);
    writer.append(&log, 0, large.clone()).unwrap();
    if let Some(limit) = fixture.record_bytes_max() {
        let larger = Record {
            value: Some(noise(limit + 1)),
            ..Record::default()
        };
        let error = writer.append(&log, 0, larger).unwrap_err();
        assert!(matches!(error, LogError::TooLarge { .. }), "{error:?}");
        assert!(!error.is_fatal());
    }
    append(&mut *writer, &log, 0, &["after"]);
    writer.commit(b"").unwrap();
    let records = read(&*store, &log, &Offsets::default());
    assert_eq!(records.len(), 3);
    assert!(records[1].record == large);
}

pub fn records_keep_their_bytes(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    let headers = vec![
        ("riffle-epoch".to_owned(), b"12".to_vec()),
        ("twice".to_owned(), Vec::new()),
        ("twice".to_owned(), vec![0, 255]),
    ];
    let records = [
        Record {
            key: Some(vec![0, 1, 255, 0]),
            value: Some(vec![255; 9]),
            headers,
        },
        Record {
            key: Some(b"takedown".to_vec()),
            value: None,
            headers: Vec::new(),
        },
        Record {
            key: None,
            value: Some(b"no key".to_vec()),
            headers: Vec::new(),
        },
        Record {
            key: Some(Vec::new()),
            value: Some(Vec::new()),
            headers: Vec::new(),
        },
    ];
    for record in &records {
        writer.append(&log, 0, record.clone()).unwrap();
    }
    writer.commit(b"").unwrap();
    let back = read(&*store, &log, &Offsets::default());
    let positions: Vec<Position> = back.iter().map(|r| r.position).collect();
    assert_eq!(fetch(&*store, &log, &positions).unwrap(), back);
    let back: Vec<Record> = back.into_iter().map(|r| r.record).collect();
    assert_eq!(back, records);
}
