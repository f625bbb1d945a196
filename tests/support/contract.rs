//! What every store promises, as tests to run against each kind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use riffle::log::{
    Layout, LogError, Offsets, Position, Reader, Received, Record, Result, Store, Writer,
};

/// A kind of store under test.
pub trait Fixture {
    /// A handle such as another process would open.
    fn open(&self) -> Arc<dyn Store>;
    /// A name that no other test uses.
    fn name(&self, stem: &str) -> String;
    /// The largest record that the store takes, where it has such a limit.
    fn record_bytes_max(&self) -> Option<usize>;
}

/// Makes a test of every promise; `$fixture` is evaluated once a test.
#[macro_export]
macro_rules! contract {
    ($fixture:expr) => {
        $crate::contract! { $fixture;
            partitions_keep_their_order
            logs_and_position_commit_together
            a_commit_without_records_moves_the_position
            a_position_is_read_without_becoming_the_writer
            aborted_records_stay_invisible
            open_records_stay_invisible
            what_a_dropped_writer_left_open_never_becomes_visible
            one_writer_of_a_name_is_live
            a_reader_begins_at_its_offsets
            a_reader_may_not_begin_behind_the_end
            a_reader_reaches_the_ends
            a_reader_follows_a_writer
            single_records_are_fetched_by_position
            what_was_never_committed_cannot_be_fetched
            an_empty_log_has_an_end
            a_missing_log_is_missing
            a_log_keeps_its_layout
            large_records_pass_and_larger_ones_are_refused
            records_keep_their_bytes
            a_writer_appends_only_where_it_said
        }
    };
    ($fixture:expr; $($name:ident)*) => {
        $(#[test] fn $name() { $crate::contract::$name(&$fixture); })*
    };
}

const PATIENCE: Duration = Duration::from_secs(30);

fn made(fixture: &dyn Fixture, stem: &str, partitions: u16) -> (Arc<dyn Store>, String) {
    let (store, log) = (fixture.open(), fixture.name(stem));
    let layout = Layout {
        partitions,
        compacted: false,
    };
    assert_eq!(store.create(&log, layout).unwrap(), partitions);
    (store, log)
}

fn record(text: &str) -> Record {
    Record {
        key: Some(text.into()),
        value: Some(text.as_bytes().repeat(3)),
        headers: Vec::new(),
    }
}

/// Reads from `from` to the present end.
fn read(store: &dyn Store, log: &str, from: &Offsets) -> Vec<Received> {
    let ends = store.ends(log).unwrap();
    read_to(store.reader(log, from).unwrap().as_mut(), &ends)
}

fn read_to(reader: &mut dyn Reader, ends: &Offsets) -> Vec<Received> {
    let (start, mut records) = (Instant::now(), Vec::new());
    while !reader.offsets().reaches(ends) {
        records.extend(reader.poll(Duration::from_millis(100)).unwrap());
        assert!(
            start.elapsed() < PATIENCE,
            "at {:?} of {ends:?}",
            reader.offsets()
        );
    }
    records
}

fn keys(records: &[Received]) -> Vec<String> {
    let key = |r: &Received| String::from_utf8(r.record.key.clone().unwrap()).unwrap();
    records.iter().map(key).collect()
}

fn all(store: &dyn Store, log: &str) -> Vec<String> {
    keys(&read(store, log, &Offsets::default()))
}

fn append(writer: &mut dyn Writer, log: &str, partition: u16, texts: &[&str]) {
    for text in texts {
        writer.append(log, partition, record(text)).unwrap();
    }
}

pub fn partitions_keep_their_order(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "order", 3);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    let mut expected = vec![Vec::new(); 3];
    for i in 0..3000u32 {
        let partition = (i * 7 % 3) as u16;
        let text = format!("record {i}");
        writer.append(&log, partition, record(&text)).unwrap();
        expected[usize::from(partition)].push(text);
        if i % 700 == 0 {
            writer.commit(b"").unwrap();
        }
    }
    writer.commit(b"").unwrap();
    let records = read(&*store, &log, &Offsets::default());
    for (partition, expected) in (0..).zip(expected) {
        let of_it: Vec<Received> = records
            .iter()
            .filter(|r| r.position.partition() == partition)
            .cloned()
            .collect();
        assert_eq!(keys(&of_it), expected);
        assert!(of_it.is_sorted_by(|a, b| a.position < b.position));
    }
}

