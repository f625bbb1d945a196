//! Scored records with the codes that an encoder and hashes would give an invented corpus.

use riffle::config::Sketch;
use riffle::log::{Layout, Record, Store};
use riffle::records::{Codes, Scored};

use crate::corpus::documents;

/// Records of a commit: as few as keep what is uncommitted small.
const COMMIT_EVERY: usize = 20_000;
/// Topics, as frequent as one over their rank.
const TOPICS: f64 = 20_000.0;

/// Writes the corpus of so many documents as a scored log with codes of this sketch.
pub fn write(store: &dyn Store, log: &str, sketch: &Sketch, count: usize) {
    let layout = Layout {
        partitions: 1,
        compacted: false,
    };
    store.create(log, layout).unwrap();
    let mut writer = store.writer("codes", &[log]).unwrap();
    let fingerprint = sketch.fingerprint();
    for (number, document) in documents(count).enumerate() {
        let codes = codes(sketch, number as u64);
        let scored = Scored {
            mean_nll_nats: document.perplexity.ln(),
            tokens: 300,
            truncated: false,
            scorer: "invented",
            sketch: fingerprint,
            codes: Codes::of_bytes(&codes).unwrap(),
            embedding: Vec::new(),
            quality: None,
            skill: None,
            document: &document.json,
        };
        let record = Record {
            key: Some(document.id.into_bytes()),
            value: Some(scored.encode()),
            headers: Vec::new(),
        };
        writer.append(log, 0, record).unwrap();
        if number % COMMIT_EVERY == COMMIT_EVERY - 1 {
            writer.commit(b"").unwrap();
        }
    }
    writer.commit(b"").unwrap();
}

/// A share of the rows is in the cells of the document's topic, and the others in its own; one in 50
/// nearly copies one of a thousand documents.
fn codes(sketch: &Sketch, number: u64) -> Vec<u8> {
    let own = mix(number, 1);
    let base = match own % 50 {
        0 => mix(own / 50 % 1000, 2),
        _ => own,
    };
    let uniform = (mix(base, 3) >> 11) as f64 / (1u64 << 53) as f64;
    let topic = TOPICS.powf(uniform) as u64;
    let code = |row: u16| {
        let row = u64::from(row);
        let copied = mix(own, row) % 100 < 95;
        let random = mix(if copied { base } else { own }, row + 1000);
        let of_topic = mix(topic, row + 2000);
        let share = 19_661 + (of_topic & 0xffff) / 5;
        let cell = match random & 0xffff < share {
            true => of_topic,
            false => random,
        };
        (((cell >> 32) * u64::from(sketch.cells)) >> 32) as u16
    };
    Codes::bytes_of(&(0..sketch.rows).map(code).collect::<Vec<_>>())
}

fn mix(a: u64, b: u64) -> u64 {
    let x = (a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let x = (x ^ (x >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ (x >> 32)
}
