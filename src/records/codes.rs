//! A document's codes as they lie in a scored record: two bytes each, so that a reader that does not
//! count them does not decode them either.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes of a code.
const BYTES: usize = size_of::<u16>();

/// Codes of a document, one a sketch row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codes<'a>(&'a [u8]);

impl<'a> Codes<'a> {
    /// The codes that lie in these bytes, little-endian; `None` when half a code is left over.
    pub fn of_bytes(bytes: &'a [u8]) -> Option<Self> {
        bytes.len().is_multiple_of(BYTES).then_some(Codes(bytes))
    }

    /// The bytes of codes, to be handed to [`Codes::of_bytes`].
    pub fn bytes_of(codes: &[u16]) -> Vec<u8> {
        codes.iter().flat_map(|code| code.to_le_bytes()).collect()
    }

    /// The codes by row.
    pub fn iter(self) -> impl ExactSizeIterator<Item = u16> + 'a {
        let codes = self.0.as_chunks().0.iter();
        codes.map(|code| u16::from_le_bytes(*code))
    }

    /// How many codes there are.
    pub fn len(self) -> usize {
        self.0.len() / BYTES
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Codes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Codes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        Codes::of_bytes(bytes)
            .ok_or_else(|| de::Error::invalid_length(bytes.len(), &"an even number of bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_from_their_bytes() {
        let codes = [0, 1, 255, 256, u16::MAX];
        let bytes = Codes::bytes_of(&codes);
        let read = Codes::of_bytes(&bytes).unwrap();
        assert_eq!((read.len(), read.is_empty()), (5, false));
        assert_eq!(read.iter().collect::<Vec<_>>(), codes);
        assert_eq!(Codes::of_bytes(&bytes[1..]), None);
        assert!(Codes::default().is_empty());
    }
}
