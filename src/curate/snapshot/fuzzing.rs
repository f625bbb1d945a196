//! Snapshots whose checksums are made to match, whatever they hold.

use std::path::Path;

use operators::Upsert;

use super::block::HEADER_BYTES;
use super::file::{MAGIC, Snapshot, SnapshotWriter};
use super::header::{Form, Header};
use super::{entry, restore};
use crate::curate::coded::Coded;
use crate::curate::document::Document;
use crate::curate::facts::{Facts, document_hash};
use crate::curate::groups::Groups;
use crate::log::{Offsets, Position};

/// Reads the file at `path` to its end: as it is, then mended. The documents that it has as it is.
pub fn read(path: &Path) -> Option<u64> {
    let documents = read_whole(path);
    let mut bytes = std::fs::read(path).expect("a scratch file");
    mend(&mut bytes);
    std::fs::write(path, bytes).expect("a scratch file");
    read_whole(path);
    documents
}

fn read_whole(path: &Path) -> Option<u64> {
    let snapshot = Snapshot::open(path).ok()?;
    let form = snapshot.header.reading.clone();
    let groups = Groups::new(form.fields.clone(), form.skill.as_deref());
    let mut documents = 0;
    let each = |upserts: Vec<Upsert<Coded>>| {
        documents += upserts.len() as u64;
        true
    };
    restore(&snapshot, &form, &groups, each).ok()?;
    assert_eq!(documents, snapshot.documents);
    Some(documents)
}

/// Numbers the blocks that stand behind each other, and gives them the checksums of what they hold.
fn mend(bytes: &mut [u8]) {
    let mut at = MAGIC.len();
    let mut number = 0u32;
    while at + HEADER_BYTES <= bytes.len() {
        let stored = u32::from_le_bytes(bytes[at + 12..at + 16].try_into().expect("4 bytes"));
        let payload = at + HEADER_BYTES;
        let end = payload.saturating_add(stored as usize).min(bytes.len());
        if bytes[at..].starts_with(b"LAST") && end - payload == 40 {
            let hash = blake3::hash(&bytes[..at]);
            bytes[payload + 8..end].copy_from_slice(hash.as_bytes());
        }
        bytes[at + 4..at + 8].copy_from_slice(&number.to_le_bytes());
        bytes[at + 12..at + 16].copy_from_slice(&((end - payload) as u32).to_le_bytes());
        let crc = crc32fast::hash(&bytes[payload..end]);
        bytes[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[at..at + 20]);
        bytes[at + 20..at + 24].copy_from_slice(&crc.to_le_bytes());
        (at, number) = (end, number + 1);
    }
}

/// Writes a sound snapshot of three documents to `path`.
pub fn write(path: &Path) {
    let groups = Groups::new(["source".to_owned()], None);
    let header = Header {
        log: "scored".to_owned(),
        offsets: Offsets(vec![3]),
        epoch: 1,
        reading: Form {
            fields: groups.fields().to_vec(),
            skill: None,
            sketch: Some("0123456789abcdef".to_owned()),
            rows: 2,
        },
    };
    let mut writer = SnapshotWriter::create(path, &header, &groups).expect("a scratch file");
    let mut entries: Vec<Vec<u8>> = (0..3u64)
        .map(|n| {
            let facts = Facts {
                position: Position::new(0, n),
                mean_nll: 2_000_000_000,
                tokens: 100,
                group: groups.code_of([(n > 0).then(|| format!("web {n}"))].into()),
            };
            let upsert = Upsert {
                id: document_hash(&n.to_le_bytes()),
                record: Some(Coded::restored(facts, [1u16, 2].into_iter())),
            };
            let mut bytes = Vec::new();
            entry::put(&mut bytes, &upsert, entry::width(2));
            bytes
        })
        .collect();
    entries.sort();
    for entry in &entries {
        writer.push(entry).expect("a scratch file");
    }
    writer.finish().expect("a scratch file");
}
