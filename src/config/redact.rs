//! Takes secrets out of a text before any of it is shown.
//!
//! By its lines and not by its syntax, since it must hold for a file that does not parse.

use std::ops::Range;

use super::kafka::{REDACTED, is_secret};

/// How our own keys begin whose names look like a secret's, slips of the pen among them.
const HARMLESS: [&str; 3] = ["tokens", "max_token", "batch_token"];

/// The text with `<redacted>` in place of secrets, and the same span in it.
///
/// Lines keep their numbers. The span is cut at the end of its first line, and where that line's end
/// was redacted, at what is left of it.
pub(super) fn redacted(text: &str, span: Range<usize>) -> (String, Range<usize>) {
    let mut shown = String::with_capacity(text.len());
    let mut place = 0..0;
    let mut inside: Option<&str> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let from = shown.len();
        let content = line.trim_end_matches(['\n', '\r']);
        let kept = match inside {
            Some(closer) => {
                inside = Some(closer).filter(|closer| !content.contains(closer));
                0
            }
            None => {
                let kept = harmless_bytes(content);
                inside = unclosed(&content[kept..]);
                kept
            }
        };
        shown.push_str(&content[..kept]);
        if kept < content.len() {
            shown.push_str(REDACTED);
        }
        if (start..start + line.len()).contains(&span.start) {
            let within = |byte: usize| byte.saturating_sub(start).min(kept) + from;
            // A caret in front of the redacted part, where there is something to point at.
            let end = within(span.end).max(from + 1).min(shown.len());
            place = within(span.start).min(end.saturating_sub(1)).max(from)..end;
        }
        shown.push_str(&line[content.len()..]);
        start += line.len();
    }
    if span.start >= text.len() {
        place = shown.len()..shown.len();
    }
    (shown, place)
}

/// How many bytes of a line may be shown: up to the value of the first key that names a secret.
fn harmless_bytes(line: &str) -> usize {
    let is_name = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let mut start = 0;
    while let Some(begin) = line[start..].find(is_name) {
        let begin = start + begin;
        let end = line[begin..]
            .find(|c| !is_name(c))
            .map_or(line.len(), |len| begin + len);
        let after = line[end..].trim_start_matches([' ', '\t', '"', '\'']);
        let is_key =
            after.starts_with('=') || line[..begin].trim_matches(['"', '\'', ' ']).is_empty();
        if is_key && names_secret(&line[begin..end]) {
            let value = after
                .strip_prefix('=')
                .map_or(end, |value| line.len() - value.trim_start().len());
            return if line[value..].trim().is_empty() {
                line.len()
            } else {
                value
            };
        }
        start = end;
    }
    line.len()
}

fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let last = name
        .rsplit("__")
        .next()
        .and_then(|name| name.rsplit('.').next());
    is_secret(&name) && !last.is_some_and(|last| HARMLESS.iter().any(|own| last.starts_with(own)))
}

/// What closes a secret that goes on in the next line.
fn unclosed(value: &str) -> Option<&'static str> {
    let value = value.trim();
    let pairs = [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}")];
    let (open, close) = pairs
        .into_iter()
        .find(|(open, _)| value.starts_with(open))?;
    (!value[open.len()..].contains(close)).then_some(close)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        redacted(text, 0..0).0
    }

    #[test]
    fn values_of_secret_keys_are_taken_out() {
        for line in [
            "\"sasl.password\" = \"hunter2\"",
            "sasl.password=hunter2",
            "kafka.sasl.password=hunter2",
            "RIFFLE__KAFKA__SASL_PASSWORD=hunter2",
            "sasl = { username = \"me\", password = \"hunter2\" }",
            "\"sasl.password\" \"hunter2\"",
            "\"ssl.key.pem\" = \"\"\"\nhunter2=\nhunter2\n\"\"\"",
            "'sasl.password' = [\n  \"hunter2\",\n]",
            "\"ssl.key.pem\" = '''\nhunter2",
        ] {
            let shown = shown(line);
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains(REDACTED), "{shown}");
            assert_eq!(shown.lines().count(), line.lines().count());
        }
    }

    #[test]
    fn all_else_stays() {
        let text = "[score]\r\nmax_tokens = 0\ntokens = { field = \"metadata.tokens\" }\n\
                    RIFFLE__SCORE__MAX_TOKENS=1\nmass = \"tokens\"\n\"a\" = \"é\"";
        assert_eq!(shown(text), text);
    }

    #[test]
    fn spans_stay_on_their_line_and_before_what_was_taken_out() {
        let text = "\"sasl.password\" = \"hunter2\"\nrate = 7\n";
        let at = text.find('7').unwrap();
        let (shown, span) = redacted(text, at..at + 1);
        assert_eq!(&shown[span], "7");
        let at = text.find("\"hunter2").unwrap();
        let (shown, span) = redacted(text, at..at + 9);
        assert_eq!(&shown[..span.end], "\"sasl.password\" = ");
    }

    #[test]
    fn every_span_of_any_text_lies_within_it() {
        let text = "a = é\n\"x.secret\" = '''\né\n'''\r\n\n[b]\n";
        for start in (0..=text.len()).filter(|byte| text.is_char_boundary(*byte)) {
            let (shown, span) = redacted(text, start..text.len());
            assert!(
                span.start <= span.end && span.end <= shown.len(),
                "{start}: {span:?}"
            );
        }
    }
}
