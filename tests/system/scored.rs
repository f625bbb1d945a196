//! Scored records as a test wants them, written straight into a local log.

use riffle::config::Sketch;
use riffle::log::local::{LocalOptions, LocalStore};
use riffle::log::{Layout, Record, Store};
use riffle::records::{Codes, Scored};
use serde_json::Value;

use crate::site::Site;

/// This document as it is scored, with codes of the default sketch: in each row that of its `place`,
/// so that documents of one place there share a cell.
pub fn scored(
    document: &Value,
    mean_nll_nats: f64,
    tokens: u32,
    place: impl Fn(u16) -> String,
) -> Record {
    let json = document.to_string();
    let sketch = Sketch::default();
    let code = |row: u16| {
        let hash = blake3::hash(place(row).as_bytes());
        let number = u32::from_le_bytes(*hash.as_bytes().first_chunk().unwrap());
        (number % sketch.cells) as u16
    };
    let codes = Codes::bytes_of(&(0..sketch.rows).map(code).collect::<Vec<_>>());
    let scored = Scored {
        mean_nll_nats,
        tokens,
        truncated: false,
        scorer: "test",
        sketch: sketch.fingerprint(),
        codes: Codes::of_bytes(&codes).unwrap(),
        embedding: Vec::new(),
        quality: None,
        skill: None,
        document: json.as_bytes(),
    };
    Record {
        value: Some(scored.encode()),
        ..takedown(document["id"].as_str().unwrap())
    }
}

/// What takes a document down.
pub fn takedown(id: &str) -> Record {
    Record {
        key: Some(id.into()),
        value: None,
        headers: Vec::new(),
    }
}

/// Appends to partitions of the scored log, which has so many, in one commit.
pub fn append(site: &Site, partitions: u16, records: impl IntoIterator<Item = (u16, Record)>) {
    let store = LocalStore::open(&site.path("riffle-data"), LocalOptions::default()).unwrap();
    let layout = Layout {
        partitions,
        compacted: false,
    };
    store.create("scored", layout).unwrap();
    let mut writer = store.writer("test", &["scored"]).unwrap();
    for (partition, record) in records {
        writer.append("scored", partition, record).unwrap();
    }
    writer.commit(b"").unwrap();
}
