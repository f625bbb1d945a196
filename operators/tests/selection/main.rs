//! The operators as a whole: exact at every epoch, whatever comes, in whatever pieces.
//!
//! `PROPTEST_CASES` sets how many random scenarios each property gets.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod dataflow;
mod differential;
mod mixture;
mod oracle;
mod restart;
mod rules;
mod scenario;
mod summaries;
