//! The model that tests of real weights share, and where it lies.

use std::path::{Path, PathBuf};

use riffle_kernels::{LoadOptions, Loaded, load};

/// Loads SmolLM2-135M-Instruct on a number of threads.
///
/// A missing file is a failure and no skipped test: without it the numbers are not checked.
pub fn load_on(threads: usize) -> Loaded {
    let path = path();
    assert!(
        path.exists(),
        "no model at {}: run `make models`, or set RIFFLE_TEST_MODEL",
        path.display()
    );
    let options = LoadOptions {
        threads,
        ..LoadOptions::default()
    };
    load(&path, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn path() -> PathBuf {
    match std::env::var_os("RIFFLE_TEST_MODEL") {
        Some(path) => path.into(),
        None => {
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/SmolLM2-135M-Instruct.Q4_1.gguf")
        }
    }
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
