//! What every store promises, as tests to run against each kind.

mod logs;
mod reading;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use riffle::log::{Layout, Offsets, Position, Reader, Received, Record, Result, Store, Writer};

pub use logs::*;
pub use reading::*;
pub use writing::*;

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

fn fetch(store: &dyn Store, log: &str, positions: &[Position]) -> Result<Vec<Received>> {
    let mut records = Vec::new();
    let mut each = |position, record| records.push(Received { position, record });
    store.fetcher(log)?.fetch(positions, &mut each)?;
    Ok(records)
}
