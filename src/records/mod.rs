//! The records of the logs, and how they are written as bytes.
//!
//! Documents and curated documents are JSON, for others to write and read. Records between our own
//! processes are bincode behind a version byte.

mod document;
mod scored;

pub use document::{Document, DocumentError, field};
pub use scored::{Scored, ScoredError};
