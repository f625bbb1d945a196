//! After every epoch, whatever came before it, the curated set is what a batch job would select.
//!
//! Random streams of documents run through `score` and `curate` on the log in memory: updates,
//! takedowns, unusable records, several partitions, one and two workers, epochs of any size,
//! changed rules, and crashes at any operation of the store. The oracle sorts the committed prefix.

#![allow(clippy::unwrap_used)] // a test may panic

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proptest::prelude::*;
use riffle::config::{Keep, Mass, Stage};
use riffle::curate::{Curate, curate};
use riffle::engine::{Counters, EngineError};
use riffle::log::memory::{MemoryStore, Side};
use riffle::log::{Layout, LogError, Offsets, Received, Record, Store, partition_of};
use riffle::records::{Scored, field};
use riffle::score::{Score, Scorer, score};

const DOCUMENTS: &str = "documents";
const SCORED: &str = "scored";
const CURATED: &str = "curated";
const STATISTICS: &str = "statistics";
const DEAD_LETTERS: &str = "dead-letters";

/// What arrives in the documents log.
#[derive(Clone, Debug)]
enum Arrival {
    /// A document, or a new version of it: id, perplexity, tokens, source.
    Document(u8, u8, u16, u8),
    /// A document is taken down.
    Takedown(u8),
    /// A record that is no document.
    Unusable(u8),
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Arrive(Vec<Arrival>),
    Score(Crash),
    Curate {
        workers: usize,
        rules: usize,
        crash: Crash,
    },
}

/// The operation of the store at which the process dies, if it does, and on which side of it.
type Crash = Option<(u64, bool)>;

fn arrival() -> impl Strategy<Value = Arrival> {
    prop_oneof![
        8 => (0..40u8, 1..12u8, 1..50u16, 0..3u8)
            .prop_map(|(id, p, n, source)| Arrival::Document(id, p, n, source)),
        2 => (0..40u8).prop_map(Arrival::Takedown),
        1 => (0..5u8).prop_map(Arrival::Unusable),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let crash = || prop::option::weighted(0.5, (1..60u64, any::<bool>()));
    prop_oneof![
        2 => prop::collection::vec(arrival(), 1..60).prop_map(Step::Arrive),
        2 => crash().prop_map(Step::Score),
        3 => (1..3usize, 0..6usize, crash())
            .prop_map(|(workers, rules, crash)| Step::Curate { workers, rules, crash }),
    ]
}

fn stages(rules: usize) -> Vec<Stage> {
    let json = match rules % 6 {
        0 => r#"[{"by": "perplexity"}]"#,
        1 => r#"[{"by": "perplexity", "keep": "low", "rate": 0.3, "group_by": "source"}]"#,
        2 => {
            r#"[{"by": "perplexity", "keep": "high", "rate": 0.7, "mass": "tokens"},
                 {"by": "random", "rate": 0.4, "seed": 7, "group_by": "metadata.lang"}]"#
        }
        3 => r#"[{"by": "random", "rate": 0.5}]"#,
        4 => "[]",
        _ => {
            r#"[{"by": "perplexity", "rate": 0.9, "group_by": "metadata.lang"},
                 {"by": "perplexity", "rate": 0.5, "group_by": "source", "mass": "tokens"},
                 {"by": "random", "rate": 0.8, "seed": 1}]"#
        }
    };
    serde_json::from_str(json).unwrap()
}

/// One scenario: the store as it is now, and the rules that curate last committed under.
struct World {
    store: MemoryStore,
    partitions: u16,
}

impl World {
    fn new(partitions: u16, poll_records_max: usize) -> Self {
        let store = MemoryStore::new();
        store
            .create(
                DOCUMENTS,
                Layout {
                    partitions,
                    compacted: false,
                },
            )
            .unwrap();
        store.set_poll_records_max(poll_records_max);
        World { store, partitions }
    }

