//! Every parser that reads bytes from outside, as a function of bytes.
//!
//! Whatever the bytes are, such a function returns: no panic, no hang, no memory beyond a bound. The
//! tests feed each one its seeds, damaged at random; `make fuzz` looks for worse with libFuzzer.

mod engine;
#[path = "../../kernels/tests/tiny/gguf_name.rs"]
mod gguf_name;
mod memory;
mod mixing;
mod models;
mod scratch;

pub use memory::{MEMORY_BYTES_MAX, Memory};

/// A parser.
pub struct Target {
    /// Its name, for the command line.
    pub name: &'static str,
    /// Sound inputs, from which others are made.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Parses.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[&[Target]] = &[engine::TARGETS, mixing::TARGETS, models::TARGETS];

/// The targets, one by one.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().copied().flatten()
}

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    targets().find(|target| target.name == name)
}
