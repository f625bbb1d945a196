//! What is measured, each phase in a process of its own.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use riffle::config::{Config, Epsilon, FieldPath, Keep, Mass, Over, PerplexityFrom, Rate, Stage};
use riffle::curate::{Curate, Skills, curate, kept};
use riffle::engine::{Counters, Halves, RunOptions, Stores, Summary, run};
use riffle::feed::{FeedOptions, feed, progress_on_stderr};
use riffle::log::Store;
use serde::{Deserialize, Serialize};

use crate::{cluster, codes};

/// The corpus, in the folder that the phases share.
pub const INPUT: &str = "corpus.jsonl";

/// The scored log with codes.
const CODED: &str = "scored-coded";

/// How often the start of publishing is looked for.
const TICK: Duration = Duration::from_millis(1);

/// What a process does.
#[derive(Clone, Copy)]
pub enum Phase {
    Feed,
    Run,
    Score,
    Curate,
    Keep,
    Restart,
    Replay,
    ReadBack,
    CurateTwoWorkers,
    CurateTwoProcesses,
    Codes,
    Density,
    DensityTwo,
    DensityKeep,
    DensityRestart,
    DensityReplay,
    DensityTwoProcesses,
}

/// What it took.
#[derive(Deserialize, Serialize)]
pub struct Measured {
    /// Documents fed, scored or curated, or in the log that a restart is behind; for `read_back`,
    /// read back and published.
    pub documents: u64,
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub peak_bytes: u64,
    pub live: u64,
    pub admitted: u64,
    pub withdrawn: u64,
    /// The longest time between two commits; 0 where they are not watched.
    pub longest_s: f64,
    /// Bytes and documents of the newest snapshot afterwards, and how many records it lacks; 0
    /// without.
    pub snapshot_bytes: u64,
    pub snapshot_documents: u64,
    pub tail: u64,
    /// Of a second process, the processor's seconds and the peak memory.
    pub second: Option<(f64, u64)>,
}

impl Phase {
    /// The whole engine, in the order in which the phases build on each other.
    pub const ENGINE: [Phase; 10] = [
        Phase::Feed,
        Phase::Run,
        Phase::Score,
        Phase::Curate,
        Phase::Keep,
        Phase::Restart,
        Phase::Replay,
        Phase::ReadBack,
        Phase::CurateTwoWorkers,
        Phase::CurateTwoProcesses,
    ];

    /// Sampling by density, likewise; they need none of the others.
    pub const DENSITY: [Phase; 7] = [
        Phase::Codes,
        Phase::Density,
        Phase::DensityTwo,
        Phase::DensityKeep,
        Phase::DensityRestart,
        Phase::DensityReplay,
        Phase::DensityTwoProcesses,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Phase::Feed => "feed",
            Phase::Run => "run",
            Phase::Score => "score",
            Phase::Curate => "curate",
            Phase::Keep => "curate_with_snapshots",
            Phase::Restart => "restart",
            Phase::Replay => "replay",
            Phase::ReadBack => "read_back",
            Phase::CurateTwoWorkers => "curate_two_workers",
            Phase::CurateTwoProcesses => "curate_two_processes",
            Phase::Codes => "codes",
            Phase::Density => "density",
            Phase::DensityTwo => "density_two_workers",
            Phase::DensityKeep => "density_with_snapshots",
            Phase::DensityRestart => "density_restart",
            Phase::DensityReplay => "density_replay",
            Phase::DensityTwoProcesses => "density_two_processes",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ENGINE.into_iter().chain(Self::DENSITY);
        all.find(|phase| phase.name() == name)
    }

    /// Runs the phase on the logs in `dir`, once all those before it have run there, for a corpus of
    /// so many documents.
    pub fn run(self, dir: &Path, documents: usize) -> Measured {
        let config = self.config(dir);
        match self {
            Phase::Feed => feed_corpus(dir, &config),
            Phase::Run => halves(&config, Halves::Both),
            Phase::Score => halves(&config, Halves::Score),
            Phase::CurateTwoWorkers => halves(&config, Halves::Curate),
            Phase::Curate
            | Phase::Keep
            | Phase::Density
            | Phase::DensityTwo
            | Phase::DensityKeep => watched(config),
            Phase::Restart | Phase::DensityRestart => {
                let restarted = halves(&config, Halves::Curate);
                assert_eq!(restarted.admitted, 0, "nothing is published again");
                restarted
            }
            Phase::CurateTwoProcesses | Phase::DensityTwoProcesses => {
                cluster::curate(self, dir, &config)
            }
            Phase::Replay | Phase::DensityReplay => {
                let replayed = halves(&config, Halves::Curate);
                assert_eq!(replayed.admitted, 0, "nothing is published again");
                replayed
            }
            Phase::ReadBack => read_back(&config),
            Phase::Codes => write_codes(&config, documents),
        }
    }

