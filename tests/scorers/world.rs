//! A store on which scorers come and go, and what must be in it at the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use riffle::config::FieldPath;
use riffle::engine::{Counters, EngineError, Until};
use riffle::log::memory::{MemoryStore, Side};
use riffle::log::{Layout, LogError, Received, Record, Store};
use riffle::score::{Score, Scorer, score};

const DOCUMENTS: &str = "documents";
const SCORED: &str = "scored";
const DEAD_LETTERS: &str = "dead-letters";
const GROUP: &str = "score-scored";
const SCORERS_MAX: usize = 4;
/// Operations of a scorer until it is a member of the group: it looks for the documents log, makes
/// two logs, and joins.
const START_OPERATIONS: u64 = 4;
/// How long it may take until all that has arrived is scored, once nothing is broken on purpose.
const PATIENCE: Duration = Duration::from_secs(60);
/// After this time without progress partitions are shared out anew.
const STALLED: Duration = Duration::from_secs(1);

/// How often what was broken on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Events {
    documents: u64,
    rebalances: u64,
    put_out: u64,
    crashes: u64,
    failures: u64,
    pauses: u64,
    stops: u64,
    forgotten: u64,
}

impl Events {
    pub fn add(&mut self, other: &Events) {
        self.documents += other.documents;
        self.rebalances += other.rebalances;
        self.put_out += other.put_out;
        self.crashes += other.crashes;
        self.failures += other.failures;
        self.pauses += other.pauses;
        self.stops += other.stops;
        self.forgotten += other.forgotten;
    }

    /// A model that breaks nothing shows nothing.
    pub fn all_happened(&self) {
        let counts = [
            self.documents,
            self.rebalances,
            self.put_out,
            self.crashes,
            self.failures,
            self.pauses,
            self.stops,
            self.forgotten,
        ];
        assert!(counts.iter().all(|count| *count > 0), "{self:?}");
    }
}

/// A scorer that runs.
struct Running {
    store: MemoryStore,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), EngineError>>,
}

pub struct World {
    seed: u64,
    rng: Xoshiro256PlusPlus,
    store: MemoryStore,
    partitions: u16,
    running: Vec<Running>,
    pub events: Events,
}

impl World {
    /// A world with or without a scorer before it that was alone.
    pub fn new(seed: u64) -> Self {
        let store = MemoryStore::new();
        let mut world = World {
            seed,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            store,
            partitions: 0,
            running: Vec::new(),
            events: Events::default(),
        };
        world.partitions = 1 + world.below(6) as u16;
        let layout = Layout {
            partitions: world.partitions,
            compacted: false,
        };
        world.store.create(DOCUMENTS, layout).unwrap();
        let records = 1 + world.below(8);
        world.store.set_poll_records_max(records);
        if world.below(3) == 0 {
            world.arrive();
            let end = world.store.ends(DOCUMENTS).unwrap();
            let until = Box::new(move || Ok(Some(end.clone())));
            score(scoring(&world.store, Arc::default(), until)).unwrap();
        }
        world.store.allow_groups();
        world
    }

    pub fn has_two_partitions(&self) -> bool {
        self.partitions == 2
    }

    /// One scores until the end, beside a member that was killed after it had got a partition.
    ///
    /// A group learns of a death late, so until then both count.
    pub fn end_beside_the_dead(&mut self) {
        (0..9).for_each(|_| self.arrive());
        let arrived = self.store.committed(DOCUMENTS).len();
        let dead = self.store.fork();
        let member = dead.group(GROUP, DOCUMENTS, &[]).unwrap();
        let end = self.store.ends(DOCUMENTS).unwrap();
        let until = Box::new(move || Ok(Some(end.clone())));
        let work = scoring(&self.store.fork(), Arc::default(), until);
        let living = thread::spawn(move || score(work));
        let before = self.done();
        while self.done() == before {
            let mut member = 0;
            let in_turn = |members| {
                member += 1;
                member % members
            };
            let patience = Duration::from_millis(50);
            self.store.rebalance(GROUP, patience, |_| false, in_turn);
            thread::sleep(Duration::from_millis(100));
        }
        thread::sleep(Duration::from_millis(300));
        assert!(!living.is_finished() && self.done() < arrived);
        dead.crash_at(1, Side::Before);
        assert!(dead.ends(DOCUMENTS).is_err());
        drop(member);
        self.share_out(Duration::from_secs(5), 0);
        living.join().unwrap().unwrap();
        assert_eq!(self.done(), arrived);
    }

