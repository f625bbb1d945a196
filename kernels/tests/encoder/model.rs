//! The encoder that tests share, and where it lies.

use std::path::{Path, PathBuf};

use riffle_kernels::{LoadOptions, LoadedEncoder, load_encoder};

/// Loads all-MiniLM-L6-v2 on a number of threads.
///
/// A missing file is a failure and no skipped test: without it the numbers are not checked.
pub fn load_on(threads: usize) -> LoadedEncoder {
    let options = LoadOptions {
        threads,
        ..LoadOptions::default()
    };
    load_encoder(&path(), &options).unwrap_or_else(|error| panic!("{error}"))
}

/// The model's directory.
pub fn path() -> PathBuf {
    let path = match std::env::var_os("RIFFLE_TEST_ENCODER") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/all-MiniLM-L6-v2"),
    };
    assert!(
        path.exists(),
        "no encoder at {}: run `make models`, or set RIFFLE_TEST_ENCODER",
        path.display()
    );
    path
}

/// The reference texts, by name.
pub fn texts() -> Vec<(String, String)> {
    let lines = include_str!("../../reference/texts.jsonl").lines();
    lines
        .map(|line| {
            let item: serde_json::Value = serde_json::from_str(line).expect("one object a line");
            let field = |key: &str| item[key].as_str().expect("a string").to_string();
            (field("name"), field("text"))
        })
        .collect()
}
