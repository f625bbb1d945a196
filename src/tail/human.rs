//! Records as a line each for a person: place, id, measurements, and how the text begins.

use std::fmt::{self, Display, Write};

use serde::Deserialize;

use super::json::{header, key};
use super::{Kind, Undecoded};
use crate::feed::{Head, REJECT_HEADER};
use crate::log::{Received, Record};
use crate::records::{Document, Scored};

/// How much of a text is shown.
const EXCERPT_CHARS: usize = 80;

/// Writes the record as one line, without its end; coloured with `color`.
pub(super) fn write(
    kind: Kind,
    received: &Received,
    color: bool,
    line: &mut Vec<u8>,
) -> Result<(), Undecoded> {
    let record = &received.record;
    let rest = match kind {
        Kind::Documents => document(record, "taken down", color)?,
        Kind::Curated => document(record, "withdrawn", color)?,
        Kind::Scored => scored(record, color)?,
        Kind::Statistics | Kind::Mixture | Kind::Losses => {
            let value = record.value.as_deref().ok_or(Undecoded::NoValue)?;
            escaped(&String::from_utf8_lossy(value), usize::MAX)
        }
        Kind::DeadLetters | Kind::LossesDeadLetters => dead_letter(record, color),
    };
    let position = paint(received.position, DIM, color);
    line.extend(format!("{position} {rest}").into_bytes());
    Ok(())
}

/// What the engine added to a curated document.
#[derive(Deserialize)]
struct Measured {
    perplexity: Option<f64>,
    tokens: Option<u64>,
}

fn document(record: &Record, taken_down: &str, color: bool) -> Result<String, Undecoded> {
    let Some(value) = &record.value else {
        return Ok(removed(key(record)?, taken_down, color));
    };
    if let Some(reason) = header(record, REJECT_HEADER) {
        return Err(Undecoded::Rejected(reason));
    }
    let id = Head::parse(value)?.id;
    let mut line = paint(escaped(&id, usize::MAX), BOLD, color).to_string();
    // A document without a text is not for the tail to complain of.
    let Ok(document) = Document::parse(value, usize::MAX) else {
        return Ok(line);
    };
    let measured = document.riffle.map(|json| serde_json::from_str(json.get()));
    if let Some(Ok(Measured { perplexity, tokens })) = measured {
        measurements(&mut line, perplexity, tokens);
    }
    line.push(' ');
    line.push_str(&escaped(&document.text, EXCERPT_CHARS));
    Ok(line)
}

fn scored(record: &Record, color: bool) -> Result<String, Undecoded> {
    let id = key(record)?;
    let Some(value) = &record.value else {
        return Ok(removed(id, "taken down", color));
    };
    let scored = Scored::decode(value)?;
    let mut line = paint(escaped(id, usize::MAX), BOLD, color).to_string();
    measurements(
        &mut line,
        Some(scored.perplexity()),
        Some(scored.tokens.into()),
    );
    if scored.truncated {
        line.push_str(" truncated");
    }
    if let Ok(document) = Document::parse(scored.document, usize::MAX) {
        line.push(' ');
        line.push_str(&escaped(&document.text, EXCERPT_CHARS));
    }
    Ok(line)
}

fn dead_letter(record: &Record, color: bool) -> String {
    let part = |name| header(record, name).unwrap_or_else(|| "?".into());
    let source = header(record, "source")
        .unwrap_or_else(|| format!("{} {}:{}", part("topic"), part("partition"), part("offset")));
    let source = escaped(&source, usize::MAX);
    let reason = escaped(&part("reason"), usize::MAX);
    let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default());
    let mut line = paint(source, BOLD, color).to_string();
    // Without one it cannot be delivered again.
    if let Some(key) = &record.key {
        write!(
            line,
            " {}",
            escaped(&String::from_utf8_lossy(key), EXCERPT_CHARS)
        )
        .expect("writing to memory does not fail");
    }
    let (reason, value) = (paint(reason, RED, color), escaped(&value, EXCERPT_CHARS));
    format!("{line} {reason} {value}")
}

