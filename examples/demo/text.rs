//! Lines that fit a terminal of 100 columns.

use crate::state::Document;

const ID_CHARS: usize = 38;
const TEXT_CHARS: usize = 46;

/// A document as a line: mark, perplexity, id and how it begins.
pub fn row(mark: &str, id: &str, document: &Document) -> String {
    let id = shorten(id, ID_CHARS);
    let begin = beginning(&document.text, TEXT_CHARS);
    let perplexity = document.mean_nll_nats.exp();
    let row = format!("{mark:>3} {perplexity:>8.1}  {id:<ID_CHARS$}  {begin}");
    row.trim_end().to_owned() + "\n"
}

/// The first characters of a text on one line.
fn beginning(text: &str, chars: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let printable = words.join(" ");
    printable
        .chars()
        .filter(|c| !c.is_control())
        .take(chars)
        .collect()
}

/// The text with its middle left out where it is longer than `chars`.
fn shorten(text: &str, chars: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= chars {
        return text.to_owned();
    }
    let (head, tail) = (chars / 2, chars - chars / 2 - 1);
    let end = &all[all.len() - tail..];
    all[..head].iter().chain(&['…']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorten_keeps_both_ends() {
        assert_eq!(shorten("abcdefgh", 8), "abcdefgh");
        assert_eq!(shorten("abcdefghi", 8), "abcd…ghi");
    }

    #[test]
    fn beginning_is_one_line_without_controls() {
        assert_eq!(beginning("a\n\n b\u{1b}[1m c", 7), "a b[1m ");
    }
}
