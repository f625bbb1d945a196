//! Dead letters: input that could not be used, as it came, with the reason and its place.

use crate::log::{Position, Record};

/// The header by which a feed says where in a file a record comes from.
const FED_FROM: &str = "riffle-source";

/// The header by which a dead letter says that only its beginning is kept: the value's size in bytes.
pub const CUT_FROM: &str = "cut-from";

/// The dead letter of `record`, which stood at `position` of `topic`: the same key and value, and
/// headers `reason`, `topic`, `partition`, `offset` and, where a feed said so, `source`.
pub fn dead_letter(record: Record, reason: &str, topic: &str, position: Position) -> Record {
    let source = record
        .headers
        .into_iter()
        .find(|(name, _)| name == FED_FROM);
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let mut headers = vec![
        header("reason", reason),
        header("topic", topic),
        header("partition", &position.partition().to_string()),
        header("offset", &position.offset().to_string()),
    ];
    headers.extend(source.map(|(_, value)| ("source".to_owned(), value)));
    Record { headers, ..record }
}

/// Cuts a dead letter's value to its first `bytes`, which its header [`CUT_FROM`] says.
pub fn cut(letter: &mut Record, bytes: usize) {
    if let Some(value) = letter.value.as_mut().filter(|it| it.len() > bytes) {
        let size = value.len().to_string().into_bytes();
        value.truncate(bytes);
        letter.headers.push((CUT_FROM.to_owned(), size));
    }
}