fn removed(id: &str, how: &str, color: bool) -> String {
    let id = paint(escaped(id, usize::MAX), BOLD, color);
    format!("{id} {}", paint(how, RED, color))
}

fn measurements(line: &mut String, perplexity: Option<f64>, tokens: Option<u64>) {
    if let Some(perplexity) = perplexity {
        write!(line, " perplexity {perplexity:.2}").expect("writing to memory does not fail");
    }
    if let Some(tokens) = tokens {
        write!(line, " tokens {tokens}").expect("writing to memory does not fail");
    }
}

/// The first `chars` characters of a text, with an ellipsis where there are more. Characters that
/// steer a terminal, or the direction of writing, are escaped.
fn escaped(text: &str, chars: usize) -> String {
    let mut line = String::new();
    let mut rest = text.chars();
    for c in rest.by_ref().take(chars) {
        match c {
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                line.extend(c.escape_unicode());
            }
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    if rest.next().is_some() {
        line.push('…');
    }
    line
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";

/// The text in an ANSI style, if it is to be coloured.
fn paint<T: Display>(text: T, style: &'static str, color: bool) -> Paint<T> {
    Paint { text, style, color }
}

struct Paint<T> {
    text: T,
    style: &'static str,
    color: bool,
}

impl<T: Display> Display for Paint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.color {
            true => write!(f, "\x1b[{}m{}\x1b[0m", self.style, self.text),
            false => self.text.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Position;

    fn line(kind: Kind, key: Option<&str>, value: Option<&[u8]>, color: bool) -> String {
        let received = Received {
            position: Position::new(0, 12),
            record: Record {
                key: key.map(Into::into),
                value: value.map(Into::into),
                headers: Vec::new(),
            },
        };
        let mut line = Vec::new();
        write(kind, &received, color, &mut line).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn documents_show_id_and_the_beginning_of_the_text() {
        let long = format!(r#"{{"id":"a","text":"one\ntwo {}"}}"#, "x".repeat(100));
        assert_eq!(
            line(Kind::Documents, Some("a"), Some(long.as_bytes()), false),
            format!("0:12 a one\\ntwo {}…", "x".repeat(72))
        );
        let none = line(Kind::Documents, Some("a"), Some(br#"{"id":"a"}"#), false);
        assert_eq!(none, "0:12 a");
        assert_eq!(
            line(Kind::Documents, Some("a"), None, false),
            "0:12 a taken down"
        );
    }

    #[test]
    fn curated_documents_show_what_was_measured() {
        let value = br#"{"id":"a","text":"b","riffle":{"perplexity":12.345,"tokens":7}}"#;
        assert_eq!(
            line(Kind::Curated, Some("a"), Some(value), false),
            "0:12 a perplexity 12.35 tokens 7 b"
        );
        assert_eq!(
            line(Kind::Curated, Some("a"), None, false),
            "0:12 a withdrawn"
        );
    }

    #[test]
    fn nothing_in_a_document_steers_the_terminal() {
        let value = "{\"id\":\"a\\u001b[2J\",\"text\":\"\\u001b]0;x\\u0007 \u{202e}é\\u009b\"}";
        assert_eq!(
            line(Kind::Documents, Some("a"), Some(value.as_bytes()), false),
            "0:12 a\\u{1b}[2J \\u{1b}]0;x\\u{7} \\u{202e}é\\u{9b}"
        );
    }

    #[test]
    fn colours_come_only_when_asked_for() {
        assert_eq!(
            line(Kind::Documents, Some("a"), None, true),
            "\u{1b}[2m0:12\u{1b}[0m \u{1b}[1ma\u{1b}[0m \u{1b}[31mtaken down\u{1b}[0m"
        );
    }
}
