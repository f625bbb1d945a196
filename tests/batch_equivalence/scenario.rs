//! Random streams of documents and what happens to them, and the rules that they may meet.

use std::ops::Range;

use proptest::prelude::*;
use riffle::config::{Sketch, Stage};
use riffle::log::Record;
use riffle::records::{Codes, Document, Scored, field};

/// What arrives in the documents log.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A document, or a new version of it: id, perplexity, tokens, source.
    Document(u8, u8, u16, u8),
    /// A document is taken down.
    Takedown(u8),
    /// A record that is no document.
    Unusable(u8),
}

/// What happens next.
#[derive(Clone, Debug)]
pub enum Step {
    Arrive(Vec<Arrival>),
    Score(Crash),
    Curate {
        workers: usize,
        rules: usize,
        crash: Crash,
    },
}

/// The operation of the store at which the process dies, if it does, and on which side of it.
pub type Crash = Option<(u64, bool)>;

pub fn arrival() -> impl Strategy<Value = Arrival> {
    prop_oneof![
        8 => (0..40u8, 1..12u8, 1..50u16, 0..3u8)
            .prop_map(|(id, p, n, source)| Arrival::Document(id, p, n, source)),
        2 => (0..40u8).prop_map(Arrival::Takedown),
        1 => (0..5u8).prop_map(Arrival::Unusable),
    ]
}

/// Steps under these rules, by number.
pub fn step(rules: Range<usize>) -> impl Strategy<Value = Step> {
    let crash = || prop::option::weighted(0.5, (1..60u64, any::<bool>()));
    prop_oneof![
        2 => prop::collection::vec(arrival(), 1..60).prop_map(Step::Arrive),
        2 => crash().prop_map(Step::Score),
        3 => (1..3usize, rules, crash())
            .prop_map(|(workers, rules, crash)| Step::Curate { workers, rules, crash }),
    ]
}

/// The numbers of rules without a stage by density, and of all.
pub const PLAIN: Range<usize> = 0..6;
pub const ALL: Range<usize> = 0..11;

/// The rules of this number.
pub fn stages(rules: usize) -> Vec<Stage> {
    let json = match rules {
        0 => r#"[{"by": "perplexity"}]"#,
        1 => r#"[{"by": "perplexity", "keep": "low", "rate": 0.3, "group_by": "source"}]"#,
        2 => {
            r#"[{"by": "perplexity", "keep": "high", "rate": 0.7, "mass": "tokens"},
                 {"by": "random", "rate": 0.4, "seed": 7, "group_by": "metadata.lang"}]"#
        }
        3 => r#"[{"by": "random", "rate": 0.5}]"#,
        4 => "[]",
        5 => {
            r#"[{"by": "perplexity", "rate": 0.9, "group_by": "metadata.lang"},
                 {"by": "perplexity", "rate": 0.5, "group_by": "source", "mass": "tokens"},
                 {"by": "random", "rate": 0.8, "seed": 1}]"#
        }
        6 => r#"[{"by": "perplexity", "rate": 0.8}, {"by": "density", "rate": 0.5}]"#,
        7 => r#"[{"by": "density", "rate": 0.3, "seed": 5, "epsilon": 0.25, "phases": 1}]"#,
        8 => {
            r#"[{"by": "perplexity", "keep": "low", "rate": 0.7, "group_by": "source"},
                 {"by": "density", "rate": 0.6, "over": "survivors"},
                 {"by": "random", "rate": 0.5, "seed": 2}]"#
        }
        9 => {
            r#"[{"by": "density", "rate": 1.0},
                 {"by": "perplexity", "rate": 0.6, "group_by": "metadata.lang"}]"#
        }
        10 => {
            r#"[{"by": "random", "rate": 0.7, "seed": 5},
                 {"by": "perplexity", "keep": "high", "rate": 0.8, "mass": "tokens"},
                 {"by": "density", "rate": 0.4, "seed": 5, "epsilon": 3.0, "phases": 4}]"#
        }
        _ => unreachable!("there are no such rules"),
    };
    serde_json::from_str(json).unwrap()
}

/// A sketch so small that documents that have nothing in common meet now and then.
pub fn sketch() -> Sketch {
    Sketch {
        rows: 5,
        cells: 12,
        ..Sketch::default()
    }
}

/// The arrival as a record of the documents log.
pub fn record(arrival: &Arrival) -> Record {
    let key = |id: &u8| Some(format!("document-{id}").into_bytes());
    match arrival {
        Arrival::Document(id, perplexity, tokens, source) => {
            let json = serde_json::json!({
                "id": format!("document-{id}"),
                "text": format!("text {perplexity} {tokens}"),
                "source": format!("source-{source}"),
                "metadata": {
                    "perplexity": f64::from(*perplexity) * 1.5,
                    "tokens": tokens,
                    "lang": if id % 2 == 0 { Some("en") } else { None },
                },
            });
            Record {
                key: key(id),
                value: Some(json.to_string().into_bytes()),
                headers: vec![],
            }
        }
        Arrival::Takedown(id) => Record {
            key: key(id),
            value: None,
            headers: vec![],
        },
        Arrival::Unusable(kind) => {
            let (key, value): (_, &[u8]) = match kind {
                0 => (key(&1), b"no JSON"),
                1 => (None, br#"{"id": "document-1", "text": "no key"}"#),
                2 => (key(&1), br#"{"id": "document-2", "text": "another key"}"#),
                3 => (key(&1), br#"{"id": "document-1", "text": ""}"#),
                _ => (key(&1), br#"{"id": "document-1", "text": "no score"}"#),
            };
            Record {
                key,
                value: Some(value.to_vec()),
                headers: vec![],
            }
        }
    }
}

/// The scored record of a usable document, with codes: most rows are those of its source, the others
/// its own, and change with its tokens. Stands in for a scorer with an encoder.
pub fn coded(record: &Record) -> Option<Record> {
    let Some(json) = &record.value else {
        return Some(record.clone());
    };
    let document = Document::parse(json, 1 << 20).ok()?;
    let perplexity = field(json, "metadata.perplexity")?.as_f64()?;
    let tokens = field(json, "metadata.tokens")?.as_u64()?;
    if record.key.as_deref() != Some(document.id.as_bytes()) {
        return None;
    }
    let source = field(json, "source")?;
    let codes: Vec<u16> = (0..sketch().rows)
        .map(|row| {
            let own = format!("{row} {} {tokens}", document.id);
            let own = blake3::hash(own.as_bytes()).as_bytes()[0];
            let shared = blake3::hash(format!("{row} {source}").as_bytes()).as_bytes()[0];
            u16::from(if own < 160 { shared } else { own }) % sketch().cells as u16
        })
        .collect();
    let codes = Codes::bytes_of(&codes);
    let scored = Scored {
        mean_nll_nats: perplexity.ln(),
        tokens: tokens as u32,
        truncated: false,
        scorer: "test",
        sketch: sketch().fingerprint(),
        codes: Codes::of_bytes(&codes).unwrap(),
        embedding: Vec::new(),
        quality: None,
        skill: None,
        document: json,
    };
    Some(Record {
        value: Some(scored.encode()),
        ..record.clone()
    })
}
