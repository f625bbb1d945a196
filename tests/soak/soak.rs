//! Documents stream in while everything fails in turn; at the end nothing is lost, doubled or stale.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::{self, Broker};
use crate::crew::{Crew, Role};
use crate::dice::{Dice, seed, setting};
use crate::faults::possible;
use crate::follower::{Follower, difference};
use crate::kcat;
use crate::ledger::{Ledger, id};
use crate::load::produce;
use crate::process::Process;
use crate::site::Site;

/// How curate is run, and in how many processes.
pub const CURATE: &[&str] = &["curate", "--processes", "2"];
const MEMBERS: usize = 2;
/// How many `riffle score` share the documents.
const SCORERS: usize = 2;

const PARTITIONS: u16 = 6;
/// How long the rest may take once all has come in.
const END: Duration = Duration::from_secs(600);

fn site(broker: &Broker) -> Site {
    Site::kafka(broker.bootstrap(), "soak")
        .set(&format!("topics.partitions={PARTITIONS}"))
        // A scorer that is killed is missed soon.
        .set("kafka.session.timeout.ms=3000")
        .set("score.epoch_ms=50")
        .set("curate.epoch_ms=100")
        .set("curate.workers=2")
        .set(r#"select=[{ by = "perplexity", keep = "medium", rate = 0.5, group_by = "source" }]"#)
}

#[test]
fn faults_lose_nothing_and_double_nothing_and_leave_nothing_stale() {
    let seconds = Duration::from_secs(setting("RIFFLE_SOAK_SECONDS").unwrap_or(20));
    let rate = setting("RIFFLE_SOAK_RATE").unwrap_or(400);
    let seed = seed();
    println!("RIFFLE_SOAK_SEED={seed}: {seconds:?} at {rate} records a second");
    let broker = broker::shared();
    let site = site(broker);
    site.feed(&[]); // makes the topic
    let (ledger, stop) = (Mutex::new(Ledger::default()), AtomicBool::new(false));
    let mut crew = Crew::new(&site, SCORERS);
    let mut follower = Follower::new("soak-curated", PARTITIONS);
    let start = Instant::now();
    thread::scope(|scope| {
        let load = || {
            let (bootstrap, topic) = (broker.bootstrap(), "soak-documents");
            produce(
                bootstrap,
                topic,
                rate,
                &mut Dice::new(seed ^ 1),
                &ledger,
                &stop,
            );
        };
        let load = scope.spawn(load);
        let _stop = StopAtEnd(&stop);
        let until = start + seconds;
        fail_until(until, &mut crew, broker, seed, &mut follower, &ledger);
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap();
    });
    crew.dismiss();
    run_to_the_end(&site);
    let ledger = ledger.into_inner().unwrap();
    check(&site, &ledger, &mut follower);
    report(&crew, &ledger, &follower, start.elapsed());
}

/// Stops the producer also when a fault was one too many.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Faults, one after another, with an outsider's look at the curated set between some.
fn fail_until(
    until: Instant,
    crew: &mut Crew<'_>,
    broker: &Broker,
    seed: u64,
    follower: &mut Follower,
    ledger: &Mutex<Ledger>,
) {
    let (mut dice, faults) = (Dice::new(seed), possible(SCORERS, MEMBERS));
    crew.wait(Duration::from_secs(3)); // first commits
    let mut told = Instant::now();
    while Instant::now() < until {
        dice.choose(&faults).happen(crew, broker, &mut dice);
        crew.wait(dice.between_ms(100, 2_500));
        if dice.one_in(3) {
            follower.catch_up();
        }
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let (records, live) = (ledger.records, ledger.live.len());
            let (seen, set, epoch) = (&crew.seen, follower.set.len(), follower.epoch);
            println!("{records} records, {live} live, {set} curated as of epoch {epoch}; {seen:?}");
        }
    }
}

/// Lets each half go to the end of what there is.
fn run_to_the_end(site: &Site) {
    for args in [&["score"], CURATE] {
        let args = [args, &["--until-end"]].concat();
        let mut process = Process::start(site, "end.said", &args);
        let status = process.end_within(END);
        assert!(status.success(), "{status}: {}", process.last_words());
    }
}

/// Checks all that the engine has put out against what was produced.
fn check(site: &Site, ledger: &Ledger, follower: &mut Follower) {
    let ends = kcat::ends("soak-documents", PARTITIONS);
    let produced: u32 = ends
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap())
        .sum();
    assert_eq!(
        produced, ledger.records,
        "the producer itself has lost or doubled"
    );

    follower.catch_up();
    let expected = ledger.curated();
    assert_eq!(difference(&follower.set, &expected), None);
    let mut afresh = Follower::new("soak-curated", PARTITIONS);
    afresh.catch_up();
    assert_eq!(
        difference(&afresh.set, &expected),
        None,
        "read from the beginning"
    );

    let scored = keys("soak-scored", PARTITIONS);
    assert_eq!(scored.len(), ledger.writes.len());
    for (n, writes) in &ledger.writes {
        assert_eq!(
            scored.get(&id(*n)),
            Some(writes),
            "scored records of {}",
            id(*n)
        );
    }
    let mut letters = keys("soak-dead-letters", 1);
    let without_key = letters.remove("").unwrap_or(0);
    assert_eq!(u64::from(without_key), ledger.poison_without_key);
    assert!(letters.keys().eq(&ledger.poison));
    assert!(letters.values().all(|count| *count == 1));

    let verified = site.riffle(&["verify"]);
    assert_eq!(
        verified.code,
        Some(0),
        "{}{}",
        verified.stdout,
        verified.stderr
    );
    println!("{}", verified.stdout);

    let statistics = site.tail("statistics");
    let of_corpus = statistics.iter().rev().find(|it| it["live"].is_u64());
    let last = of_corpus.unwrap();
    assert_eq!(last["live"], ledger.live.len());
    assert_eq!(last["curated"], expected.len());
}

/// How many committed records of a topic each key has.
fn keys(topic: &str, partitions: u16) -> BTreeMap<String, u32> {
    let mut keys = BTreeMap::new();
    for partition in 0..partitions.into() {
        for key in kcat::lines_from(topic, partition, 0, "%k\\n").lines() {
            *keys.entry(key.to_owned()).or_default() += 1;
        }
    }
    keys
}

fn report(crew: &Crew<'_>, ledger: &Ledger, follower: &Follower, elapsed: Duration) {
    println!("0 lost, 0 doubled, 0 stale");
    let row = |what: &str, count: u64| println!("{count:>12} {what}");
    row("seconds", elapsed.as_secs());
    row("records produced", ledger.records.into());
    row("documents ever seen", ledger.documents().into());
    row("documents live", ledger.live.len() as u64);
    row("changed again", ledger.updates);
    row("takedowns", ledger.takedowns);
    row("dead letters", ledger.dead_letters());
    row("documents curated", follower.set.len() as u64);
    row("admissions", follower.admitted);
    row("changed values", follower.changed);
    row("withdrawals", follower.withdrawn);
    row("epochs", follower.epoch);
    row("starts of processes", crew.starts);
    for (what, count) in &crew.seen {
        row(what, *count);
    }
    for role in [Role::Score, Role::Curate] {
        let peak = crew.memory_peaks[&role] >> 20;
        row(&format!("MiB at most in a {}", role.name()), peak);
    }
}
