//! Messages as records.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};

use crate::log::{Position, Received, Record};

/// The record in a message, with its place.
pub fn received(message: &BorrowedMessage<'_>) -> Received {
    Received {
        position: position_of(message),
        record: record(message),
    }
}

/// The place of a message.
pub fn position_of(message: &BorrowedMessage<'_>) -> Position {
    Position::new(message.partition() as u16, message.offset() as u64)
}

/// The record in a message; a header without a value has an empty one.
pub fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let headers = headers.map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec()));
    Record {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.collect(),
    }
}

/// About what a message takes as a record, empty ones too.
pub fn message_bytes(message: &BorrowedMessage<'_>) -> usize {
    size_of::<Received>() + message.key_len() + message.payload_len()
}

/// Headers as librdkafka takes them; `None` where there are none.
pub fn headers(record: &Record) -> Option<OwnedHeaders> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header {
            key,
            value: Some(value),
        });
    }
    (!record.headers.is_empty()).then_some(headers)
}
