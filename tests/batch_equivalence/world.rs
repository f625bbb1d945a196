//! A store on which processes run and crash, and what they have committed there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use riffle::cluster::{Place, free_addresses};
use riffle::config::Stage;
use riffle::curate::{
    Curate, MixtureTopics, Part, Schedule, Skills, Snapshots, curate, kept, take_part,
};
use riffle::engine::{Counters, EngineError};
use riffle::log::memory::{MemoryStore, Side};
use riffle::log::{Layout, LogError, Received, Store, partition_of};
use riffle::records::Progress;
use riffle::score::{Score, Scorer, score};
use riffle::verify::{Report, Verify, VerifyError, verify};
use tempfile::TempDir;

use crate::scenario::{
    ALL, Arrival, Crash, Crew, Damage, How, coded, record, report, sketch, skills, stages,
};

pub const DOCUMENTS: &str = "documents";
pub const SCORED: &str = "scored";
pub const CURATED: &str = "curated";
pub const STATISTICS: &str = "statistics";
pub const DEAD_LETTERS: &str = "dead-letters";
pub const LOSSES: &str = "losses";
pub const MIXTURE: &str = "mixture";
pub const LOSSES_LETTERS: &str = "losses-dead-letters";

/// One scenario: the store as it is now.
pub struct World {
    pub store: MemoryStore,
    pub partitions: u16,
    /// Whether scored records carry codes. Then the scorer is the test's own, and never crashes.
    coded: bool,
    /// On a disk that outlives the processes.
    pub snapshots_dir: PathBuf,
    _disk: TempDir,
    /// See [`Schedule`]: so small that most runs leave snapshots.
    pub snapshot_records_min: u64,
    /// Operations of the store in the last process.
    pub operations: u64,
}

impl World {
    pub fn new(partitions: u16, poll_records_max: usize, coded: bool) -> Self {
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
        let layout = Layout {
            partitions: 1,
            compacted: true,
        };
        store.create(LOSSES, layout).unwrap();
        store.set_poll_records_max(poll_records_max);
        let disk = tempfile::tempdir().unwrap();
        World {
            store,
            partitions,
            coded,
            snapshots_dir: disk.path().to_path_buf(),
            _disk: disk,
            snapshot_records_min: 1,
            operations: 0,
        }
    }

    /// The files of the snapshots, the newest first.
    pub fn snapshot_files(&self) -> Vec<PathBuf> {
        let kept = kept(&self.snapshots_dir).unwrap();
        kept.into_iter().map(|kept| kept.path).collect()
    }

    /// Does something to one of the snapshots' files that no process does.
    pub fn damage(&self, damage: &Damage) {
        let files = self.snapshot_files();
        let Some(path) = files.get(damage.newer % files.len().max(1)) else {
            return;
        };
        let mut bytes = std::fs::read(path).unwrap();
        let at = damage.at % bytes.len();
        match damage.how {
            How::Flip => bytes[at] ^= 1 << (at % 8),
            How::Cut => bytes.truncate(at),
            How::Zero => bytes[at..].fill(0),
            How::Remove => return std::fs::remove_file(path).unwrap(),
        }
        std::fs::write(path, bytes).unwrap();
    }

