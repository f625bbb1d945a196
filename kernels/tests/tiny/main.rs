//! Tests on a random decoder of two layers that the tests write themselves.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod damaged;
mod formats;
mod gguf_name;
mod model;
