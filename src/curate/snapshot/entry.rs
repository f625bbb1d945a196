//! Entries: a document as it stands in a snapshot, in a fixed number of bytes.
//!
//! | bytes    | field (little endian but for the first)                          |
//! |----------|------------------------------------------------------------------|
//! | 16       | hash of the id, big endian: bytes compare as hashes do           |
//! | 8        | position of the scored record                                    |
//! | 8        | mean negative log-likelihood, in billionths of a nat             |
//! | 4        | tokens                                                           |
//! | 4        | group                                                            |
//! | 2 a row  | codes, where a stage by density stands                           |
//!
//! Of the hash the last three bits are clear; in a spool, the last one marks a takedown.

use operators::{DocumentHash, Upsert};

use crate::curate::document::Document;
use crate::curate::facts::Facts;
use crate::curate::groups::GroupCode;
use crate::log::Position;

const FACTS_BYTES: usize = 40;
const GROUP: std::ops::Range<usize> = 36..40;
const OFFSET_BITS: u32 = 48;
/// Marks a takedown.
const TAKEDOWN: u8 = 1;

/// Bytes of an entry with this many codes.
pub fn width(rows: u16) -> usize {
    FACTS_BYTES + size_of::<u16>() * usize::from(rows)
}

/// Appends an upsert's entry of `width` bytes.
pub fn put<D: Document>(bytes: &mut Vec<u8>, upsert: &Upsert<D>, width: usize) {
    let end = bytes.len() + width;
    let [first, second] = upsert.id.halves();
    bytes.extend(first.to_be_bytes());
    let Some(document) = &upsert.record else {
        bytes.extend((second | u64::from(TAKEDOWN)).to_be_bytes());
        return bytes.resize(end, 0);
    };
    bytes.extend(second.to_be_bytes());
    let facts = document.facts();
    let place = facts.position;
    let place = u64::from(place.partition()) << OFFSET_BITS | place.offset();
    bytes.extend(place.to_le_bytes());
    bytes.extend(facts.mean_nll.to_le_bytes());
    bytes.extend(facts.tokens.to_le_bytes());
    bytes.extend(facts.group.to_le_bytes());
    for code in document.codes() {
        bytes.extend(code.to_le_bytes());
    }
    debug_assert_eq!(bytes.len(), end, "all codes of the sketch");
}

/// The hash of an entry's id, as a number in whose order entries stand.
pub fn id(entry: &[u8]) -> u128 {
    let id = u128::from_be_bytes(entry[..16].try_into().expect("16 bytes"));
    id & !u128::from(TAKEDOWN)
}

/// Whether the entry takes its document down.
pub fn is_takedown(entry: &[u8]) -> bool {
    entry[15] & TAKEDOWN != 0
}

/// The entry's group.
pub fn group(entry: &[u8]) -> GroupCode {
    GroupCode::from_le_bytes(entry[GROUP].try_into().expect("four bytes"))
}

/// Puts the entry into another group.
pub fn set_group(entry: &mut [u8], group: GroupCode) {
    entry[GROUP].copy_from_slice(&group.to_le_bytes());
}

/// Where the entry's scored record stands.
pub fn position(entry: &[u8]) -> Position {
    let place = u64_at(entry, 16);
    let offset = place & ((1 << OFFSET_BITS) - 1);
    Position::new((place >> OFFSET_BITS) as u16, offset)
}

/// The hash of an entry's id.
pub fn hash(entry: &[u8]) -> DocumentHash {
    DocumentHash::from_bytes(entry[..16].try_into().expect("16 bytes"))
}

/// The live document that an entry stands for.
pub fn upsert<D: Document>(entry: &[u8]) -> Upsert<D> {
    let facts = Facts {
        position: position(entry),
        mean_nll: u64_at(entry, 24) as i64,
        tokens: u32::from_le_bytes(entry[32..36].try_into().expect("four bytes")),
        group: group(entry),
    };
    let codes = entry[FACTS_BYTES..].as_chunks().0;
    let codes = codes.iter().map(|code| u16::from_le_bytes(*code));
    Upsert {
        id: hash(entry),
        record: Some(D::restored(facts, codes)),
    }
}

fn u64_at(entry: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(entry[at..at + 8].try_into().expect("eight bytes"))
}
