//! JSON files of a model's directory, never longer than memory allows.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::ModelError;

/// Longest JSON file or safetensors header read; tokenizer.json of 250,000 tokens takes 35 MB.
pub(crate) const JSON_BYTES_MAX: u64 = 128 << 20;

/// The error of a file that does not hold what its format demands.
pub(crate) fn malformed(path: &Path, what: impl ToString) -> ModelError {
    ModelError::Malformed {
        path: path.into(),
        what: what.to_string(),
    }
}

/// A file's bytes, at most [`JSON_BYTES_MAX`].
pub(crate) fn read_limited(path: &Path) -> Result<Vec<u8>, ModelError> {
    let io = |source| ModelError::Io {
        path: path.into(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(JSON_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > JSON_BYTES_MAX {
        return Err(malformed(
            path,
            format!("it is longer than {JSON_BYTES_MAX} bytes"),
        ));
    }
    Ok(bytes)
}

/// A JSON file as a value of `T`.
pub(crate) fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, ModelError> {
    serde_json::from_slice(&read_limited(path)?).map_err(|e| malformed(path, e))
}
