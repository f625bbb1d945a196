//! The path of a field inside a document's JSON.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A field of a document, such as `source` or `metadata.perplexity`: names joined by dots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct FieldPath(String);

/// Why a text is no field path.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FieldPathError {
    /// A name between the dots is missing.
    #[error("{0:?} is no path of a field: write names joined by dots, such as metadata.perplexity")]
    EmptyName(String),
    /// The path leads into what the engine itself adds.
    #[error(
        "{0:?} is no field of a document: the engine replaces the object \"riffle\" by its own"
    )]
    Own(String),
}

impl FieldPath {
    /// The path, names joined by dots.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FieldPath {
    type Error = FieldPathError;

    fn try_from(path: String) -> Result<Self, FieldPathError> {
        if path.split('.').any(str::is_empty) {
            return Err(FieldPathError::EmptyName(path));
        }
        if path.split('.').next() == Some("riffle") {
            return Err(FieldPathError::Own(path));
        }
        Ok(FieldPath(path))
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> String {
        path.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
