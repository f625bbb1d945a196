//! Records as JSON, one object a line, with names that do not change.
//!
//! But for documents, which come as they are, each says where it stands in its log: `position`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use super::{Kind, Undecoded};
use crate::feed::{Head, REJECT_HEADER};
use crate::log::{Position, Received, Record};
use crate::records::{CUT_FROM, Scored};

/// Writes the record as one line, without its end.
pub(super) fn write(kind: Kind, received: &Received, line: &mut Vec<u8>) -> Result<(), Undecoded> {
    let record = &received.record;
    match kind {
        Kind::Documents => write_document(record, None, line),
        Kind::Curated => write_curated(received, line),
        Kind::Scored => write_scored(received, line),
        Kind::Statistics | Kind::Mixture | Kind::Losses => write_statistics(received, line),
        Kind::DeadLetters | Kind::LossesDeadLetters => {
            Ok(serde_json::to_writer(line, &DeadLetter::new(received))?)
        }
    }
}

#[derive(Serialize)]
struct Takedown<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    deleted: bool,
}

fn write_document(
    record: &Record,
    position: Option<Position>,
    line: &mut Vec<u8>,
) -> Result<(), Undecoded> {
    let Some(value) = &record.value else {
        let takedown = Takedown {
            id: key(record)?,
            position: position.map(|it| it.to_string()),
            deleted: true,
        };
        return Ok(serde_json::to_writer(line, &takedown)?);
    };
    if let Some(reason) = header(record, REJECT_HEADER) {
        return Err(Undecoded::Rejected(reason));
    }
    Head::parse(value)?;
    one_line(value, line);
    Ok(())
}

/// A curated document has its position in the object `riffle`, which ends it.
fn write_curated(received: &Received, line: &mut Vec<u8>) -> Result<(), Undecoded> {
    let position = received.position;
    write_document(&received.record, Some(position), line)?;
    if received.record.value.is_some() && line.ends_with(b"}}") {
        line.pop();
        end_with(position, line);
        line.push(b'}');
    }
    Ok(())
}

/// Adds the position as the last member of the JSON object that `line` ends with.
fn end_with(position: Position, line: &mut Vec<u8>) {
    while line.last().is_some_and(u8::is_ascii_whitespace) {
        line.pop();
    }
    if line.pop_if(|byte| *byte == b'}').is_some() {
        let separator = if line.trim_ascii_end().ends_with(b"{") {
            ""
        } else {
            ","
        };
        line.extend(format!("{separator}\"position\":\"{position}\"}}").bytes());
    }
}

/// JSON has line ends between its parts only, never within strings: blanks do as well.
fn one_line(json: &[u8], line: &mut Vec<u8>) {
    let blank = |byte: &u8| match byte {
        b'\n' | b'\r' => b' ',
        byte => *byte,
    };
    line.extend(json.iter().map(blank));
}

#[derive(Serialize)]
struct ScoredLine<'a> {
    id: &'a str,
    position: String,
    tokens: u32,
    nll_nats: f64,
    mean_nll_nats: f64,
    perplexity: f64,
    truncated: bool,
    scorer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skill: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    codes: Vec<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    embedding: Vec<f32>,
}

fn write_scored(received: &Received, line: &mut Vec<u8>) -> Result<(), Undecoded> {
    let id = key(&received.record)?;
    let position = received.position.to_string();
    let Some(value) = &received.record.value else {
        let takedown = Takedown {
            id,
            position: Some(position),
            deleted: true,
        };
        return Ok(serde_json::to_writer(line, &takedown)?);
    };
    let scored = Scored::decode(value)?;
    let object = ScoredLine {
        id,
        position,
        tokens: scored.tokens,
        nll_nats: scored.nll_nats(),
        mean_nll_nats: scored.mean_nll_nats,
        perplexity: scored.perplexity(),
        truncated: scored.truncated,
        scorer: scored.scorer,
        quality: scored.quality,
        skill: scored.skill,
        codes: scored.codes.iter().collect(),
        embedding: scored.embedding,
    };
    Ok(serde_json::to_writer(line, &object)?)
}