    /// What the phase runs with.
    pub fn config(self, dir: &Path) -> Config {
        let mut config = Config::default();
        config.local.dir = dir.join("logs");
        let field = FieldPath::try_from("metadata.perplexity".to_owned()).unwrap();
        config.score.perplexity = PerplexityFrom::Field(field);
        config.curate.snapshots = false;
        if Self::DENSITY
            .iter()
            .any(|phase| phase.name() == self.name())
        {
            sample(&mut config);
        }
        // Outputs of its own, where it is measured beside another.
        let name = match self {
            Phase::Score => {
                config.scored.topic = "scored-alone".to_owned();
                return config;
            }
            Phase::Curate => "alone",
            Phase::Keep | Phase::Restart => "kept",
            Phase::DensityKeep | Phase::DensityRestart => "kept-coded",
            Phase::CurateTwoWorkers | Phase::DensityTwo => "two-workers",
            Phase::CurateTwoProcesses | Phase::DensityTwoProcesses => "two-processes",
            _ => return config,
        };
        config.curated.topic = format!("curated-{name}");
        config.curated.statistics_topic = format!("statistics-{name}");
        config.curate.snapshots = name.starts_with("kept");
        if name == "two-workers" {
            config.curate.workers = 2;
        }
        config
    }
}

fn write_codes(config: &Config, documents: usize) -> Measured {
    let store = Stores::new(config).of(config.scored.log).unwrap();
    let started = Instant::now();
    codes::write(store.as_ref(), CODED, &config.sketch, documents);
    Measured::since(started, documents as u64)
}

/// Half of the middle half by perplexity, by density.
fn sample(config: &mut Config) {
    config.scored.topic = CODED.to_owned();
    let half = Rate::from_ppm(500_000).unwrap();
    config.select.push(Stage::Density {
        rate: half,
        seed: 0,
        epsilon: Epsilon::default(),
        phases: 16,
        over: Over::Live,
    });
}

fn feed_corpus(dir: &Path, config: &Config) -> Measured {
    let store = Stores::new(config).of(config.documents.log).unwrap();
    let (stop, mut progress) = (AtomicBool::new(false), progress_on_stderr());
    let started = Instant::now();
    feed(
        store.as_ref(),
        &config.documents.topic,
        &[dir.join(INPUT)],
        &FeedOptions::default(),
        &stop,
        progress.as_mut(),
    )
    .unwrap();
    let documents = store.ends(&config.documents.topic).unwrap().0.iter().sum();
    Measured::since(started, documents)
}

fn halves(config: &Config, halves: Halves) -> Measured {
    let options = RunOptions {
        halves,
        until_end: true,
    };
    let started = Instant::now();
    let summary: Summary = run(config, options, &Arc::new(AtomicBool::new(false))).unwrap();
    let store = Stores::new(config).of(config.scored.log).unwrap();
    let documents = store.ends(&config.scored.topic).unwrap().0.iter().sum();
    Measured {
        live: summary.live,
        admitted: summary.admitted,
        withdrawn: summary.withdrawn,
        ..Measured::since(started, documents)
    }
    .with_snapshot(config)
}

