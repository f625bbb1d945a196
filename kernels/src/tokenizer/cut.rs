//! Where a text may be cut so that the tokens before the cut are those of the whole text.
//!
//! Byte-level BPE first splits text by a pattern that is matched from left to right, and merges
//! only inside the pieces. The patterns in use (GPT-2's and its descendants) end a run of letters
//! wherever the letters end, and a space or a punctuation mark only ever begins a piece that holds
//! letters. So between a letter and a following space or mark there is always an end of a piece,
//! however the text goes on; and what was matched before it did not look past it. Where every digit
//! is split off first, so is there around a digit.
//!
//! BERT's tokenizers first change letters one by one (accents off, lower case), in which nothing
//! passes a space, and then split at white space and around every mark and every Han character: so
//! a text may be cut before any of these. Property tests hold this against the whole text's tokens.

use serde_json::Value;
use tokenizers::Tokenizer;

/// How a tokenizer splits text before it merges, as far as cutting depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Splits {
    /// In a way that is not known: a text must not be cut.
    Unknown,
    /// By GPT-2's pattern.
    Words,
    /// Every digit off, then by GPT-2's pattern.
    DigitsAndWords,
    /// As BERT does: at white space, and around each mark and Han character.
    Bert,
}

impl Splits {
    /// How a tokenizer read from tokenizer.json splits.
    ///
    /// Known for a pre-tokenizer of the byte level's own pattern, with or without digits before and
    /// without a normalizer, and for BERT's own; but not with added tokens other than special ones.
    pub(super) fn of(tokenizer: &Tokenizer) -> Self {
        let added = tokenizer.get_added_tokens_decoder();
        if added.values().any(|token| !token.special) {
            return Splits::Unknown;
        }
        let normalizer = tokenizer.get_normalizer().map(serde_json::to_value);
        let is_bert = |normalizer: &Value| {
            normalizer["type"] == "BertNormalizer" && normalizer["handle_chinese_chars"] == true
        };
        let normalized = match normalizer {
            None => false,
            Some(Ok(normalizer)) if is_bert(&normalizer) => true,
            Some(_) => return Splits::Unknown,
        };
        let splitter = tokenizer.get_pre_tokenizer().map(serde_json::to_value);
        let Some(Ok(splitter)) = splitter else {
            return Splits::Unknown;
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
        let digits = |step: &Value| step["type"] == "Digits" && step["individual_digits"] == true;
        match steps.as_slice() {
            [step] if normalized && step["type"] == "BertPreTokenizer" => Splits::Bert,
            _ if normalized => Splits::Unknown,
            [pattern] if by_pattern(pattern) => Splits::Words,
            [first, pattern] if digits(first) && by_pattern(pattern) => Splits::DigitsAndWords,
            _ => Splits::Unknown,
        }
    }

    /// The first place at or after `from` bytes where the text may be cut, or its end.
    pub(super) fn place(self, text: &str, from: usize) -> usize {
        if self == Splits::Unknown || from >= text.len() {
            return text.len();
        }
        let is_boundary = |at: &usize| text.is_char_boundary(*at);
        let from = (0..=from).rev().find(is_boundary).unwrap_or(0);
        let mut before = text[..from].chars().next_back();
        for (at, after) in text[from..].char_indices() {
            if before.is_some_and(|before| self.is_end(before, after)) {
                return from + at;
            }
            before = Some(after);
        }
        text.len()
    }

    /// Whether a piece always ends between two characters.
    fn is_end(self, before: char, after: char) -> bool {
        if self == Splits::Bert {
            return matches!(after, ' ' | '\n' | '\r' | '\t' | '一'..='龥')
                || after.is_ascii_punctuation()
                || ends_letters(after);
        }
        let around_digit = before.is_numeric() || after.is_numeric();
        (is_letter(before) && ends_letters(after))
            || (self == Splits::DigitsAndWords && around_digit)
    }
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
    matches!(
        c,
        ' ' | '\n' | '.' | ',' | ';' | ':' | '!' | '?' | ')' | '"' | '-'
    ) || matches!(
        c,
        '、' | '。' | '，' | '！' | '？' | '：' | '；' | '」' | '）' | '،'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_stands_between_a_letter_and_a_space_or_mark() {
        let place = |text: &str, from| Splits::Words.place(text, from);
        assert_eq!(place("one two", 0), 3);
        assert_eq!(place("one two", 3), 3);
        assert_eq!(place("one two", 4), 7);
        assert_eq!(place("犬が走る。猫", 1), "犬が走る".len());
        assert_eq!(place("12  34 56", 0), 9);
        assert_eq!(place("", 5), 0);
    }

    #[test]
    fn a_cut_stands_around_a_digit_where_digits_stand_alone() {
        assert_eq!(Splits::DigitsAndWords.place("ab12", 1), 2);
        assert_eq!(Splits::DigitsAndWords.place("12  34", 1), 1);
        assert_eq!(Splits::Unknown.place("ab 12", 1), 5);
    }

    #[test]
    fn a_cut_stands_before_spaces_marks_and_han_for_bert() {
        let place = |text: &str, from| Splits::Bert.place(text, from);
        assert_eq!(place("one two", 1), 3);
        assert_eq!(place("42  43", 1), 2);
        assert_eq!(place("don't", 1), 3);
        assert_eq!(place("の川", 1), 3);
        assert_eq!(place("のの", 1), 6);
        // A form feed is dropped by the normalizer: the letters around it are one word.
        assert_eq!(place("a\u{c}b", 1), 3);
    }
}
