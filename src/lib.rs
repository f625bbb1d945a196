//! Riffle, a streaming data-curation engine for language-model pre-training.

pub mod feed;
pub mod log;
pub mod records;
pub mod tail;