    /// How many documents are scored, or of no use.
    fn done(&self) -> usize {
        self.store.committed(SCORED).len() + self.store.committed(DEAD_LETTERS).len()
    }

    /// So many things happen.
    pub fn live(&mut self, steps: usize) {
        self.start();
        for _ in 0..steps {
            match self.below(16) {
                0..5 => self.arrive(),
                5 | 6 => self.start(),
                7..10 => self.rebalance(),
                10 | 11 => self.crash(),
                12 => self.fail(),
                13 => self.pause_or_go_on(),
                14 => self.stop(),
                _ => self.forget(),
            }
            let millis = self.below(12) as u64;
            thread::sleep(Duration::from_millis(millis));
            self.bury();
        }
    }

    /// Nothing is broken any more, until all is scored; then the scorers end.
    pub fn settle(&mut self) {
        let start = Instant::now();
        for running in &self.running {
            running.store.set_paused(false);
        }
        let arrived = self.store.committed(DOCUMENTS).len();
        while self.done() < arrived {
            assert!(start.elapsed() < PATIENCE, "{} of {arrived}", self.done());
            self.bury();
            if self.running.is_empty() {
                self.start();
            }
            self.share_out(Duration::from_secs(5), 0);
            self.wait_while_it_goes_on(arrived);
        }
        self.stop_all();
    }

    /// Waits until all is done, or nothing has been for a while, or a scorer has ended.
    fn wait_while_it_goes_on(&self, arrived: usize) {
        let (mut count, mut since) = (self.done(), Instant::now());
        while count < arrived && since.elapsed() < STALLED {
            if self.running.iter().any(|it| it.thread.is_finished()) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
            let now = self.done();
            if now > count {
                (count, since) = (now, Instant::now());
            }
        }
    }

    /// Each partition's documents are scored once and in order, or dead letters once.
    pub fn check(&self) {
        let (documents, scored) = (
            self.store.committed(DOCUMENTS),
            self.store.committed(SCORED),
        );
        let (usable, useless): (Vec<&Received>, Vec<&Received>) =
            documents.iter().partition(|it| is_usable(&it.record));
        let places = |records: &[&Received]| -> Vec<(u16, String)> {
            let key = |r: &Received| String::from_utf8(r.record.key.clone().unwrap()).unwrap();
            let place = |r: &&Received| (r.position.partition(), key(r));
            records.iter().map(place).collect()
        };
        assert_eq!(places(&scored.iter().collect::<Vec<_>>()), places(&usable));

        let letters = self.store.committed(DEAD_LETTERS);
        let keys: BTreeSet<_> = letters.iter().map(|it| &it.record.key).collect();
        assert_eq!((keys.len(), letters.len()), (useless.len(), useless.len()));
        self.check_readable();
    }

