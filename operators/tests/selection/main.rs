//! The operators as a whole: exact at every epoch, whatever comes, in whatever pieces.
//!
//! `PROPTEST_CASES` sets how many random scenarios each property gets.

mod dataflow;
mod differential;
mod oracle;
mod restart;
mod rules;
mod scenario;
mod summaries;
