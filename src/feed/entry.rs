//! What a line of JSON becomes in the documents log: a document, a takedown or a reject.
//!
//! Only the id is read; all else is left to the scorer, which has to parse the document anyway.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use crate::log::Record;
use crate::records::{DocumentError, parse_object};

/// The header of a reject that says where it comes from, as `path:line`.
pub const SOURCE_HEADER: &str = "riffle-source";

/// The header of a reject that says why it is no document. The scorer turns a record with it into
/// a dead letter.
pub const REJECT_HEADER: &str = "riffle-reject";

/// What a record of the documents log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Document,
    Takedown,
    Reject,
}

/// A record for the documents log, and the line of its file that it was made from.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) record: Record,
    /// Counted from 1.
    pub(crate) line: u64,
}

impl Entry {
    pub(crate) fn new(kind: Kind, record: Record, line: u64) -> Self {
        Entry { kind, record, line }
    }
}

/// What the reader of a line needs of a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// The document's id.
    pub(crate) id: Cow<'a, str>,
    /// Whether the line takes the document down.
    pub(crate) deleted: bool,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    deleted: bool,
}

impl<'a> Head<'a> {
    /// The head of a document or takedown in JSON.
    ///
    /// # Errors
    /// [`DocumentError`] when the line is no UTF-8, no JSON object, nested too deeply, or has no
    /// string that is not empty as its id.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, DocumentError> {
        let fields: Fields<'a> = parse_object(line)?;
        if fields.id.is_empty() {
            return Err(DocumentError::EmptyId);
        }
        Ok(Head {
            id: fields.id,
            deleted: fields.deleted,
        })
    }
}

/// What line `number` of the file `name` becomes.
pub(crate) fn entry_of_line(line: &[u8], name: &str, number: u64) -> Entry {
    let (kind, record) = match Head::parse(line) {
        Ok(head) if head.deleted => (Kind::Takedown, keyed(head.id, None)),
        Ok(head) => (Kind::Document, keyed(head.id, Some(line.to_vec()))),
        Err(error) => {
            let place = format!("{name}:{number}");
            (Kind::Reject, reject(line, &error, place))
        }
    };
    Entry::new(kind, record, number)
}

/// The record of bytes that are no document, with the reason.
pub(crate) fn reject(value: &[u8], reason: &dyn fmt::Display, place: String) -> Record {
    Record {
        key: None,
        value: Some(value.to_vec()),
        headers: vec![
            (SOURCE_HEADER.into(), place.into_bytes()),
            (REJECT_HEADER.into(), reason.to_string().into_bytes()),
        ],
    }
}

/// The record of a document or, without a value, of its takedown.
pub(crate) fn keyed(id: Cow<'_, str>, value: Option<Vec<u8>>) -> Record {
    Record {
        key: Some(id.into_owned().into_bytes()),
        value,
        headers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &[u8]) -> String {
        Head::parse(line).unwrap_err().to_string()
    }

    #[test]
    fn a_line_becomes_a_document_with_its_bytes_unchanged() {
        let line = br#" {"metadata": {"n": 1.50}, "id": "a\u00e9", "text": "b\n"} "#;
        let Entry { kind, record, .. } = entry_of_line(line, "a.jsonl", 1);
        assert_eq!(kind, Kind::Document);
        assert_eq!(record.key, Some("a\u{e9}".into()));
        assert_eq!(record.value, Some(line.to_vec()));
        assert_eq!(record.headers, []);
    }

    #[test]
    fn a_takedown_has_a_key_and_no_value() {
        let entry = entry_of_line(br#"{"id": "a", "deleted": true}"#, "a.jsonl", 1);
        assert_eq!(
            (entry.kind, entry.record),
            (Kind::Takedown, keyed("a".into(), None))
        );
        let entry = entry_of_line(br#"{"id": "a", "deleted": false}"#, "a.jsonl", 1);
        assert_eq!(entry.kind, Kind::Document);
    }

    #[test]
    fn a_line_that_is_no_document_is_kept_as_it_is_with_its_place_and_reason() {
        let Entry { kind, record, .. } = entry_of_line(b"{\"id\": \"\xff\"}", "a.jsonl", 7);
        assert_eq!((kind, &record.key), (Kind::Reject, &None));
        assert_eq!(record.value, Some(b"{\"id\": \"\xff\"}".to_vec()));
        assert_eq!(
            record.headers,
            [
                ("riffle-source".to_string(), b"a.jsonl:7".to_vec()),
                (
                    "riffle-reject".to_string(),
                    b"invalid UTF-8 at byte 8".to_vec()
                ),
            ]
        );
    }

    #[test]
    fn the_reason_says_what_is_wrong() {
        for (line, expected) in [
            ("[1]", "a JSON object is expected"),
            (r#"["a", false]"#, "a JSON object is expected"),
            ("{", "EOF while parsing an object at line 1 column 1"),
            (r#"{"text": "b"}"#, "missing field `id` at line 1 column 13"),
            (
                r#"{"id": 5}"#,
                "invalid type: integer `5`, expected a string",
            ),
            (r#"{"id": ""}"#, "the document has an empty id"),
            (r#"{"id": "a"} x"#, "trailing characters"),
            (r#"{"id": "a", "id": "b"}"#, "duplicate field `id`"),
            (
                r#"{"id": "a", "deleted": 1}"#,
                "invalid type: integer `1`, expected a boolean",
            ),
        ] {
            let reason = reason(line.as_bytes());
            assert!(reason.contains(expected), "{line}: {reason}");
        }
    }

    #[test]
    fn deep_nesting_is_a_reject_and_no_overflow() {
        for depth in [200, 100_000] {
            for end in ["", "]"] {
                let line = format!(
                    r#"{{"id": "a", "x": {}{}}}"#,
                    "[".repeat(depth),
                    end.repeat(depth)
                );
                assert!(Head::parse(line.as_bytes()).is_err(), "{depth} {end:?}");
            }
        }
        assert!(
            reason(
                format!(
                    r#"{{"id": "a", "x": {}1{}}}"#,
                    "[".repeat(200),
                    "]".repeat(200)
                )
                .as_bytes()
            )
            .contains("recursion limit")
        );
    }

    #[test]
    fn many_brackets_side_by_side_are_no_nesting() {
        let wide = format!(
            r#"{{"id": "a", "text": "{{[{{", "x": [{}{{}}]}}"#,
            "[true, null, -1, 1, 1.5, \"s\"], ".repeat(200)
        );
        assert_eq!(Head::parse(wide.as_bytes()).unwrap().id, "a");
    }
}
