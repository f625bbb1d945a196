//! What local logs read from disk, as functions of bytes whose checksums are made to match: a disk
//! damages bytes, and so may whoever can write to it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::frame::{FrameReader, Header};
use super::index::Index;
use super::journal::entry::{Entry, State};
use super::{codec, layout};
use crate::log::{Record, Result};

/// Reads a frame: as it is, and with these bytes as the payload of a sound header.
pub fn frame(bytes: &[u8], scratch: &File) {
    let _ = read(bytes, scratch);
    let Some((sizes, stored)) = bytes.split_first_chunk::<12>() else {
        return;
    };
    let base = u64::from(u32::from_le_bytes(sizes[..4].try_into().expect("4 bytes")));
    let span = u64::from(u32::from_le_bytes(sizes[4..8].try_into().expect("4 bytes")));
    let raw_bytes = u32::from_le_bytes(sizes[8..].try_into().expect("4 bytes"));
    for raw_bytes in [raw_bytes, stored.len() as u32] {
        let header = Header::of_payload(base, base + span, raw_bytes, stored);
        let mut whole = header.encode().to_vec();
        whole.extend(stored);
        let _ = read(&whole, scratch);
    }
}

fn read(bytes: &[u8], scratch: &File) -> Result<usize> {
    scratch.set_len(0).expect("a scratch file");
    scratch.write_all_at(bytes, 0).expect("a scratch file");
    let mut reader = FrameReader::new();
    reader.read(scratch, Path::new("frame"), 0, bytes.len() as u64)?;
    let bodies = reader.records().map_while(|item| item.ok());
    Ok(bodies
        .filter_map(|(_, body)| body.decode())
        .map(|record| record.bytes())
        .sum())
}

/// Reads a journal's entry: as it is, and as the body of a sound one.
pub fn journal(bytes: &[u8]) {
    let parsed = Entry::decode(bytes);
    assert!(parsed.is_none_or(|parsed| parsed.bytes <= bytes.len()));
    let mut whole = b"RJe1".to_vec();
    whole.extend((bytes.len() as u32).to_le_bytes());
    whole.extend(crc32fast::hash(bytes).to_le_bytes());
    whole.extend(bytes);
    if let Some(parsed) = Entry::decode(&whole) {
        State::default().apply(parsed.entry);
    }
}

/// Reads an index: as it is, and with a checksum that matches.
pub fn index(bytes: &[u8]) {
    let _ = Index::decode(bytes);
    let mut whole = b"RFi1".to_vec();
    whole.extend(bytes);
    whole.extend(crc32fast::hash(&whole).to_le_bytes());
    if let Some(index) = Index::decode(&whole) {
        let _ = index.find(0);
        let _ = index.find(u64::MAX);
        assert_eq!(index.encode(), whole, "an index reads back as it was");
    }
}

/// Reads a log's layout.
pub fn layout(text: &str) {
    let _ = layout::parse(text);
}

/// A frame's payload of such records, with the twelve bytes that [`frame`] takes before it.
pub fn payload(records: &[Record]) -> Vec<u8> {
    let mut raw = Vec::new();
    for (delta, record) in (0u64..).zip(records) {
        codec::put(&mut raw, delta, record);
    }
    let mut bytes = 7u32.to_le_bytes().to_vec();
    bytes.extend((records.len() as u32).to_le_bytes());
    bytes.extend((raw.len() as u32).to_le_bytes());
    bytes.extend(raw);
    bytes
}