    fn arrive(&self, arrivals: &[Arrival]) {
        for arrival in arrivals {
            let record = record(arrival);
            let key = record.key.as_deref().unwrap_or_default();
            let partition = partition_of(key, self.partitions);
            self.store
                .produce(DOCUMENTS, partition, vec![record])
                .unwrap();
        }
    }

    /// Runs a process on the store: it may crash, and then a new one opens it.
    fn process(
        &mut self,
        crash: Crash,
        run: impl FnOnce(Arc<dyn Store>) -> Result<(), EngineError>,
    ) {
        if let Some((operation, before)) = crash {
            self.store
                .crash_at(operation, if before { Side::Before } else { Side::After });
        }
        match run(Arc::new(self.store.clone())) {
            Ok(()) | Err(EngineError::Log(LogError::Crash)) => {}
            Err(error) => panic!("{error}"),
        }
        self.store = self.store.reopen();
    }

    fn score(&mut self, crash: Crash) {
        self.process(crash, |store| score(scoring(store)?));
    }

    fn curate(&mut self, workers: usize, rules: usize, crash: Crash) {
        self.process(crash, |store| {
            curate(curating(store, workers, stages(rules))?)
        });
    }

    /// Checks every epoch that has been committed since the last check.
    fn check(&self) {
        let Some(rules) = self.committed_rules() else {
            return;
        };
        let curated = self.store.committed(CURATED);
        let last = self.statistics().into_iter().next_back();
        let Some((epoch, statistics)) = last else {
            return;
        };
        let offsets: Offsets =
            serde_json::from_value(statistics["scored_offsets"].clone()).unwrap();
        let published = latest(curated.iter().filter(|r| epoch_of(r) <= epoch));
        let expected = batch(&self.store.committed(SCORED), &offsets, &rules);
        assert_eq!(
            published.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for (id, value) in published {
            let curated: serde_json::Value = serde_json::from_slice(&value).unwrap();
            let scored = Scored::decode(&expected[&id]).unwrap();
            let document: serde_json::Value = serde_json::from_slice(scored.document).unwrap();
            assert_eq!(curated["text"], document["text"]);
            assert_eq!(curated["riffle"]["perplexity"], scored.perplexity());
        }
        assert_eq!(statistics["curated"], expected.len());
    }

    /// Checks every epoch of the run that has just ended, all under the same rules.
    fn check_epochs(&self, from: u64, rules: usize) {
        let curated = self.store.committed(CURATED);
        let scored = self.store.committed(SCORED);
        for (epoch, statistics) in self.statistics().range(from..) {
            let offsets = serde_json::from_value(statistics["scored_offsets"].clone()).unwrap();
            let published = latest(curated.iter().filter(|r| epoch_of(r) <= *epoch));
            let expected = batch(&scored, &offsets, &stages(rules));
            let keys = |set: &BTreeMap<Vec<u8>, Vec<u8>>| set.keys().cloned().collect::<Vec<_>>();
            assert_eq!(
                keys(&published),
                keys(&expected),
                "epoch {epoch} under rules {rules}"
            );
        }
    }

    /// The corpus record of every committed epoch.
    fn statistics(&self) -> BTreeMap<u64, serde_json::Value> {
        let records = self.store.committed(STATISTICS).into_iter();
        records
            .filter(|received| received.record.key.as_deref() == Some(b"corpus"))
            .map(|received| {
                let value = received.record.value.unwrap();
                let json: serde_json::Value = serde_json::from_slice(&value).unwrap();
                (json["epoch"].as_u64().unwrap(), json)
            })
            .collect()
    }

    fn next_epoch(&self) -> u64 {
        self.statistics()
            .keys()
            .next_back()
            .map_or(0, |epoch| epoch + 1)
    }

    fn committed_rules(&self) -> Option<Vec<Stage>> {
        let writer = self.store.writer("curate-curated", &[]).ok()?;
        let progress = riffle::records::Progress::decode(writer.position()?).unwrap();
        Some(serde_json::from_str(&progress.rules).unwrap())
    }
}

fn record(arrival: &Arrival) -> Record {
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

fn scoring(store: Arc<dyn Store>) -> Result<Score, EngineError> {
    let end = store.ends(DOCUMENTS)?;
    let path = |path: &str| serde_json::from_value(serde_json::Value::from(path)).unwrap();
    Ok(Score {
        documents_store: Arc::clone(&store),
        documents: DOCUMENTS.to_owned(),
        scored_store: store,
        scored: SCORED.to_owned(),
        dead_letters: DEAD_LETTERS.to_owned(),
        scorer: Scorer::Fields(path("metadata.perplexity"), Some(path("metadata.tokens"))),
        embedder: None,
        threads: 2,
        document_bytes_max: 1 << 20,
        batch_tokens: 1000,
        epoch: Duration::ZERO,
        until: Box::new(move || Ok(Some(end.clone()))),
        stop: Arc::new(AtomicBool::new(false)),
        counters: Arc::new(Counters::default()),
    })
}

fn curating(
    store: Arc<dyn Store>,
    workers: usize,
    stages: Vec<Stage>,
) -> Result<Curate, EngineError> {
    let partitions = store.partitions(DOCUMENTS)?.unwrap();
    store.create(
        SCORED,
        Layout {
            partitions,
            compacted: false,
        },
    )?;
    // Ends the transaction of a scorer that crashed: nothing behind it can be read before.
    drop(store.writer("score-scored", &[SCORED])?);
    let end = store.ends(SCORED)?;
    Ok(Curate {
        scored_store: Arc::clone(&store),
        scored: SCORED.to_owned(),
        partitions,
        curated_store: store,
        curated: CURATED.to_owned(),
        statistics: STATISTICS.to_owned(),
        stages,
        sketch: Sketch::default(),
        workers,
        epoch: Duration::ZERO,
        until: Box::new(move || Ok(Some(end.clone()))),
        stop: Arc::new(AtomicBool::new(false)),
        counters: Arc::new(Counters::default()),
    })
}

fn epoch_of(received: &Received) -> u64 {
    let (name, value) = &received.record.headers[0];
    assert_eq!(name, "riffle-epoch");
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// The last value of each key, where it is not a tombstone.
fn latest<'a>(records: impl Iterator<Item = &'a Received>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut live = BTreeMap::new();
    for Received { record, .. } in records {
        let key = record.key.clone().unwrap();
        match &record.value {
            Some(value) => live.insert(key, value.clone()),
            None => live.remove(&key),
        };
    }
    live
}

/// A document in a group's order: its key, its id's hash, its mass, its id.
type Ranked = (i64, [u8; 16], u64, Vec<u8>);

/// What a batch job selects of the scored log before `offsets`: scored records by id.
fn batch(scored: &[Received], offsets: &Offsets, stages: &[Stage]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let before =
        |r: &&Received| r.position.offset() < offsets.0[usize::from(r.position.partition())];
    let mut kept = latest(scored.iter().filter(before));
    for stage in stages {
        let mut groups: BTreeMap<Option<String>, Vec<Ranked>> = BTreeMap::new();
        for (id, value) in &kept {
            let scored = Scored::decode(value).unwrap();
            let hash: [u8; 16] = blake3::hash(id).as_bytes()[..16].try_into().unwrap();
            let group = stage
                .group_by()
                .and_then(|path| field(scored.document, path.as_str()));
            let group = group.and_then(|value| value.as_str().map(str::to_owned));
            let mass = if stage.mass() == Mass::Tokens {
                u64::from(scored.tokens)
            } else {
                1
            };
            groups.entry(group).or_default().push((
                key(stage, &scored, hash),
                hash,
                mass,
                id.clone(),
            ));
        }
        let mut survivors = BTreeMap::new();
        for documents in groups.values_mut() {
            documents.sort();
            for id in band(stage, documents) {
                survivors.insert(id.clone(), kept[id].clone());
            }
        }
        kept = survivors;
    }
    kept
}

fn key(stage: &Stage, scored: &Scored<'_>, hash: [u8; 16]) -> i64 {
    match stage {
        Stage::Perplexity { .. } => (scored.mean_nll_nats / 1e-9).round() as i64,
        Stage::Random { seed, .. } => {
            let draw = operators::draw(*seed, 1, operators::DocumentHash::from_bytes(hash));
            (draw ^ 1 << 63) as i64
        }
    }
}

/// The documents that lie wholly inside the band: k = ⌊rate · M⌋ of the mass M.
fn band<'a>(stage: &Stage, documents: &'a [Ranked]) -> impl Iterator<Item = &'a Vec<u8>> {
    let total: u64 = documents.iter().map(|d| d.2).sum();
    let width = total * u64::from(stage.rate().ppm()) / 1_000_000;
    let start = match stage {
        Stage::Perplexity {
            keep: Keep::Medium, ..
        } => (total - width) / 2,
        Stage::Perplexity {
            keep: Keep::High, ..
        } => total - width,
        _ => 0,
    };
    let mut before = 0;
    documents.iter().filter_map(move |(_, _, mass, id)| {
        let first = before;
        before += mass;
        (first >= start && before <= start + width).then_some(id)
    })
}

