//! Random streams of documents and what happens to them, and the rules that they may meet.

use std::ops::Range;
use std::sync::Arc;

use mixtures::{Graph, LiveMixture, Method, MixtureRule, Setting, SkillIt};
use proptest::prelude::*;
use riffle::config::{Sketch, Stage};
use riffle::curate::{Mixing, Skills};
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
    /// In the log of losses: a round, a skill, and its loss in tenths, or that it is taken back.
    Report(u8, u8, Option<u8>),
    /// In the log of losses: a record that is no report.
    NoReport,
}

/// What happens next.
#[derive(Clone, Debug)]
pub enum Step {
    Arrive(Vec<Arrival>),
    Score(Crash),
    Curate {
        crew: Crew,
        rules: usize,
        crash: Crash,
    },
    /// A snapshot's file breaks.
    Damage(Damage),
}

/// What happens to a snapshot's file.
#[derive(Clone, Debug)]
pub struct Damage {
    pub how: How,
    /// 0 for the newest; more than there are begin anew.
    pub newer: usize,
    /// The byte; more than there are begin anew.
    pub at: usize,
}

#[derive(Clone, Copy, Debug)]
pub enum How {
    /// A bit is another.
    Flip,
    /// The file ends before the byte.
    Cut,
    /// The bytes from there on were never written.
    Zero,
    /// There is no file.
    Remove,
}

/// What curate runs on: processes, and workers of each.
#[derive(Clone, Copy, Debug)]
pub struct Crew {
    pub processes: usize,
    pub workers: usize,
}

impl Crew {
    /// One process with so many workers.
    pub fn of(workers: usize) -> Self {
        Crew {
            processes: 1,
            workers,
        }
    }
}

/// Mostly one process, since several take some time to meet.
fn crew() -> impl Strategy<Value = Crew> {
    let processes = prop_oneof![12 => Just(1usize), 1 => 2..4usize];
    (processes, 1..3usize).prop_map(|(processes, workers)| Crew { processes, workers })
}

/// The operation of the store at which the process dies, if it does, and on which side of it.
pub type Crash = Option<(u64, bool)>;

pub fn arrival() -> impl Strategy<Value = Arrival> {
    prop_oneof![
        8 => (0..40u8, 1..12u8, 1..50u16, 0..3u8)
            .prop_map(|(id, p, n, source)| Arrival::Document(id, p, n, source)),
        2 => (0..40u8).prop_map(Arrival::Takedown),
        1 => (0..5u8).prop_map(Arrival::Unusable),
        2 => (0..4u8, 0..4u8, prop::option::weighted(0.8, 0..40u8))
            .prop_map(|(round, skill, loss)| Arrival::Report(round, skill, loss)),
        1 => Just(Arrival::NoReport),
    ]
}

/// What a trainer's arrival is in the log of losses.
pub fn report(arrival: &Arrival) -> Option<Record> {
    let record = |key: String, value: Option<Vec<u8>>| Record {
        key: Some(key.into_bytes()),
        value,
        headers: vec![],
    };
    match arrival {
        Arrival::Report(round, skill, loss) => {
            let mut report =
                serde_json::json!({"round": round, "skill": format!("source-{skill}")});
            let key = report.to_string();
            report["loss"] = loss.map(|tenths| f64::from(tenths) / 10.0).into();
            // A tombstone takes back as a loss of null does.
            let tombstone = loss.is_none() && round % 2 == 0;
            Some(record(
                key,
                (!tombstone).then(|| report.to_string().into_bytes()),
            ))
        }
        Arrival::NoReport => Some(record("none".into(), Some(b"{\"round\": 1}".to_vec()))),
        _ => None,
    }
}

/// Steps under these rules, by number.
pub fn step(rules: Range<usize>) -> impl Strategy<Value = Step> {
    let crash = || prop::option::weighted(0.5, (1..60u64, any::<bool>()));
    prop_oneof![
        2 => prop::collection::vec(arrival(), 1..60).prop_map(Step::Arrive),
        2 => crash().prop_map(Step::Score),
        3 => (crew(), rules, crash())
            .prop_map(|(crew, rules, crash)| Step::Curate { crew, rules, crash }),
        1 => damage().prop_map(Step::Damage),
    ]
}

pub fn damage() -> impl Strategy<Value = Damage> {
    let how = prop_oneof![
        3 => Just(How::Flip),
        1 => Just(How::Cut),
        1 => Just(How::Zero),
        1 => Just(How::Remove),
    ];
    (how, 0..2usize, any::<usize>()).prop_map(|(how, newer, at)| Damage { how, newer, at })
}

/// The numbers of rules without skills and a stage by density, of those with such a stage, with
/// skills, and of all.
pub const PLAIN: Range<usize> = 0..6;
pub const BY_DENSITY: Range<usize> = 6..11;
pub const BY_SKILL: Range<usize> = 11..16;
pub const ALL: Range<usize> = 0..16;

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
        11 => r#"[{"by": "skills", "rate": 0.4}]"#,
        12 => {
            r#"[{"by": "perplexity", "rate": 0.8, "group_by": "skill"}, {"by": "density", "rate": 0.8},
                 {"by": "skills", "budget": 150}]"#
        }
        13 => r#"[{"by": "stratified", "rate": 0.6, "mass": "documents", "seed": 3}]"#,
        14 => {
            r#"[{"by": "skills", "rate": 0.5, "mass": "documents", "seed": 9},
                 {"by": "random", "rate": 0.7, "group_by": "skill"}]"#
        }
        15 => {
            r#"[{"by": "stratified", "budget": 90, "group_by": "metadata.lang"},
                 {"by": "skills", "rate": 1.0}]"#
        }
        _ => unreachable!("there are no such rules"),
    };
    serde_json::from_str(json).unwrap()
}

/// What the rules of this number say of skills: a document's source is its skill.
pub fn skills(rules: usize) -> Skills {
    if !BY_SKILL.contains(&rules) {
        return Skills::default();
    }
    Skills {
        are_known: true,
        field: Some("source".to_owned()),
        mixture: Mixing::Follow {
            start: Arc::new(mixture(rules)),
            fingerprint: rules.to_string(),
        },
    }
}

/// The mixture of these rules before any report. Of three sources two are skills of the graph.
pub fn mixture(rules: usize) -> LiveMixture {
    let graph = Graph::from_csv("skill,source-0,source-1\nsource-0,1,0.5\nsource-1,0,1\n").unwrap();
    let method = match rules {
        14 => Method::Proportional,
        _ => Method::SkillIt(SkillIt {
            window: 2,
            ..SkillIt::default()
        }),
    };
    let rule = MixtureRule::new(graph, Setting::ContinualPreTraining, method, 50_000_000);
    LiveMixture::new(rule.unwrap(), "")
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
        Arrival::Report(..) | Arrival::NoReport => unreachable!("it is none of this log"),
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
