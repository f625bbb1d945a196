//! Riffle, a streaming data-curation engine for language-model pre-training.

pub mod cli;
pub mod cluster;
pub mod config;
pub mod curate;
mod dataflow;
pub mod engine;
pub mod feed;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod log;
pub mod records;
pub mod redeliver;
pub mod score;
pub mod skills;
pub mod tail;
pub mod verify;
