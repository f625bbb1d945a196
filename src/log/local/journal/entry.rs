//! The journal's entries, as values and as bytes.
//!
//! An entry is `RJe1`, the length and the CRC-32 of its body (little endian), and the body in
//! bincode's standard form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The first bytes of a journal: format and version.
pub const FILE_HEADER: &[u8; 8] = b"RIFFLEJ1";
const MAGIC: &[u8; 4] = b"RJe1";
const HEADER_BYTES: usize = 12;
/// No entry is larger: what claims to be is damage.
const BODY_BYTES_MAX: usize = 256 << 20;

/// Where the committed data of a partition end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The offset after the last record.
    pub offset: u64,
    /// The base of the segment that the next record goes to.
    pub segment: u64,
    /// The byte in that segment.
    pub byte: u64,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The writer's name.
    pub writer: String,
    /// The writer's new position.
    pub position: Vec<u8>,
    /// Log, partition and new end of what it appended to.
    pub ends: Vec<(String, u16, End)>,
}

/// What all commits together come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    positions: BTreeMap<String, Vec<u8>>,
    ends: BTreeMap<String, BTreeMap<u16, End>>,
}

impl State {
    /// The position of the writer's last commit.
    pub fn position(&self, writer: &str) -> Option<&[u8]> {
        self.positions.get(writer).map(Vec::as_slice)
    }

    /// Where the partition ends; at 0 before the first commit to it.
    pub fn end(&self, log: &str, partition: u16) -> End {
        let ends = self.ends.get(log);
        ends.and_then(|ends| ends.get(&partition))
            .copied()
            .unwrap_or_default()
    }

    /// Takes an entry in.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Checkpoint(state) => *self = state,
            Entry::Commit(commit) => {
                self.positions.insert(commit.writer, commit.position);
                for (log, partition, end) in commit.ends {
                    self.ends.entry(log).or_default().insert(partition, end);
                }
            }
        }
    }
}

/// What the journal is a list of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// All that was committed before.
    Checkpoint(State),
    /// One commit more.
    Commit(Commit),
}

/// An entry and how many bytes it took.
pub struct Parsed {
    /// The entry.
    pub entry: Entry,
    /// Its length in the journal.
    pub bytes: usize,
}

impl Entry {
    /// The entry's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let body = bincode::serde::encode_to_vec(self, bincode::config::standard())
            .expect("maps, strings and numbers always encode");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend(MAGIC);
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(crc32fast::hash(&body).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    /// The entry that `bytes` begin with; `None` where there is no whole one.
    pub fn decode(bytes: &[u8]) -> Option<Parsed> {
        let header = bytes.get(..HEADER_BYTES)?;
        let number =
            |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        let length = number(4) as usize;
        if &header[..4] != MAGIC || length > BODY_BYTES_MAX {
            return None;
        }
        let body = bytes.get(HEADER_BYTES..HEADER_BYTES + length)?;
        if crc32fast::hash(body) != number(8) {
            return None;
        }
        let config = bincode::config::standard().with_limit::<BODY_BYTES_MAX>();
        let (entry, used) = bincode::serde::decode_from_slice(body, config).ok()?;
        (used == length).then_some(Parsed {
            entry,
            bytes: HEADER_BYTES + length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 1, byte by byte: journals on disks out there look like this.
    #[test]
    fn version_1_entries_keep_their_bytes() {
        let entry = Entry::Commit(Commit {
            writer: "score".into(),
            position: vec![1, 2],
            ends: vec![(
                "scored".into(),
                3,
                End {
                    offset: 300,
                    segment: 200,
                    byte: 7,
                },
            )],
        });
        let body = b"\x01\x05score\x02\x01\x02\x01\x06scored\x03\xfb\x2c\x01\xc8\x07";
        let mut expected = b"RJe1".to_vec();
        expected.extend((body.len() as u32).to_le_bytes());
        expected.extend(crc32fast::hash(body).to_le_bytes());
        expected.extend(body);
        assert_eq!(entry.encode(), expected);
        let parsed = Entry::decode(&expected).unwrap();
        assert_eq!((parsed.entry, parsed.bytes), (entry, expected.len()));
    }

    #[test]
    fn an_entry_that_is_cut_or_flipped_is_none() {
        let position = vec![9; 40];
        let commit = Commit {
            writer: "w".into(),
            position,
            ends: Vec::new(),
        };
        let whole = Entry::Commit(commit).encode();
        for at in 0..whole.len() {
            assert!(Entry::decode(&whole[..at]).is_none(), "cut at {at}");
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(Entry::decode(&flipped).is_none(), "flipped at {at}");
        }
    }
}
