//! Files into the documents log, and logs out again as lines.

#![allow(clippy::unwrap_used)]

mod files;
mod input;
mod resume;
mod tail;