pub fn logs_and_position_commit_together(fixture: &dyn Fixture) {
    let (store, a) = made(fixture, "a", 1);
    let (_, b) = made(fixture, "b", 2);
    let name = fixture.name("w");
    let mut writer = store.writer(&name, &[&a, &b]).unwrap();
    assert_eq!(writer.position(), None);
    append(&mut *writer, &a, 0, &["1"]);
    append(&mut *writer, &b, 1, &["2"]);
    writer.commit(b"first").unwrap();
    assert_eq!(writer.position(), Some(&b"first"[..]));
    append(&mut *writer, &a, 0, &["3"]);
    drop(writer);
    let other = fixture.open();
    let mut writer = other.writer(&name, &[&a, &b]).unwrap();
    assert_eq!(writer.position(), Some(&b"first"[..]));
    assert_eq!(
        (all(&*other, &a), all(&*other, &b)),
        (vec!["1".into()], vec!["2".into()])
    );
    append(&mut *writer, &b, 0, &["4"]);
    writer.commit(b"second \0\xff").unwrap();
    drop(writer);
    let writer = store.writer(&name, &[&a]).unwrap();
    assert_eq!(writer.position(), Some(&b"second \0\xff"[..]));
    assert_eq!((all(&*store, &a).len(), all(&*store, &b).len()), (1, 2));
    let stranger = store.writer(&fixture.name("stranger"), &[&b]).unwrap();
    assert_eq!(stranger.position(), None);
}

pub fn a_commit_without_records_moves_the_position(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let name = fixture.name("w");
    let mut writer = store.writer(&name, &[&log]).unwrap();
    writer.commit(b"1").unwrap();
    writer.commit(b"2").unwrap();
    drop(writer);
    assert_eq!(
        store.writer(&name, &[&log]).unwrap().position(),
        Some(&b"2"[..])
    );
}

pub fn a_position_is_read_without_becoming_the_writer(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let name = fixture.name("w");
    let other = fixture.open();
    assert_eq!(other.position(&name).unwrap(), None);
    let mut writer = store.writer(&name, &[&log]).unwrap();
    assert_eq!(other.position(&name).unwrap(), None);
    for position in [&b"1"[..], b"2 \0\xff"] {
        append(&mut *writer, &log, 0, &["a"]);
        writer.commit(position).unwrap();
        assert_eq!(other.position(&name).unwrap().as_deref(), Some(position));
    }
    drop(writer);
    let position = other.position(&name).unwrap();
    assert_eq!(position.as_deref(), Some(&b"2 \0\xff"[..]));
    assert_eq!(other.position(&fixture.name("stranger")).unwrap(), None);
}

pub fn aborted_records_stay_invisible(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    append(&mut *writer, &log, 0, &["kept"]);
    writer.commit(b"1").unwrap();
    for i in 0..2000 {
        writer
            .append(&log, 0, record(&format!("dropped {i}")))
            .unwrap();
    }
    writer.abort().unwrap();
    assert_eq!(writer.position(), Some(&b"1"[..]));
    append(&mut *writer, &log, 0, &["kept too"]);
    writer.commit(b"2").unwrap();
    writer.abort().unwrap();
    assert_eq!(all(&*store, &log), ["kept", "kept too"]);
}

pub fn open_records_stay_invisible(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    append(&mut *writer, &log, 0, &["1"]);
    writer.commit(b"").unwrap();
    let mut reader = fixture.open().reader(&log, &Offsets::default()).unwrap();
    let mut seen = Vec::new();
    while seen.is_empty() {
        seen = reader.poll(Duration::from_secs(1)).unwrap();
    }
    for i in 0..2000 {
        writer
            .append(&log, 0, record(&format!("open {i}")))
            .unwrap();
    }
    assert_eq!(reader.poll(Duration::from_millis(300)).unwrap(), []);
    writer.commit(b"").unwrap();
    let ends = store.ends(&log).unwrap();
    seen.extend(read_to(&mut *reader, &ends));
    assert_eq!(seen.len(), 2001);
}

pub fn what_a_dropped_writer_left_open_never_becomes_visible(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 2);
    let name = fixture.name("w");
    let mut writer = store.writer(&name, &[&log]).unwrap();
    append(&mut *writer, &log, 1, &["kept"]);
    writer.commit(b"").unwrap();
    for i in 0..2000 {
        writer
            .append(&log, 1, record(&format!("left {i}")))
            .unwrap();
    }
    drop(writer);
    let mut writer = store.writer(&name, &[&log]).unwrap();
    append(&mut *writer, &log, 1, &["of the successor"]);
    writer.commit(b"").unwrap();
    assert_eq!(all(&*store, &log), ["kept", "of the successor"]);
}

pub fn one_writer_of_a_name_is_live(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let name = fixture.name("w");
    let mut old = store.writer(&name, &[&log]).unwrap();
    append(&mut *old, &log, 0, &["old"]);
    match fixture.open().writer(&name, &[&log]) {
        Err(error) => {
            assert!(matches!(error, LogError::Locked { .. }), "{error}");
            old.commit(b"old").unwrap();
            assert_eq!(all(&*store, &log), ["old"]);
        }
        Ok(mut new) => {
            append(&mut *new, &log, 0, &["new"]);
            new.commit(b"new").unwrap();
            let refused = old.commit(b"old").unwrap_err();
            assert!(matches!(refused, LogError::Fenced { .. }), "{refused:?}");
            assert!(refused.is_fatal());
            append(&mut *new, &log, 0, &["newer"]);
            new.commit(b"newer").unwrap();
            assert_eq!(all(&*store, &log), ["new", "newer"]);
        }
    }
}

