//! What a file holds: a document a line, or one document as text.

use std::path::Path;

use memchr::memchr;

use super::entry::Head;

/// How files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// As their names and beginnings say: `.jsonl`, `.ndjson`, pipes and files whose first line is
    /// a document hold lines of JSON, and all others are text.
    #[default]
    Auto,
    /// A document or takedown a line, as JSON.
    Jsonl,
    /// A file is one document.
    Text,
}

/// What a file is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Lines,
    Text,
    Binary,
}

impl Format {
    /// What a file holds whose first bytes, decompressed, are `head`.
    ///
    /// Bytes of zero make a file binary, unless it is known to hold lines: there they spoil a line.
    pub(crate) fn content(self, path: &Path, is_pipe: bool, head: &[u8]) -> Content {
        let lines = match self {
            Format::Auto => is_pipe || has_lines_name(path),
            Format::Jsonl => true,
            Format::Text => false,
        };
        if lines {
            Content::Lines
        } else if memchr(0, head).is_some() {
            Content::Binary
        } else if self == Format::Auto && starts_with_document(head) {
            Content::Lines
        } else {
            Content::Text
        }
    }
}

fn has_lines_name(path: &Path) -> bool {
    let mut name = path.to_path_buf();
    if matches!(extension(&name), Some("gz" | "zst")) {
        name.set_extension("");
    }
    matches!(extension(&name), Some("jsonl" | "ndjson" | "jsonlines"))
}

fn extension(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

fn starts_with_document(head: &[u8]) -> bool {
    let head = head.trim_ascii_start();
    match memchr(b'\n', head) {
        Some(end) => Head::parse(&head[..end]).is_ok(),
        // The first document may be longer than the head.
        None => Head::parse(head).is_ok() || head.starts_with(b"{\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings_say_what_a_file_holds() {
        let auto = |name: &str, head: &[u8]| Format::Auto.content(Path::new(name), false, head);
        for name in ["a.jsonl", "a.jsonl.gz", "a.ndjson.zst"] {
            assert_eq!(auto(name, b"x\0"), Content::Lines, "{name}");
        }
        assert_eq!(auto("a.json.gz", b"\n{\"id\": \"a\"}\nx"), Content::Lines);
        assert_eq!(
            auto("a.json", b"{\"id\": \"a\", \"text\": \"cut of"),
            Content::Lines
        );
        assert_eq!(auto("a.json", b"{\n  \"id\": \"a\"\n}\n"), Content::Text);
        assert_eq!(auto("a.json", b"{\"name\": \"a\"}\n"), Content::Text);
        assert_eq!(auto("a.md", b"# Title\n"), Content::Text);
        assert_eq!(auto("a.jsonl.md", b"text"), Content::Text);
        assert_eq!(auto("a.bin", b"x\0"), Content::Binary);
    }

    #[test]
    fn a_format_that_is_given_decides() {
        let path = Path::new("a.jsonl");
        assert_eq!(Format::Text.content(path, false, b"{}"), Content::Text);
        assert_eq!(Format::Text.content(path, true, b"x\0"), Content::Binary);
        let path = Path::new("a.md");
        assert_eq!(Format::Jsonl.content(path, false, b"x"), Content::Lines);
        assert_eq!(Format::Auto.content(path, true, b"x"), Content::Lines);
    }
}
