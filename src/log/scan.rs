//! Reading a part of a log once, to a known end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{LogError, Offsets, Received, Store};

/// How long a scan waits for records before it looks at the stop flag.
const TICK: Duration = Duration::from_millis(100);

/// Calls `each` with every committed record of the log from `from` up to `until`, each partition in
/// its order; whether it got there before `stop` was set.
///
/// Where a transaction is open before `until`, the scan waits for its end.
///
/// # Errors
/// The log's, and those of `each`.
pub fn scan<E: From<LogError>>(
    store: &dyn Store,
    log: &str,
    [from, until]: [&Offsets; 2],
    stop: &AtomicBool,
    mut each: impl FnMut(Received) -> Result<(), E>,
) -> Result<bool, E> {
    let mut reader = store.reader(log, from)?;
    while !reader.offsets().reaches(until) {
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        for received in reader.poll(TICK)? {
            let partition = usize::from(received.position.partition());
            let end = until.0.get(partition).copied().unwrap_or(0);
            if received.position.offset() < end {
                each(received)?;
            }
        }
    }
    Ok(true)
}