fn write_statistics(received: &Received, line: &mut Vec<u8>) -> Result<(), Undecoded> {
    let value = received.record.value.as_deref().ok_or(Undecoded::NoValue)?;
    serde_json::from_slice::<&serde_json::value::RawValue>(value)?;
    one_line(value, line);
    end_with(received.position, line);
    Ok(())
}

/// A dead letter; its key and value are base64 where they are no UTF-8.
#[derive(Serialize)]
struct DeadLetter<'a> {
    reason: Option<String>,
    /// Where the letter itself stands; topic, partition and offset say where it was read.
    position: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    topic: Option<String>,
    partition: Option<u64>,
    offset: Option<u64>,
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    /// The value's size, where only its beginning is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_from: Option<u64>,
}

impl<'a> DeadLetter<'a> {
    fn new(received: &'a Received) -> Self {
        let record = &received.record;
        let text = |name| header(record, name);
        let number = |name| text(name).and_then(|number| number.parse().ok());
        let (key, key_base64) = text_or_base64(record.key.as_deref());
        let (value, value_base64) = text_or_base64(record.value.as_deref());
        DeadLetter {
            reason: text("reason"),
            position: received.position.to_string(),
            source: text("source"),
            topic: text("topic"),
            partition: number("partition"),
            offset: number("offset"),
            key,
            key_base64,
            value,
            value_base64,
            cut_from: number(CUT_FROM),
        }
    }
}

fn text_or_base64(bytes: Option<&[u8]>) -> (Option<&str>, Option<String>) {
    let Some(bytes) = bytes else {
        return (None, None);
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(BASE64_STANDARD.encode(bytes))),
    }
}

/// The record's key as text.
pub(super) fn key(record: &Record) -> Result<&str, Undecoded> {
    let key = record.key.as_deref().ok_or(Undecoded::Key)?;
    std::str::from_utf8(key).map_err(|_| Undecoded::Key)
}

