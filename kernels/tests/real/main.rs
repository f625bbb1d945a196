//! Tests on real weights: SmolLM2-135M-Instruct, which `make models` fetches.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod golden;
mod invariance;
mod model;
mod tokenizer;
