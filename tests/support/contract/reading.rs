//! What readers and fetchers promise.

use std::time::{Duration, Instant};

use riffle::log::{LogError, Offsets, Position, Received};

use super::{Fixture, PATIENCE, all, append, fetch, keys, made, read, read_to, record};

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
