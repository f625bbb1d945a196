//! The records of the logs, and how they are written as bytes.
//!
//! Documents, curated documents and statistics are JSON, for others to write and read. Records
//! between our own processes are bincode behind a version byte.

mod codes;
mod curated;
mod dead_letter;
mod document;
mod object;
mod progress;
mod scored;

pub use codes::Codes;
pub use curated::Measures;
pub use dead_letter::{CUT_FROM, cut, dead_letter};
pub use document::{Document, DocumentError, field};
pub(crate) use object::parse_object;
pub use progress::{Progress, ProgressError, check_partitions};
pub use scored::{Scored, ScoredError};
