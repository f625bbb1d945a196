//! Parsers that are not public, opened to the crate in `fuzz/`, which feeds them what nobody would
//! write.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::config::Sketch;
use crate::curate::rules_of_progress;
pub use crate::curate::snapshots::{read as snapshot, write as write_snapshot};
use crate::feed::{Head, Line, Lines, entry_of_line, open};
pub use crate::log::local::fuzzing::{frame, index, journal, layout, payload};

/// The largest document, and the base-2 logarithm of the largest zstd window.
const LIMITS: (usize, u32) = (1 << 16, 20);
/// Where reading of an input ends: a few bytes may decompress to any number.
const STREAM_BYTES: u64 = 4 << 20;

/// Reads a file of lines as a feed does.
pub fn lines(path: &Path) {
    let (bytes_max, window_log_max) = LIMITS;
    let Ok(stream) = open(path, window_log_max, Arc::new(AtomicU64::new(0))) else {
        return;
    };
    let mut lines = Lines::new(stream, bytes_max);
    let _ = lines.head(64);
    while lines.bytes < STREAM_BYTES {
        match lines.next() {
            Ok(Some(Line::Whole(line))) => {
                assert!(
                    line.len() <= bytes_max,
                    "a line over the limit is given whole"
                );
                let _ = Head::parse(line);
                entry_of_line(line, "fuzz", 1);
            }
            Ok(Some(Line::Long(start, size))) => assert!(size > start.len() as u64),
            Ok(None) | Err(_) => return,
        }
    }
}

/// Reads a progress record, and the rules in it.
pub fn progress(bytes: &[u8]) {
    if let Ok(progress) = crate::records::Progress::decode(bytes) {
        let _ = rules_of_progress(&progress, &Sketch::default());
    }
}
