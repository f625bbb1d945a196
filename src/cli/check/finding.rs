//! One line of what was found.

use serde::Serialize;

/// How wide the columns of status and subject are.
const STATUS_WIDTH: usize = 8;
const WHAT_WIDTH: usize = 24;

/// What a finding means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// A run would work, but not for long or not as wished.
    Warning,
    /// A run would not work.
    Fail,
    /// Not looked at.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) status: Status,
    pub(super) what: String,
    pub(super) found: String,
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn new(status: Status, what: impl Into<String>, found: impl Into<String>) -> Self {
        Finding {
            status,
            what: what.into(),
            found: found.into(),
            fix: None,
        }
    }

    pub(super) fn fix(self, fix: impl Into<String>) -> Self {
        Finding {
            fix: Some(fix.into()),
            ..self
        }
    }

    /// The finding as a line of JSON.
    pub(super) fn json(&self) -> String {
        let json = serde_json::to_string(self).expect("a finding has only texts");
        format!("{json}\n")
    }

    /// The finding as a line for a person, and the fix under it.
    pub(super) fn text(&self, colored: bool) -> String {
        let (word, color) = match self.status {
            Status::Ok => ("ok", "\x1b[32m"),
            Status::Warning => ("warning", "\x1b[33m"),
            Status::Fail => ("FAIL", "\x1b[1;31m"),
            Status::Skipped => ("skipped", "\x1b[2m"),
        };
        let (color, plain) = if colored {
            (color, "\x1b[0m")
        } else {
            ("", "")
        };
        let (what, found) = (&self.what, &self.found);
        let mut text = format!("{color}{word:STATUS_WIDTH$}{plain} {what:WHAT_WIDTH$} {found}\n");
        if let Some(fix) = &self.fix {
            text.push_str(&format!(
                "{:STATUS_WIDTH$} {:WHAT_WIDTH$} fix: {fix}\n",
                "", ""
            ));
        }
        text
    }
}

/// A number of bytes for a person: `91.7 MB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(&str, f64); 4] = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let count = count as f64;
    match UNITS.iter().find(|(_, unit)| count >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", count / unit),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_the_largest_unit_that_fits() {
        let written = [0, 999, 1000, 91_700_000, 10_737_418_240, 2_500_000_000_000].map(bytes);
        assert_eq!(
            written,
            ["0 B", "999 B", "1.0 kB", "91.7 MB", "10.7 GB", "2.5 TB"]
        );
    }
}
