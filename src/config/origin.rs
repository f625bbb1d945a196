//! Where values came from: a place in the file, in a variable, or in a flag.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// The names that lead to a value; an element of an array is named by its index.
pub(super) type KeyPath = Vec<String>;

/// The path as a person writes it: `select[0].rate`.
pub(super) fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for name in path {
        let written = match name.parse::<usize>() {
            Ok(index) => write!(text, "[{index}]"),
            Err(_) if text.is_empty() => write!(text, "{name}"),
            Err(_) => write!(text, ".{name}"),
        };
        written.expect("writing to memory does not fail");
    }
    text
}

/// A text that values were read from.
pub(super) enum Source {
    /// A configuration file: its name and contents.
    File {
        /// As it was given.
        name: String,
        /// All of it.
        text: String,
    },
    /// An environment variable, as `NAME=VALUE`.
    Env(String),
    /// A `--set` flag's `KEY=VALUE`.
    Set(String),
}

impl Source {
    /// What values were read from.
    pub(super) fn text(&self) -> &str {
        match self {
            Source::File { text, .. } | Source::Env(text) | Source::Set(text) => text,
        }
    }

    /// What a person calls the source.
    pub(super) fn name(&self) -> &str {
        match self {
            Source::File { name, .. } => name,
            Source::Env(text) => text.split('=').next().unwrap_or(text),
            Source::Set(_) => "--set",
        }
    }

    /// Line and column of a byte, both counted from 1.
    pub(super) fn line_column(&self, byte: usize) -> (usize, usize) {
        let before = self.text().get(..byte).unwrap_or(self.text());
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// The place that a value came from.
#[derive(Clone)]
pub(super) struct Origin {
    /// The text.
    pub(super) source: Arc<Source>,
    /// The bytes of the key in it.
    pub(super) key: Range<usize>,
    /// The bytes of the value in it.
    pub(super) value: Range<usize>,
}

impl Origin {
    /// The place in few words: `riffle.toml:3`, a variable's name, or `--set`.
    pub(super) fn brief(&self) -> String {
        match &*self.source {
            Source::File { name, .. } => {
                format!("{name}:{}", self.source.line_column(self.key.start).0)
            }
            source => source.name().to_owned(),
        }
    }
}
