//! The command line.

pub mod feed;
pub mod run;
pub mod tail;
