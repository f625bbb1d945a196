//! Copies what stands before the place where the readers began.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::copy::{Copies, Side};
use crate::log::{Offsets, Result, Store};

/// How long a read waits before it is seen whether anybody needs the mirror still.
const TICK: Duration = Duration::from_millis(200);

/// Starts a thread that copies the log's records before `end`, unless there are none.
///
/// It ends with the mirror, when that is full, or when the log fails: what is not copied is fetched
/// from the store.
pub fn copy(store: &Arc<dyn Store>, log: &str, end: &Offsets, copies: &Arc<Copies>) {
    if Offsets::default().reaches(end) {
        return;
    }
    let (store, log, end) = (Arc::clone(store), log.to_owned(), end.clone());
    let copies = Arc::downgrade(copies);
    let body = move || match read(store.as_ref(), &log, &end, &copies) {
        Ok(records) => tracing::debug!(log, records, "the mirror has what stood before"),
        Err(error) => tracing::warn!(log, %error, "the mirror lacks what stood before"),
    };
    // Without the thread single records take longer, and that is all.
    if let Err(error) = thread::Builder::new().name("mirror".to_owned()).spawn(body) {
        tracing::warn!(%error, "the mirror lacks what stood before");
    }
}

/// Reads up to `end`; how many records it has copied.
fn read(store: &dyn Store, log: &str, end: &Offsets, copies: &Weak<Copies>) -> Result<u64> {
    let mut reader = store.reader(log, &Offsets::default())?;
    let mut count = 0;
    while !reader.offsets().reaches(end) {
        let mut records = reader.poll(TICK)?;
        records.retain(|it| it.position.offset() < end.0[usize::from(it.position.partition())]);
        let Some(copies) = copies.upgrade().filter(|copies| copies.has_room()) else {
            break;
        };
        copies.take_in(Side::Before, &records);
        count += records.len() as u64;
    }
    Ok(count)
}
