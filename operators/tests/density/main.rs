//! Sampling by density as a whole: after every epoch what a batch job over the live set would draw.
//!
//! `PROPTEST_CASES` sets how many random scenarios each property gets.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod copies;
mod dataflow;
mod oracle;
mod restart;
mod scenario;
mod statistics;
