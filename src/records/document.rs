//! Documents in Dolma's form: `{id, text, source, added, created, metadata}`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::object::parse_object;

/// Why bytes are no document. `Display` is the reason given in the dead letter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DocumentError {
    /// The value is larger than the limit.
    #[error("the document has {bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// The value's size.
        bytes: usize,
        /// The largest size that is taken.
        limit: usize,
    },
    /// The value is no UTF-8.
    #[error("invalid UTF-8 at byte {byte}")]
    Utf8 {
        /// The first byte that does not fit.
        byte: usize,
    },
    /// The value is no JSON object of the form.
    #[error("invalid document: {0}")]
    Json(String),
    /// The document has no usable id.
    #[error("the document has an empty id")]
    EmptyId,
    /// There is nothing to score.
    #[error("the document has an empty text")]
    EmptyText,
    /// The record's key names another document.
    #[error("the record's key is not the document's id {id:?}")]
    KeyMismatch {
        /// The id inside the value.
        id: String,
    },
}

/// The parts of a document that every reader needs; the rest stays in the JSON it was read from.
#[derive(Debug, Deserialize)]
pub struct Document<'a> {
    /// Names the document: a later one of the same id replaces it.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The text to be scored.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// What an earlier run of an engine like this one added; it gives way to our own.
    #[serde(borrow, default, deserialize_with = "present")]
    pub riffle: Option<&'a RawValue>,
}

/// The member's value, `null` too: it must give way like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Document<'a> {
    /// The document in `value`, of at most `bytes_max` bytes.
    ///
    /// Nesting deeper than 127 levels is refused, wherever it stands, so that what parses here
    /// parses as a [`Value`] too as far as its depth goes.
    ///
    /// # Errors
    /// [`DocumentError`] when the value is too large, is no such document, is nested too deeply,
    /// or has an empty id or text.
    pub fn parse(value: &'a [u8], bytes_max: usize) -> Result<Self, DocumentError> {
        if value.len() > bytes_max {
            return Err(DocumentError::TooLarge {
                bytes: value.len(),
                limit: bytes_max,
            });
        }
        let document: Document<'a> = parse_object(value)?;
        if document.id.is_empty() {
            return Err(DocumentError::EmptyId);
        }
        if document.text.is_empty() {
            return Err(DocumentError::EmptyText);
        }
        Ok(document)
    }
}

impl Document<'_> {
    /// The JSON that the document was parsed from, `value`, without the member `riffle`. The other
    /// members keep their bytes.
    pub fn without_measures<'v>(&self, value: &'v [u8]) -> Cow<'v, [u8]> {
        let Some(measures) = self.riffle else {
            return Cow::Borrowed(value);
        };
        let start = measures.get().as_ptr().addr() - value.as_ptr().addr();
        let end = start + measures.get().len();
        let quote = |bytes: &[u8]| memchr::memrchr(b'"', bytes).expect("a member has a name");
        // However the name is escaped, there is no quotation mark within it.
        let name = quote(&value[..quote(&value[..start])]);
        let (before, after) = (
            value[..name].trim_ascii_end(),
            value[end..].trim_ascii_start(),
        );
        Cow::Owned(match before.strip_suffix(b",") {
            Some(before) => [before, after].concat(),
            None => [before, after.strip_prefix(b",").unwrap_or(after)].concat(),
        })
    }
}

/// The value at a path of a document's JSON, such as `metadata.perplexity`; `None` where there is
/// none or the JSON does not parse.
///
/// What lies beside the path is passed over without being built: of a document of 1.5 KB that is
/// most of the work.
pub fn field(document: &[u8], path: &str) -> Option<Value> {
    let mut json = serde_json::Deserializer::from_slice(document);
    let value = AtPath(path).deserialize(&mut json).ok()?;
    json.end().ok()?;
    value
}

/// Reads the value at the path, or `None` where an object lacks the next name.
struct AtPath<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for AtPath<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<Value>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AtPath<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {:?}", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Option<Value>, A::Error> {
        let (name, rest) = match self.0.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (self.0, None),
        };
        let mut found = None;
        // Of members with the same name the last one counts, as everywhere in serde_json.
        while let Some(is_next) = members.next_key_seed(Is(name))? {
            match rest {
                _ if !is_next => drop(members.next_value::<IgnoredAny>()?),
                Some(rest) => found = members.next_value_seed(AtPath(rest))?,
                None => found = Some(members.next_value()?),
            }
        }
        Ok(found)
    }
}

