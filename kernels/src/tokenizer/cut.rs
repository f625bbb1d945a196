//! Where a text may be cut so that the tokens before the cut are those of the whole text.
//!
//! Byte-level BPE first splits text by a pattern that is matched from left to right, and merges
//! only inside the pieces. The patterns in use (GPT-2's and its descendants) end a run of letters
//! wherever the letters end, and a space or a punctuation mark only ever begins a piece that holds
//! letters. So between a letter and a following space or mark there is always an end of a piece,
//! however the text goes on; and what was matched before it did not look past it. A property test
//! holds this against the whole text's tokens.

use serde_json::Value;
use tokenizers::Tokenizer;

/// The first place at or after `from` bytes where the text may be cut, or its end.
pub(super) fn place(text: &str, from: usize) -> usize {
    if from >= text.len() {
        return text.len();
    }
    let from = text.floor_char_boundary(from);
    let mut before = text[..from].chars().next_back();
    for (at, after) in text[from..].char_indices() {
        if before.is_some_and(is_letter) && ends_letters(after) {
            return from + at;
        }
        before = Some(after);
    }
    text.len()
}

/// Whether a tokenizer read from tokenizer.json splits text in a way that [`place`] relies on.
///
/// True for a pre-tokenizer that ends in the byte level and splits by its own pattern, digits or
/// a known regular expression, without a normalizer and without added tokens other than special
/// ones. Anything else may tokenize across words, and then the whole text is read.
pub(super) fn applies_to(tokenizer: &Tokenizer) -> bool {
    let added = tokenizer.get_added_tokens_decoder();
    if tokenizer.get_normalizer().is_some() || added.values().any(|token| !token.special) {
        return false;
    }
    let Some(splitter) = tokenizer.get_pre_tokenizer() else {
        return false;
    };
    let Ok(splitter) = serde_json::to_value(splitter) else {
        return false;
    };
    let steps = match splitter["pretokenizers"].as_array() {
        Some(steps) => steps.clone(),
        None => vec![splitter],
    };
    let by_pattern = |step: &Value| {
        step["type"] == "ByteLevel"
            && step["use_regex"] == true
            && step["add_prefix_space"] == false
    };
    let digits = |step: &Value| step["type"] == "Digits";
    steps.iter().any(by_pattern) && steps.iter().all(|step| by_pattern(step) || digits(step))
}

/// Letters of Unicode's category L by anyone's tables: common scripts without combining marks.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic()
        || matches!(c,
            'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ʯ'   // Latin
            | 'Α'..='Ρ' | 'Σ'..='ώ'             // Greek
            | 'А'..='ё'                         // Cyrillic
            | 'א'..='ת' | 'ء'..='غ' | 'ف'..='ي' // Hebrew, Arabic
            | 'ぁ'..='ゖ' | 'ァ'..='ヺ'           // kana
            | '一'..='龥' | '가'..='힣'           // Han, Hangul
        )
}

/// Spaces and marks that are in no category L, M or N.
fn ends_letters(c: char) -> bool {
    c == ' '
        || c == '\n'
        || matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | ')' | '"' | '-')
        || matches!(
            c,
            '、' | '。' | '，' | '！' | '？' | '：' | '；' | '」' | '）' | '،'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_stands_between_a_letter_and_a_space_or_mark() {
        assert_eq!(place("one two", 0), 3);
        assert_eq!(place("one two", 3), 3);
        assert_eq!(place("one two", 4), 7);
        assert_eq!(place("犬が走る。猫", 1), "犬が走る".len());
        assert_eq!(place("12  34 56", 0), 9);
        assert_eq!(place("", 5), 0);
    }
}
