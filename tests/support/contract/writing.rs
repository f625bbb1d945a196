//! What writers promise: what commits together, and what never becomes visible.

use std::time::Duration;

use riffle::log::{LogError, Offsets, Received};

use super::{Fixture, all, append, keys, made, read, read_to, record};

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