    pub fn arrive(&self, arrivals: &[Arrival]) {
        for arrival in arrivals {
            if let Some(report) = report(arrival) {
                self.store.produce(LOSSES, 0, vec![report]).unwrap();
                continue;
            }
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
        self.operations = self.store.operations();
        self.store = self.store.reopen();
    }

    pub fn score(&mut self, crash: Crash) {
        if self.coded {
            self.score_with_codes();
        } else {
            self.process(crash, |store| score(scoring(store)?));
        }
    }

    /// What is new in the documents log, into the same partitions of the scored log.
    fn score_with_codes(&self) {
        let layout = Layout {
            partitions: self.partitions,
            compacted: false,
        };
        self.store.create(SCORED, layout).unwrap();
        for partition in 0..self.partitions {
            let of = |log| {
                let committed = self.store.committed(log).into_iter();
                committed.filter(move |r: &Received| r.position.partition() == partition)
            };
            let usable = of(DOCUMENTS).filter_map(|r| coded(&r.record));
            let scored = usable.skip(of(SCORED).count()).collect();
            self.store.produce(SCORED, partition, scored).unwrap();
        }
    }

    pub fn curate(&mut self, crew: Crew, rules: usize, crash: Crash) {
        let workers = crew.workers;
        let snapshots = Snapshots {
            dir: self.snapshots_dir.clone(),
            schedule: Schedule {
                interval: Duration::from_secs(3600),
                records_min: self.snapshot_records_min,
            },
        };
        let curating = |store, place| {
            let curating = curating(store, workers, rules)?;
            Ok::<_, EngineError>(Curate {
                snapshots: Some(snapshots),
                place,
                ..curating
            })
        };
        if crew.processes == 1 {
            return self.process(crash, |store| curate(curating(store, None)?));
        }
        let addresses = free_addresses(crew.processes).unwrap();
        let place = |process| Place {
            process,
            addresses: addresses.clone(),
            key: String::new(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let parts = (1..crew.processes).map(|process| Part {
            stages: stages(rules),
            sketch: sketch(),
            skills: skills(rules),
            workers,
            place: place(process),
            stop: Arc::clone(&stop),
        });
        let members: Vec<_> = parts
            .map(|part| thread::spawn(|| take_part(part)))
            .collect();
        self.process(crash, |store| curate(curating(store, Some(place(0)))?));
        // Members that process 0 did not live to meet wait for the next.
        stop.store(true, Ordering::Relaxed);
        for member in members {
            match member.join().unwrap() {
                Ok(()) => {}
                Err(EngineError::Cluster(error)) if error.is_of_another() && crash.is_some() => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Compares what is published with what should be.
    pub fn verify(&self) -> Result<Report, VerifyError> {
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        // Ends the transaction of a curator that crashed: nothing behind it can be read before.
        drop(store.writer("curate-curated", &[])?);
        verify(&Verify {
            scored_store: Arc::clone(&store),
            scored: SCORED.to_owned(),
            curated_store: store,
            curated: CURATED.to_owned(),
            statistics: STATISTICS.to_owned(),
            mixture: MIXTURE.to_owned(),
            stages: Vec::new(),
            sketch: sketch(),
            skills: Skills::default(),
            workers: 1,
            stop: Arc::new(AtomicBool::new(false)),
            steps: Arc::default(),
        })
    }

    /// The corpus record of every committed epoch.
    pub fn statistics(&self) -> BTreeMap<u64, serde_json::Value> {
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

    pub fn next_epoch(&self) -> u64 {
        self.statistics()
            .keys()
            .next_back()
            .map_or(0, |epoch| epoch + 1)
    }

    /// The number of the rules that curate last committed under.
    pub fn committed_rules(&self) -> Option<usize> {
        let writer = self.store.writer("curate-curated", &[]).ok()?;
        let progress = Progress::decode(writer.position()?).unwrap();
        let rules: serde_json::Value = serde_json::from_str(&progress.rules).unwrap();
        let committed = rules.get("stages").unwrap_or(&rules);
        let committed: Vec<Stage> = serde_json::from_value(committed.clone()).unwrap();
        ALL.into_iter().find(|rules| stages(*rules) == committed)
    }

    /// The last record of each key of a log of JSON, up to an epoch; tombstones are none.
    pub fn told(&self, log: &str, epoch: u64) -> BTreeMap<String, serde_json::Value> {
        let mut told = BTreeMap::new();
        // A tombstone has no epoch: it holds until the key is told again.
        for received in self.store.committed(log) {
            let key = String::from_utf8(received.record.key.unwrap()).unwrap();
            let value = received
                .record
                .value
                .map(|value| serde_json::from_slice(&value).unwrap());
            match value {
                Some(json) if epoch_in(&json) > epoch => break,
                Some(json) => told.insert(key, json),
                None => told.remove(&key),
            };
        }
        told
    }

    /// What a stage said of itself at the end of an epoch, if it said anything then.
    pub fn statistics_of(&self, stage: usize, epoch: u64) -> Option<serde_json::Value> {
        let key = format!("stage/{stage}").into_bytes();
        let records = self.store.committed(STATISTICS).into_iter();
        let of_stage = records.filter(|r| r.record.key.as_ref() == Some(&key));
        of_stage
            .map(|r| serde_json::from_slice(&r.record.value.unwrap()).unwrap())
            .find(|json: &serde_json::Value| json["epoch"] == epoch)
    }
}

fn epoch_in(json: &serde_json::Value) -> u64 {
    json["epoch"].as_u64().unwrap()
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

fn curating(store: Arc<dyn Store>, workers: usize, rules: usize) -> Result<Curate, EngineError> {
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
    let skills = skills(rules);
    let losses = store.ends(LOSSES)?;
    let mixture = skills.mixture.is_followed().then(|| MixtureTopics {
        losses: LOSSES.to_owned(),
        until: Box::new(move || Ok(Some(losses.clone()))),
        mixture: MIXTURE.to_owned(),
        dead_letters: LOSSES_LETTERS.to_owned(),
    });
    Ok(Curate {
        scored_store: Arc::clone(&store),
        scored: SCORED.to_owned(),
        partitions,
        curated_store: store,
        curated: CURATED.to_owned(),
        statistics: STATISTICS.to_owned(),
        stages: stages(rules),
        sketch: sketch(),
        skills,
        mixture,
        snapshots: None,
        workers,
        place: None,
        epoch: Duration::ZERO,
        until: Box::new(move || Ok(Some(end.clone()))),
        stop: Arc::new(AtomicBool::new(false)),
        counters: Arc::new(Counters::default()),
    })
}