/// Curates a scored log whose records are all there, with an eye on the commits.
fn watched(config: Config) -> Measured {
    let stores = Stores::new(&config);
    let store = stores.of(config.scored.log).unwrap();
    let counters = Arc::new(Counters::default());
    let curating = Curate {
        stages: config.select.clone(),
        snapshots: stores.snapshots(),
        ..curate_low(&config, Arc::clone(&store), Arc::clone(&counters))
    };
    let started = Instant::now();
    let curating = thread::spawn(move || curate(curating).unwrap());
    let (mut epoch, mut since, mut longest) = (0, started, Duration::ZERO);
    while !curating.is_finished() {
        let now = Counters::get(&counters.epoch);
        if now != epoch {
            longest = longest.max(since.elapsed());
            (epoch, since) = (now, Instant::now());
        }
        thread::sleep(TICK);
    }
    curating.join().unwrap();
    let [live, admitted, withdrawn] =
        [&counters.live, &counters.admitted, &counters.withdrawn].map(Counters::get);
    let documents = store.ends(&config.scored.topic).unwrap().0.iter().sum();
    Measured {
        live,
        admitted,
        withdrawn,
        longest_s: longest.as_secs_f64(),
        ..Measured::since(started, documents)
    }
    .with_snapshot(&config)
}

/// Where the middle half was kept, now the lower half is: a quarter leaves and a quarter enters.
fn read_back(config: &Config) -> Measured {
    let store = Stores::new(config).of(config.scored.log).unwrap();
    let counters = Arc::new(Counters::default());
    let curating = curate_low(config, store, Arc::clone(&counters));
    let curating = thread::spawn(move || curate(curating).unwrap());
    // The epoch is counted when its changes are known, right before they are read back.
    while Counters::get(&counters.epoch) == 0 && !curating.is_finished() {
        thread::sleep(TICK);
    }
    let (started, cpu) = (Instant::now(), cpu_seconds());
    curating.join().unwrap();
    let [admitted, withdrawn] = [&counters.admitted, &counters.withdrawn].map(Counters::get);
    assert!(admitted > 0 && withdrawn > 0, "the rule's change shows");
    let measured = Measured::since(started, admitted + withdrawn);
    Measured {
        cpu_seconds: measured.cpu_seconds - cpu,
        live: Counters::get(&counters.live),
        admitted,
        withdrawn,
        ..measured
    }
}

fn curate_low(config: &Config, store: Arc<dyn Store>, counters: Arc<Counters>) -> Curate {
    let lower_half = Stage::Perplexity {
        keep: Keep::Low,
        rate: Rate::from_ppm(500_000).unwrap(),
        group_by: None,
        mass: Mass::Documents,
    };
    let end = store.ends(&config.scored.topic).unwrap();
    Curate {
        scored_store: Arc::clone(&store),
        scored: config.scored.topic.clone(),
        partitions: config.topics.partitions,
        curated_store: store,
        curated: config.curated.topic.clone(),
        statistics: config.curated.statistics_topic.clone(),
        stages: vec![lower_half],
        sketch: config.sketch.clone(),
        skills: Skills::default(),
        mixture: None,
        snapshots: None,
        workers: config.curate.workers.into(),
        place: None,
        epoch: Duration::from_millis(config.curate.epoch_ms.into()),
        until: Box::new(move || Ok(Some(end.clone()))),
        stop: Arc::new(AtomicBool::new(false)),
        counters,
    }
}

impl Measured {
    /// What it took since then.
    pub fn since(started: Instant, documents: u64) -> Self {
        Measured {
            documents,
            seconds: started.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds(),
            peak_bytes: peak_bytes(),
            live: 0,
            admitted: 0,
            withdrawn: 0,
            longest_s: 0.0,
            snapshot_bytes: 0,
            snapshot_documents: 0,
            tail: 0,
            second: None,
        }
    }

    /// The same with what the newest snapshot is like.
    fn with_snapshot(self, config: &Config) -> Self {
        let kept = kept(&config.snapshots_dir()).unwrap();
        let Some(newest) = kept.first().filter(|_| config.curate.snapshots) else {
            return self;
        };
        let store = Stores::new(config).of(config.scored.log).unwrap();
        let ends = store.ends(&config.scored.topic).unwrap();
        let (snapshot_documents, snapshot_bytes) = newest.check(config).unwrap();
        Measured {
            snapshot_bytes,
            snapshot_documents,
            tail: newest.offsets.distance(&ends),
            ..self
        }
    }
}

/// Processor time of the process so far; Linux counts it in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program, in brackets, may hold blanks: fields are counted behind it.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = |at| -> f64 { fields.split_whitespace().nth(at).unwrap().parse().unwrap() };
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() << 10
}
