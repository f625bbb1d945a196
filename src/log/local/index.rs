//! A segment's index: the base and first byte of a frame every 64 KiB.
//!
//! In its file: `RFi1`, the bytes that are indexed, the entries (base, byte), and the CRC-32 of all
//! that, in little endian.

const MAGIC: &[u8; 4] = b"RFi1";
const STRIDE_BYTES: u64 = 64 << 10;
const ENTRY_BYTES: usize = 16;

/// Which frame to begin a search at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    entries: Vec<(u64, u64)>,
    bytes: u64,
}

impl Index {
    /// How much of the segment the index covers.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it covers nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Goes on over a frame of so many bytes.
    pub fn push(&mut self, base: u64, frame_bytes: u64) {
        let far = |(_, byte): &(u64, u64)| self.bytes - byte >= STRIDE_BYTES;
        if self.entries.last().is_none_or(far) {
            self.entries.push((base, self.bytes));
        }
        self.bytes += frame_bytes;
    }

    /// A frame's first byte from which on the offset's frame is found; `None` where all are above.
    pub fn find(&self, offset: u64) -> Option<u64> {
        let after = self.entries.partition_point(|(base, _)| *base <= offset);
        after.checked_sub(1).map(|at| self.entries[at].1)
    }

    /// The index as its file holds it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.bytes.to_le_bytes());
        for (base, byte) in &self.entries {
            bytes.extend(base.to_le_bytes());
            bytes.extend(byte.to_le_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// The index in these bytes, or `None` where they are damaged.
    pub fn decode(bytes: &[u8]) -> Option<Index> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let rest = body.strip_prefix(MAGIC)?;
        let (bytes, rest) = rest.split_first_chunk::<8>()?;
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        let entries = rest.chunks_exact(ENTRY_BYTES);
        if !entries.remainder().is_empty() {
            return None;
        }
        let entries = entries
            .map(|entry| (number(&entry[..8]), number(&entry[8..])))
            .collect();
        Some(Index {
            entries,
            bytes: u64::from_le_bytes(*bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        (0..100).for_each(|frame| index.push(frame * 10, 10_000));
        index
    }

    #[test]
    fn a_search_begins_at_most_a_stride_before_the_frame() {
        let index = index();
        for frame in 0..100u64 {
            let byte = index.find(frame * 10 + 9).unwrap();
            assert!(byte <= frame * 10_000 && frame * 10_000 < byte + STRIDE_BYTES + 10_000);
        }
        assert_eq!(Index::default().find(0), None);
    }

    #[test]
    fn version_1_indexes_read_back_and_damage_is_noticed() {
        let mut short = Index::default();
        short.push(7, 5);
        let mut expected = b"RFi1\x05\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        expected.extend(crc32fast::hash(&expected).to_le_bytes());
        assert_eq!(short.encode(), expected);
        let whole = index().encode();
        assert_eq!(Index::decode(&whole), Some(index()));
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert_eq!(Index::decode(&flipped), None, "flipped at {at}");
            assert_eq!(Index::decode(&whole[..at]), None, "cut at {at}");
        }
    }
}
