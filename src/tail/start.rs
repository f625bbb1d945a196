//! Where a tail begins.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::log::Offsets;

/// Where a tail begins: `beginning`, `end`, an offset, `-N` for the last N, or places such as
/// `0:12,2:7`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first record that the log still has.
    #[default]
    Beginning,
    /// After the last record.
    End,
    /// At this offset in each partition.
    Offset(u64),
    /// So many offsets before the end of each partition. Where a store keeps marks of its own, or
    /// a log has been compacted, these hold fewer records.
    Last(u64),
    /// At a place in some partitions, and in the others at the first record.
    Places(BTreeMap<u16, u64>),
}

impl Start {
    /// The offsets to begin at in a log that ends at `ends`.
    pub(super) fn offsets(&self, ends: &Offsets) -> Offsets {
        let start = |(partition, end): (u16, &u64)| match self {
            Start::Beginning => 0,
            Start::End => *end,
            Start::Offset(offset) => *offset.min(end),
            Start::Last(count) => end.saturating_sub(*count),
            Start::Places(places) => places.get(&partition).map_or(0, |offset| *offset.min(end)),
        };
        Offsets((0..).zip(&ends.0).map(start).collect())
    }
}

/// Words that name no place to begin at.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is neither beginning, end, an offset, -N for the last N, nor places such as 0:12,2:7"
)]
pub struct ParseStartError(String);

impl FromStr for Start {
    type Err = ParseStartError;

    fn from_str(word: &str) -> Result<Self, ParseStartError> {
        let number = |digits: &str| digits.parse().map_err(|_| ParseStartError(word.into()));
        match word {
            "beginning" => Ok(Start::Beginning),
            "end" => Ok(Start::End),
            _ => match word.strip_prefix('-') {
                Some(digits) => number(digits).map(Start::Last),
                None if word.contains(':') => places(word).ok_or(ParseStartError(word.into())),
                None => number(word).map(Start::Offset),
            },
        }
    }
}

fn places(word: &str) -> Option<Start> {
    let place = |part: &str| {
        let (partition, offset) = part.split_once(':')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    };
    word.split(',')
        .map(place)
        .collect::<Option<_>>()
        .map(Start::Places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_offsets() {
        let ends = Offsets(vec![0, 3, 10]);
        let from = |word: &str| word.parse::<Start>().map(|start| start.offsets(&ends).0);
        assert_eq!(from("beginning"), Ok(vec![0, 0, 0]));
        assert_eq!(from("end"), Ok(vec![0, 3, 10]));
        assert_eq!(from("4"), Ok(vec![0, 3, 4]));
        assert_eq!(from("-4"), Ok(vec![0, 0, 6]));
        assert_eq!(from("1:2"), Ok(vec![0, 2, 0]));
        assert_eq!(from("2:7,1:9"), Ok(vec![0, 3, 7]));
        for word in [
            "", "-", "--1", "last", "1.5", "-x", ":", "1:", "1:2,", "70000:1", "1:-2",
        ] {
            assert_eq!(from(word), Err(ParseStartError(word.into())));
        }
    }
}