/// Every usable arrival is in the scored log, in order, and every other is a dead letter.
fn check_scored(world: &World) {
    let usable = |r: &Received| {
        let Some(key) = &r.record.key else {
            return false;
        };
        let Some(value) = &r.record.value else {
            return true;
        };
        let id = field(value, "id").map(|id| id.as_str().unwrap().as_bytes().to_vec());
        id.as_ref() == Some(key) && field(value, "metadata.perplexity").is_some()
    };
    let arrived = world.store.committed(DOCUMENTS);
    let scored = world.store.committed(SCORED);
    for partition in 0..world.partitions {
        let of = |records: &[Received]| -> Vec<Received> {
            records
                .iter()
                .filter(|r| r.position.partition() == partition)
                .cloned()
                .collect()
        };
        let expected: Vec<_> = of(&arrived).into_iter().filter(|r| usable(r)).collect();
        let found = of(&scored);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.record.key, expected.record.key);
            let value = found.record.value.as_deref();
            let document = value.map(|value| Scored::decode(value).unwrap().document);
            assert_eq!(document, expected.record.value.as_deref());
        }
    }
    let letters = world.store.committed(DEAD_LETTERS);
    assert_eq!(letters.len() + scored.len(), arrived.len());
}

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("RIFFLE_TEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(150))]

    /// Crashes and restarts anywhere, rules that change: the published set is the batch result.
    #[test]
    fn model_the_published_set_is_the_batch_result_after_any_crash(
        partitions in 1..4u16,
        poll_records_max in 1..40usize,
        steps in prop::collection::vec(step(), 1..12),
    ) {
        let mut world = World::new(partitions, poll_records_max);
        for step in steps {
            match step {
                Step::Arrive(arrivals) => world.arrive(&arrivals),
                Step::Score(crash) => world.score(crash),
                Step::Curate { workers, rules, crash } => {
                    world.curate(workers, rules, crash);
                    world.check();
                }
            }
        }
        world.score(None);
        check_scored(&world);
        world.curate(1, 0, None);
        world.check();
        let anything = !world.store.committed(SCORED).is_empty();
        prop_assert_eq!(world.committed_rules(), anything.then(|| stages(0)));
    }

    /// Without crashes, every single epoch is checked.
    #[test]
    fn oracle_every_epoch_equals_the_batch_selection(
        partitions in 1..3u16,
        poll_records_max in 1..20usize,
        rules in 0..6usize,
        workers in 1..3usize,
        arrivals in prop::collection::vec(arrival(), 1..200),
    ) {
        let mut world = World::new(partitions, poll_records_max);
        for part in arrivals.chunks(70) {
            world.arrive(part);
            world.score(None);
            let from = world.next_epoch();
            world.curate(workers, rules, None);
            world.check_epochs(from, rules);
        }
    }
}