/// Reads a name and tells whether it is this one.
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_takes_dolma_documents_and_names_what_is_wrong_with_others() {
        let parse = |json: &'static str| Document::parse(json.as_bytes(), 100);
        let document = parse(r#"{"id": "a", "text": "b\n", "metadata": {"lang": "en"}}"#).unwrap();
        assert_eq!((&*document.id, &*document.text), ("a", "b\n"));
        assert_eq!(
            parse(r#"{"id": "", "text": "b"}"#).unwrap_err(),
            DocumentError::EmptyId
        );
        assert_eq!(
            parse(r#"{"id": "a", "text": ""}"#).unwrap_err(),
            DocumentError::EmptyText
        );
        let missing = parse(r#"{"id": "a"}"#).unwrap_err().to_string();
        assert!(missing.contains("missing field `text`"), "{missing}");
        assert_eq!(
            Document::parse(b"{\"id\": \"\xff\"}", 100).unwrap_err(),
            DocumentError::Utf8 { byte: 8 }
        );
        assert_eq!(
            Document::parse(&[b' '; 101], 100).unwrap_err(),
            DocumentError::TooLarge {
                bytes: 101,
                limit: 100
            }
        );
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let deep = format!(r#"{{"id": "a", "text": "b", "x": {}"#, "[".repeat(100_000));
        assert!(matches!(
            Document::parse(deep.as_bytes(), 1 << 20),
            Err(DocumentError::Json(_))
        ));
    }

    #[test]
    fn nesting_is_refused_at_the_depth_that_trees_refuse() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"id": "a", "text": "b", "x": {open}{close}}}"#)
        };
        for (depth, taken) in [(126, true), (127, false), (100_000, false)] {
            let json = nested(depth);
            let parsed = Document::parse(json.as_bytes(), 1 << 20);
            assert_eq!(parsed.is_ok(), taken, "{depth}");
            assert_eq!(field(json.as_bytes(), "x").is_some(), taken, "{depth}");
        }
    }

    #[test]
    fn an_array_of_the_fields_is_no_document() {
        let error = Document::parse(br#"["a", "b", null]"#, 100).unwrap_err();
        assert!(
            error.to_string().contains("a JSON object is expected"),
            "{error}"
        );
    }

    #[test]
    fn earlier_measures_give_way_and_nothing_else_does() {
        for (json, expected) in [
            (
                r#"{"id": "a", "riffle": {"epoch": 1}, "text": "b" }"#,
                r#"{"id": "a", "text": "b" }"#,
            ),
            (
                r#"{"riffle":null , "id":"a","text":"b"}"#,
                r#"{ "id":"a","text":"b"}"#,
            ),
            // What a tree could not hold stays as it came.
            (
                r#"{"id":"a","text":"b","n":1e999,"s":"\ud800","r\u0069ffle" : "\"" }"#,
                r#"{"id":"a","text":"b","n":1e999,"s":"\ud800"}"#,
            ),
            (r#"{"id":"a","text":"b"}"#, r#"{"id":"a","text":"b"}"#),
        ] {
            let document = Document::parse(json.as_bytes(), 100).unwrap();
            let rest = document.without_measures(json.as_bytes());
            assert_eq!(String::from_utf8(rest.into_owned()).unwrap(), expected);
        }
    }

    #[test]
    fn field_follows_a_path() {
        let json = br#"{"metadata": {"perplexity": 304.6}}"#;
        assert_eq!(field(json, "metadata.perplexity"), Some(Value::from(304.6)));
        assert_eq!(field(json, "metadata.missing"), None);
        assert_eq!(field(json, "metadata.perplexity.deeper"), None);
        assert_eq!(
            field(json, "metadata"),
            serde_json::from_str(r#"{"perplexity": 304.6}"#).ok()
        );
        assert_eq!(
            field(br#"{"a.b": 1, "\u0061": [2], "a": "last"}"#, "a"),
            Some("last".into())
        );
        assert_eq!(field(br#"{"a": 1} {"#, "a"), None);
    }

    /// What lies beside the path may be anything that is JSON.
    #[test]
    fn field_is_found_beside_numbers_and_nesting_that_no_value_can_hold() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let json = format!(r#"{{"deep": {deep}, "huge": 1e999, "source": "web"}}"#);
        assert_eq!(field(json.as_bytes(), "source"), Some("web".into()));
    }
}
