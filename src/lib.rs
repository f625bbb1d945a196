//! Riffle, a streaming data-curation engine.