pub fn a_reader_begins_at_its_offsets(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 2);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    for i in 0..4000 {
        writer
            .append(&log, (i % 2) as u16, record(&i.to_string()))
            .unwrap();
    }
    writer.commit(b"").unwrap();
    let records = read(&*store, &log, &Offsets::default());
    let after: Vec<&Received> = records
        .iter()
        .filter(|r| r.position.offset() >= 1234)
        .collect();
    let mut rest = read(&*store, &log, &Offsets(vec![1234, 1234]));
    rest.sort_by_key(|r| r.position);
    assert_eq!(rest.len(), 2 * (2000 - 1234));
    assert!(after.len() == rest.len() && rest.iter().all(|r| after.contains(&r)));
    let of_first = read(&*store, &log, &Offsets(vec![1999]));
    assert_eq!(
        of_first.len(),
        1 + 2000,
        "a partition without an offset is read from its start"
    );
    assert_eq!(read(&*store, &log, &store.ends(&log).unwrap()), []);
}

pub fn a_reader_may_not_begin_behind_the_end(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let Err(error) = store.reader(&log, &Offsets(vec![5])) else {
        panic!("it began at 5 of 0")
    };
    assert!(matches!(error, LogError::Gone { .. }), "{error:?}");
}

pub fn a_reader_reaches_the_ends(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 2);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    let mut reader = store.reader(&log, &Offsets::default()).unwrap();
    for i in 0..5 {
        append(&mut *writer, &log, 1, &["a", "b"]);
        if i % 2 == 0 {
            writer.commit(b"").unwrap()
        } else {
            writer.abort().unwrap()
        }
        read_to(&mut *reader, &store.ends(&log).unwrap());
    }
    assert_eq!(all(&*store, &log).len(), 6);
}

pub fn a_reader_follows_a_writer(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let other = fixture.open();
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    std::thread::scope(|scope| {
        let log = &log;
        let read = scope.spawn(move || {
            let mut reader = other.reader(log, &Offsets::default()).unwrap();
            let (start, mut records) = (Instant::now(), Vec::new());
            while records.len() < 300 && start.elapsed() < PATIENCE {
                records.extend(reader.poll(Duration::from_secs(1)).unwrap());
            }
            keys(&records)
        });
        let texts: Vec<String> = (0..300).map(|i| i.to_string()).collect();
        for texts in texts.chunks(30) {
            for text in texts {
                writer.append(log, 0, record(text)).unwrap();
            }
            writer.commit(b"").unwrap();
        }
        assert_eq!(read.join().unwrap(), texts);
    });
}

fn fetch(store: &dyn Store, log: &str, positions: &[Position]) -> Result<Vec<Received>> {
    let mut records = Vec::new();
    let mut each = |position, record| records.push(Received { position, record });
    store.fetcher(log)?.fetch(positions, &mut each)?;
    Ok(records)
}

pub fn single_records_are_fetched_by_position(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 2);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    for i in 0..2000 {
        writer
            .append(&log, (i % 2) as u16, record(&format!("record {i}")))
            .unwrap();
        if i % 900 == 899 {
            writer.commit(b"").unwrap();
        }
    }
    writer.commit(b"").unwrap();
    let mut records = read(&*store, &log, &Offsets::default());
    records.sort_by_key(|r| r.position);
    let wanted: Vec<Received> = records.into_iter().step_by(37).collect();
    let positions: Vec<Position> = wanted.iter().map(|r| r.position).collect();
    assert_eq!(fetch(&*store, &log, &positions).unwrap(), wanted);
    assert_eq!(fetch(&*store, &log, &[]).unwrap(), []);
}

pub fn what_was_never_committed_cannot_be_fetched(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 1);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    append(&mut *writer, &log, 0, &["kept"]);
    writer.commit(b"").unwrap();
    append(&mut *writer, &log, 0, &["dropped"]);
    writer.abort().unwrap();
    let kept = read(&*store, &log, &Offsets::default())[0].position;
    let behind = Position::new(0, store.ends(&log).unwrap().0[0]);
    let error = fetch(&*store, &log, &[kept, behind]).unwrap_err();
    assert!(
        matches!(error, LogError::Gone { position, .. } if position == behind),
        "{error:?}"
    );
    let error = fetch(&*store, &log, &[Position::new(9, 0)]).unwrap_err();
    assert!(matches!(error, LogError::Gone { .. }), "{error:?}");
}

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

pub fn a_writer_appends_only_where_it_said(fixture: &dyn Fixture) {
    let (store, log) = made(fixture, "log", 2);
    let (_, other) = made(fixture, "other", 1);
    let mut writer = store.writer(&fixture.name("w"), &[&log]).unwrap();
    let error = writer.append(&other, 0, record("x")).unwrap_err();
    assert!(matches!(error, LogError::Missing { .. }), "{error:?}");
    let error = writer.append(&log, 2, record("x")).unwrap_err();
    assert!(matches!(error, LogError::NoPartition { .. }), "{error:?}");
    append(&mut *writer, &log, 1, &["y"]);
    writer.commit(b"").unwrap();
    assert_eq!(all(&*store, &log), ["y"]);
}
