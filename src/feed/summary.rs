//! What a feed did.

use std::fmt::{self, Display};

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::lines::Done;

/// An input that could not be read, or not to its end. What was read before is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The input.
    pub path: String,
    /// The line that could not be read, counted from 1; absent when nothing could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where the line begins in the decompressed input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// Why.
    pub reason: String,
}

impl Failure {
    /// Nothing of the input could be read.
    pub(crate) fn new(path: &str, reason: &dyn Display) -> Self {
        Failure {
            path: path.into(),
            line: None,
            byte: None,
            reason: reason.to_string(),
        }
    }

    /// The input could not be read beyond what is `done`.
    pub(crate) fn within(path: &str, done: Done, reason: &dyn Display) -> Self {
        Failure {
            line: Some(done.lines + 1),
            byte: Some(done.bytes),
            ..Failure::new(path, reason)
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if let (Some(line), Some(byte)) = (self.line, self.byte) {
            write!(f, ": line {line}, from byte {byte} of its content on")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What a feed did. The counts are of what it committed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FeedSummary {
    /// Documents.
    pub documents: u64,
    /// Takedowns.
    pub takedowns: u64,
    /// Lines that are no documents, for the dead letters.
    pub rejected: u64,
    /// Files whose reading began.
    pub files: u64,
    /// Files without content among them.
    pub empty: u64,
    /// Hidden files and folders that were passed over.
    pub skipped_hidden: u64,
    /// Files in folders that are no text and were passed over.
    pub skipped_binary: u64,
    /// Inputs that could not be read, or not to their end.
    pub failures: Vec<Failure>,
    /// Bytes read, as the files hold them.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Where the feed was stopped, as `path:lines done`; absent when it read everything. With the
    /// same inputs and `resume`, the next feed goes on from there.
    pub stopped_at: Option<String>,
}

impl FeedSummary {
    /// Whether all that was asked for is in the log.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.stopped_at.is_none()
    }
}

impl Display for FeedSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fed {}, {}, {} rejected; {} from {} in {:.1} s",
            counted(self.documents, "document"),
            counted(self.takedowns, "takedown"),
            HumanCount(self.rejected),
            HumanBytes(self.bytes),
            counted(self.files, "file"),
            self.seconds,
        )?;
        for (count, what) in [
            (self.empty, "empty"),
            (self.skipped_hidden, "hidden"),
            (self.skipped_binary, "binary"),
        ] {
            if count > 0 {
                write!(f, "; {} {what}", HumanCount(count))?;
            }
        }
        if !self.failures.is_empty() {
            write!(f, "; {} not read to the end", self.failures.len())?;
        }
        match &self.stopped_at {
            Some(place) => write!(f, "; stopped at {place}, go on with --resume"),
            None => Ok(()),
        }
    }
}

fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_not_ordinary_only_where_it_is() {
        let mut summary = FeedSummary {
            documents: 12_345,
            takedowns: 2,
            files: 1,
            bytes: 3 << 20,
            seconds: 1.25,
            ..FeedSummary::default()
        };
        assert!(summary.is_complete());
        assert_eq!(
            summary.to_string(),
            "fed 12,345 documents, 2 takedowns, 0 rejected; 3.00 MiB from 1 file in 1.2 s"
        );
        summary.empty = 1;
        summary.failures.push(Failure::new("a", &"is gone"));
        summary.stopped_at = Some("b:7".into());
        assert!(!summary.is_complete());
        assert!(
            summary.to_string().ends_with(
                " s; 1 empty; 1 not read to the end; stopped at b:7, go on with --resume"
            ),
            "{summary}"
        );
    }

    #[test]
    fn a_failure_says_where() {
        let done = Done {
            lines: 11,
            bytes: 345,
        };
        assert_eq!(
            Failure::within("a.gz", done, &"unexpected end").to_string(),
            "a.gz: line 12, from byte 345 of its content on: unexpected end"
        );
    }
}