    /// What crashed scorers left open holds up nobody.
    fn check_readable(&self) {
        for log in [SCORED, DEAD_LETTERS] {
            let ends = self.store.ends(log).unwrap();
            let mut reader = self.store.reader(log, &Default::default()).unwrap();
            while !reader.poll(Duration::ZERO).unwrap().is_empty() {}
            assert!(reader.offsets().reaches(&ends), "{log} is held up");
        }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n as u64) as usize
    }

    /// Documents arrive, one in twenty of no use.
    fn arrive(&mut self) {
        for _ in 0..1 + self.below(20) {
            let id = self.events.documents;
            self.events.documents += 1;
            let json = match self.below(20) {
                0 => format!(r#"{{"id": "{id}", "text": "of no use"}}"#),
                _ => format!(r#"{{"id": "{id}", "text": "a text", "perplexity": 7}}"#),
            };
            let record = Record {
                key: Some(id.to_string().into_bytes()),
                value: Some(json.into_bytes()),
                headers: Vec::new(),
            };
            let partition = self.below(self.partitions.into()) as u16;
            self.store
                .produce(DOCUMENTS, partition, vec![record])
                .unwrap();
        }
    }

    fn start(&mut self) {
        if self.running.len() == SCORERS_MAX {
            return;
        }
        let (store, stop) = (self.store.fork(), Arc::new(AtomicBool::new(false)));
        let work = scoring(&store, Arc::clone(&stop), Box::new(|| Ok(None)));
        self.running.push(Running {
            store,
            stop,
            thread: thread::spawn(move || score(work)),
        });
    }

    fn rebalance(&mut self) {
        let patience = Duration::from_millis([0, 5, 50][self.below(3)]);
        let deaf = match self.below(2) {
            0 => 0,
            _ => self.rng.next_u64(),
        };
        self.share_out(patience, deaf);
    }

    fn share_out(&mut self, patience: Duration, deaf: u64) {
        let rng = &mut self.rng;
        let put_out = self.store.rebalance(
            GROUP,
            patience,
            |member| deaf >> (member % 64) & 1 == 1,
            |members| (rng.next_u64() % members as u64) as usize,
        );
        self.events.put_out += put_out as u64;
        self.events.rebalances += 1;
    }

    fn one(&mut self) -> Option<usize> {
        let n = self.running.len();
        (n > 0).then(|| self.below(n))
    }

    fn crash(&mut self) {
        let side = [Side::Before, Side::After][self.below(2)];
        let operation = 1 + self.below(40) as u64;
        if let Some(one) = self.one() {
            self.running[one].store.crash_at(operation, side);
        }
    }

    fn fail(&mut self) {
        let operation = 1 + self.below(40) as u64;
        if let Some(one) = self.one() {
            self.running[one].store.fail_at(operation);
            self.events.failures += 1;
        }
    }

    /// Stops one where it stands, or lets all go on.
    fn pause_or_go_on(&mut self) {
        if self.below(3) == 0 {
            self.running
                .iter()
                .for_each(|it| it.store.set_paused(false));
        } else if let Some(one) = self.one() {
            self.running[one].store.set_paused(true);
            self.events.pauses += 1;
        }
    }

    /// One is asked to end, and nobody waits for it.
    fn stop(&mut self) {
        if let Some(one) = self.one() {
            self.running[one].stop.store(true, Ordering::Relaxed);
            self.events.stops += 1;
        }
    }

    /// After a long time without a scorer the store knows the group's offsets no more.
    fn forget(&mut self) {
        if self.below(4) == 0 {
            self.stop_all();
            self.store.forget_offsets(GROUP);
            self.events.forgotten += 1;
        }
    }

    fn stop_all(&mut self) {
        for running in &self.running {
            running.store.set_paused(false);
            running.stop.store(true, Ordering::Relaxed);
        }
        for running in std::mem::take(&mut self.running) {
            self.end(running);
        }
    }

    /// Takes away those that have ended.
    fn bury(&mut self) {
        let (ended, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|it| it.thread.is_finished());
        self.running = running;
        for running in ended {
            self.end(running);
        }
    }

    fn end(&mut self, running: Running) {
        match running.thread.join().unwrap() {
            Ok(()) => assert!(running.stop.load(Ordering::Relaxed), "it ended by itself"),
            Err(EngineError::Log(LogError::Crash)) => self.events.crashes += 1,
            // The start of a scorer does not wait for what passes: whoever starts it does.
            Err(EngineError::Log(LogError::Unavailable { .. }))
                if running.store.operations() <= START_OPERATIONS => {}
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("RIFFLE_TEST_SEED={} RIFFLE_TEST_CASES=1", self.seed);
        }
    }
}

fn is_usable(record: &Record) -> bool {
    let value = record.value.as_deref().unwrap();
    !value.ends_with(b"\"of no use\"}")
}

fn scoring(store: &MemoryStore, stop: Arc<AtomicBool>, until: Until) -> Score {
    let store: Arc<dyn Store> = Arc::new(store.clone());
    let field = FieldPath::try_from("perplexity".to_owned()).unwrap();
    Score {
        documents_store: Arc::clone(&store),
        documents: DOCUMENTS.to_owned(),
        scored_store: store,
        scored: SCORED.to_owned(),
        dead_letters: DEAD_LETTERS.to_owned(),
        scorer: Scorer::Fields(field, None),
        embedder: None,
        threads: 1,
        document_bytes_max: 1 << 20,
        batch_tokens: 1000,
        epoch: Duration::from_millis(2),
        until,
        stop,
        counters: Arc::new(Counters::default()),
    }
}