/// The value of the record's first header of this name.
pub(super) fn header(record: &Record, name: &str) -> Option<String> {
    let (_, value) = record.headers.iter().find(|(header, _)| header == name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Position;
    use crate::records::Codes;

    fn written(kind: Kind, record: Record) -> Result<String, String> {
        let position = Position::new(2, 7);
        let mut line = Vec::new();
        write(kind, &Received { position, record }, &mut line)
            .map(|()| String::from_utf8(line).unwrap())
            .map_err(|error| error.to_string())
    }

    fn record(key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
        Record {
            key: key.map(Vec::from),
            value: value.map(Vec::from),
            headers: Vec::new(),
        }
    }

    #[test]
    fn documents_come_as_they_are_on_one_line() {
        let value = b"{\"n\": 1.50,\r\n \"id\": \"a\", \"text\": \"b\\n\"}";
        assert_eq!(
            written(Kind::Documents, record(Some(b"a"), Some(value))).unwrap(),
            r#"{"n": 1.50,   "id": "a", "text": "b\n"}"#
        );
        assert_eq!(
            written(Kind::Documents, record(Some(b"a\""), None)).unwrap(),
            r#"{"id":"a\"","deleted":true}"#
        );
    }

    #[test]
    fn curated_documents_and_takedowns_say_where_they_stand() {
        let value = b"{\"id\": \"a\",\n \"text\": \"}}\",\"riffle\":{\"epoch\":1}}";
        assert_eq!(
            written(Kind::Curated, record(Some(b"a"), Some(value))).unwrap(),
            r#"{"id": "a",  "text": "}}","riffle":{"epoch":1,"position":"2:7"}}"#
        );
        assert_eq!(
            written(Kind::Curated, record(Some(b"a\""), None)).unwrap(),
            r#"{"id":"a\"","position":"2:7","deleted":true}"#
        );
    }

    #[test]
    fn what_is_no_document_is_an_error_with_the_reason() {
        let no_document = written(Kind::Documents, record(Some(b"a"), Some(b"[]")));
        assert!(
            no_document
                .unwrap_err()
                .contains("a JSON object is expected")
        );
        assert!(written(Kind::Documents, record(None, None)).is_err());
        assert!(written(Kind::Curated, record(Some(b"\xff"), None)).is_err());
        let mut rejected = record(None, Some(b"{}"));
        rejected.headers = vec![(REJECT_HEADER.into(), b"why not".to_vec())];
        let error = written(Kind::Documents, rejected).unwrap_err();
        assert!(error.ends_with("why not"), "{error}");
    }

    #[test]
    fn scored_records_have_their_golden_line() {
        let scored = Scored {
            mean_nll_nats: 2.0,
            tokens: 3,
            truncated: false,
            scorer: "model",
            sketch: 7,
            codes: Codes::of_bytes(&[1, 2]).unwrap(),
            embedding: Vec::new(),
            quality: Some(0.5),
            skill: None,
            document: br#"{"id":"a","text":"b"}"#,
        };
        assert_eq!(
            written(Kind::Scored, record(Some(b"a"), Some(&scored.encode()))).unwrap(),
            "{\"id\":\"a\",\"position\":\"2:7\",\"tokens\":3,\"nll_nats\":6.0,\
             \"mean_nll_nats\":2.0,\"perplexity\":7.38905609893065,\"truncated\":false,\
             \"scorer\":\"model\",\"quality\":0.5,\"codes\":[513]}"
        );
        assert_eq!(
            written(Kind::Scored, record(Some(b"a"), None)).unwrap(),
            r#"{"id":"a","position":"2:7","deleted":true}"#
        );
        assert!(written(Kind::Scored, record(Some(b"a"), Some(b""))).is_err());
    }

    #[test]
    fn statistics_mixtures_and_losses_come_with_their_place() {
        for kind in [Kind::Statistics, Kind::Mixture, Kind::Losses] {
            let of = |json: &[u8]| written(kind, record(None, Some(json))).unwrap();
            assert_eq!(
                of(b"{\"cut\": 1.50 } \n"),
                r#"{"cut": 1.50 ,"position":"2:7"}"#
            );
            assert_eq!(of(b"{ }"), r#"{ "position":"2:7"}"#);
            assert_eq!(of(b"[{}]"), "[{}]");
        }
        assert!(written(Kind::Statistics, record(None, Some(b"{"))).is_err());
        assert!(written(Kind::Statistics, record(None, None)).is_err());
    }

    #[test]
    fn dead_letters_have_their_golden_line() {
        let mut letter = record(Some(b"a"), Some(b"\xff\x00"));
        for (name, value) in [
            ("cut-from", "70000"),
            ("reason", "invalid UTF-8 at byte 0"),
            ("topic", "documents"),
            ("partition", "3"),
            ("offset", "41"),
            ("source", "crawl.jsonl:9"),
        ] {
            letter.headers.push((name.into(), value.into()));
        }
        assert_eq!(
            written(Kind::DeadLetters, letter).unwrap(),
            "{\"reason\":\"invalid UTF-8 at byte 0\",\"position\":\"2:7\",\"source\":\"crawl.jsonl:9\",\
             \"topic\":\"documents\",\"partition\":3,\"offset\":41,\"key\":\"a\",\
             \"value\":null,\"value_base64\":\"/wA=\",\"cut_from\":70000}"
        );
        assert_eq!(
            written(Kind::DeadLetters, record(None, Some(b"x"))).unwrap(),
            "{\"reason\":null,\"position\":\"2:7\",\"topic\":null,\"partition\":null,\"offset\":null,\
             \"key\":null,\"value\":\"x\"}"
        );
    }
}
