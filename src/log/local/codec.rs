//! Records as bytes: what the payload of a frame is made of.
//!
//! A record is its own length, its offset's distance from the frame's base, then key, value and
//! headers; all numbers are LEB128. The length comes first so that a fetch of one record steps
//! over the others without looking into them.

use crate::log::Record;

/// Appends a record, `delta` offsets after the frame's base.
pub fn put(buffer: &mut Vec<u8>, delta: u64, record: &Record) {
    let length = number_bytes(delta)
        + optional_bytes(&record.key)
        + optional_bytes(&record.value)
        + number_bytes(record.headers.len() as u64)
        + record
            .headers
            .iter()
            .map(|(n, v)| slice_bytes(n.as_bytes()) + slice_bytes(v))
            .sum::<usize>();
    put_number(buffer, length as u64);
    put_number(buffer, delta);
    put_optional(buffer, &record.key);
    put_optional(buffer, &record.value);
    put_number(buffer, record.headers.len() as u64);
    for (name, value) in &record.headers {
        put_slice(buffer, name.as_bytes());
        put_slice(buffer, value);
    }
}

/// The encoded records of a payload, one after the other; ends early with `None` in place of a
/// record where the bytes make no sense.
pub struct Encoded<'a>(pub &'a [u8]);

impl<'a> Iterator for Encoded<'a> {
    type Item = Option<(u64, Body<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let item = self.take();
        if item.is_none() {
            self.0 = &[];
        }
        Some(item)
    }
}

impl<'a> Encoded<'a> {
    fn take(&mut self) -> Option<(u64, Body<'a>)> {
        let mut body = take_slice(&mut self.0)?;
        let delta = take_number(&mut body)?;
        Some((delta, Body(body)))
    }
}

/// A record's bytes behind its length and delta.
pub struct Body<'a>(&'a [u8]);

impl Body<'_> {
    /// The record, or `None` where the bytes make no sense.
    pub fn decode(mut self) -> Option<Record> {
        let rest = &mut self.0;
        let key = take_optional(rest)?.map(<[u8]>::to_vec);
        let value = take_optional(rest)?.map(<[u8]>::to_vec);
        let count = take_number(rest)?;
        // A header takes two bytes at least: damaged counts must not allocate.
        if count > rest.len() as u64 / 2 {
            return None;
        }
        let mut headers = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let name = String::from_utf8(take_slice(rest)?.to_vec()).ok()?;
            headers.push((name, take_slice(rest)?.to_vec()));
        }
        rest.is_empty().then_some(Record {
            key,
            value,
            headers,
        })
    }
}

fn number_bytes(number: u64) -> usize {
    (64 - (number | 1).leading_zeros()).div_ceil(7) as usize
}

fn slice_bytes(slice: &[u8]) -> usize {
    number_bytes(slice.len() as u64) + slice.len()
}

fn optional_bytes(bytes: &Option<Vec<u8>>) -> usize {
    bytes
        .as_ref()
        .map_or(1, |b| number_bytes(b.len() as u64 + 1) + b.len())
}

fn put_number(buffer: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        buffer.push(number as u8 | 0x80);
        number >>= 7;
    }
    buffer.push(number as u8);
}

fn put_slice(buffer: &mut Vec<u8>, slice: &[u8]) {
    put_number(buffer, slice.len() as u64);
    buffer.extend_from_slice(slice);
}

/// Length plus one, so that 0 tells an absent value from an empty one.
fn put_optional(buffer: &mut Vec<u8>, bytes: &Option<Vec<u8>>) {
    put_number(buffer, bytes.as_ref().map_or(0, |b| b.len() as u64 + 1));
    buffer.extend_from_slice(bytes.as_deref().unwrap_or_default());
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_bytes<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (bytes, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    Some(bytes)
}

fn take_slice<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_number(rest)?;
    take_bytes(rest, length)
}

fn take_optional<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match take_number(rest)? {
        0 => Some(None),
        length => take_bytes(rest, length - 1).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
        let headers = proptest::collection::vec((".{0,9}", bytes()), 0..4);
        (
            proptest::option::of(bytes()),
            proptest::option::of(bytes()),
            headers,
        )
            .prop_map(|(key, value, headers)| Record {
                key,
                value,
                headers,
            })
    }

    proptest! {
        #[test]
        fn records_decode_to_what_was_encoded(records in proptest::collection::vec((any::<u64>(), record()), 0..9)) {
            let mut buffer = Vec::new();
            for (delta, record) in &records {
                put(&mut buffer, *delta, record);
            }
            let decoded: Vec<_> = Encoded(&buffer)
                .map(|item| item.and_then(|(delta, body)| Some((delta, body.decode()?))).unwrap())
                .collect();
            prop_assert_eq!(decoded, records);
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for (_, body) in Encoded(&bytes).flatten() {
                let _ = body.decode();
            }
        }
    }
}
