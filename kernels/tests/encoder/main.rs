//! Tests on a real encoder, all-MiniLM-L6-v2, which `make models` fetches, and on a random one of
//! uneven shape.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod damaged;
mod density;
mod golden;
mod invariance;
mod model;
mod tiny;
mod tokenizer;
