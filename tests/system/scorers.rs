//! Several scorers as processes share the documents topic of a real broker, and are killed, stopped
//! and joined by others while documents arrive.
//!
//! `RIFFLE_TEST_SECONDS` says for how long; the default keeps `make test` short.

use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use riffle::log::kafka::{KafkaStore, TopicOptions};
use riffle::log::{Record, Store};
use serde_json::Value;

use crate::broker;
use crate::kcat::keys;
use crate::site::{Site, document};

const PARTITIONS: u16 = 8;
/// Short, so that a scorer that is killed is missed soon.
const SESSION: Duration = Duration::from_secs(2);

fn site(prefix: &str) -> Site {
    Site::kafka(broker::shared().bootstrap(), prefix)
        .set(&format!("topics.partitions={PARTITIONS}"))
        .set(&format!("kafka.session.timeout.ms={}", SESSION.as_millis()))
        .set("score.epoch_ms=20")
}

/// Checks that each document was scored once, in the order of its partition.
fn check(prefix: &str) -> usize {
    let (documents, scored) = (
        keys(&format!("{prefix}-documents")),
        keys(&format!("{prefix}-scored")),
    );
    for (partition, documents) in &documents {
        let scored = scored.get(partition).map_or(&[][..], Vec::as_slice);
        assert_eq!(scored.len(), documents.len(), "partition {partition}");
        assert_eq!(scored, documents, "partition {partition}");
    }
    assert_eq!(documents.len(), scored.len());
    documents.values().map(Vec::len).sum()
}

fn signal(process: &Child, signal: &str) {
    let status = std::process::Command::new("kill")
        .args([signal, &process.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// What a process has said, once it has ended.
fn said(process: Child) -> (Option<i32>, String) {
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// What a random history of scorers has had.
#[derive(Debug, Default)]
struct Storm {
    joined: u64,
    killed: u64,
    stopped: u64,
}

/// Lets up to three scorers join, be killed and be asked to end, until the time is over; at the end
/// all are asked to end.
fn storm(site: &Site, rng: &mut impl RngCore, time: Duration) -> Storm {
    let (start, mut storm) = (Instant::now(), Storm::default());
    let mut scorers: Vec<Child> = Vec::new();
    while start.elapsed() < time || storm.killed == 0 || storm.stopped == 0 {
        if scorers.len() < 2 || scorers.len() < 3 && rng.next_u32().is_multiple_of(2) {
            scorers.push(site.spawn(&["score"]));
            storm.joined += 1;
        } else {
            let at = rng.next_u32() as usize % scorers.len();
            let mut one = scorers.swap_remove(at);
            if rng.next_u32().is_multiple_of(3) {
                signal(&one, "-TERM");
                let (code, said) = said(one);
                assert_eq!(code, Some(0), "{said}");
                storm.stopped += 1;
            } else {
                one.kill().unwrap();
                let (code, said) = said(one);
                assert_eq!(code, None, "it ended by itself: {said}");
                storm.killed += 1;
            }
        }
        thread::sleep(Duration::from_millis(u64::from(
            200 + rng.next_u32() % 1300,
        )));
    }
    for one in scorers {
        signal(&one, "-TERM");
        let (code, said) = said(one);
        assert_eq!(code, Some(0), "{said}");
    }
    storm
}

#[test]
fn scorers_that_join_and_end_and_are_killed_score_every_document_once_in_order() {
    let seconds = std::env::var("RIFFLE_TEST_SECONDS").map_or(15, |it| it.parse().unwrap());
    let site = site("storm");
    site.feed(&[]);
    let (over, fed) = (AtomicBool::new(false), AtomicU64::new(0));
    let storm = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let lines: Vec<Value> = (0..200).map(|n| document(n, 0)).collect();
                site.feed(&lines);
                fed.fetch_add(200, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(100));
            }
        });
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let storm = storm(&site, &mut rng, Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        storm
    });
    let last = site.riffle(&["score", "--until-end"]);
    assert_eq!(last.code, Some(0), "{}", last.stderr);
    let documents = check("storm");
    assert_eq!(documents as u64, fed.load(Ordering::Relaxed));
    eprintln!("{documents} documents, {storm:?}");
}

/// The offsets of a partition's records may have gaps, so what counts is how many are committed.
fn wait_for_scored(topic: &str, count: usize) {
    let start = Instant::now();
    while keys(topic).values().map(Vec::len).sum::<usize>() < count {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{topic} waits for {count}"
        );
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_scorer_that_stood_still_for_longer_than_its_session_doubles_nothing_and_rejoins() {
    let site = site("zombie");
    let fed: Vec<Value> = (0..4000).map(|n| document(n, 0)).collect();
    site.feed(&fed[..1000]);
    let first = site.riffle(&["score", "--until-end"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let zombie = site.spawn(&["score"]);
    let mut other = None;
    for round in 1..3 {
        let lines = &fed[1000 * round..1000 * (round + 1)];
        thread::scope(|scope| {
            scope.spawn(|| lines.chunks(250).for_each(|lines| site.feed(lines)));
            // In the middle of it, with documents in hand.
            thread::sleep(Duration::from_millis(400));
            signal(&zombie, "-STOP");
        });
        other.get_or_insert_with(|| site.spawn(&["score"]));
        wait_for_scored("zombie-scored", 1000 * (round + 1));
        signal(&zombie, "-CONT");
        thread::sleep(SESSION);
    }
    site.feed(&fed[3000..]);
    wait_for_scored("zombie-scored", 4000);
    let other = other.expect("it was started in the first round");
    // The other leaves: what is left is the zombie's.
    signal(&other, "-TERM");
    let (code, other) = said(other);
    assert_eq!(code, Some(0), "{other}");
    site.feed(&fed[..500]);
    wait_for_scored("zombie-scored", 4500);
    signal(&zombie, "-TERM");
    let (code, zombie) = said(zombie);
    assert_eq!(code, Some(0), "{zombie}");
    let shares = zombie.matches("scoring these partitions").count();
    assert!(shares >= 3, "it has not rejoined: {zombie}");
    assert_eq!(check("zombie"), 4500);
}

#[test]
fn more_scorers_than_partitions_wait_and_all_end_at_the_end() {
    let site = site("few").set("topics.partitions=1");
    let fed: Vec<Value> = (0..300).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    let scorers: Vec<Child> = (0..3)
        .map(|_| site.spawn(&["score", "--until-end"]))
        .collect();
    for scorer in scorers {
        let (code, said) = said(scorer);
        assert_eq!(code, Some(0), "{said}");
    }
    assert_eq!(check("few"), 300);
}

/// Marks of transactions and what was aborted bring no record, but are passed and committed: each
/// scorer waits until the others have said that they have come to the end.
#[test]
fn the_end_is_reached_behind_records_that_were_never_committed() {
    let site = site("aborted").set("topics.partitions=2");
    let fed: Vec<Value> = (0..20).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    let servers = broker::shared().bootstrap().to_owned();
    let properties = [("bootstrap.servers".to_owned(), servers)].into();
    let store = KafkaStore::new(properties, TopicOptions::default()).unwrap();
    let log = "aborted-documents";
    let ends = store.ends(log).unwrap();
    let mut writer = store.writer("aborted-feed", &[log]).unwrap();
    for partition in 0..2 {
        let record = Record {
            key: Some(b"never".to_vec()),
            value: None,
            headers: Vec::new(),
        };
        writer.append(log, partition, record).unwrap();
    }
    // What has not left the producer yet leaves no trace.
    thread::sleep(Duration::from_secs(1));
    writer.abort().unwrap();
    let later = store.ends(log).unwrap();
    assert!(
        ends.0
            .iter()
            .zip(&later.0)
            .all(|(before, after)| before < after)
    );
    for scorers in [2, 1] {
        let scorers: Vec<Child> = (0..scorers)
            .map(|_| site.spawn(&["score", "--until-end"]))
            .collect();
        for scorer in scorers {
            let (code, said) = said(scorer);
            assert_eq!(code, Some(0), "{said}");
        }
    }
    assert_eq!(check("aborted"), 20);
}

/// What `riffle check` says of the scorers: how many, and how many records at most are left.
fn told(site: &Site, prefix: &str) -> (u64, u64) {
    let check = site.riffle(&["check", "--json"]);
    let lines = check.stdout.lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let what = format!("group riffle-score-{prefix}-scored");
    let group = lines.find(|line| line["what"] == what).unwrap();
    let found = group["found"].as_str().unwrap();
    let numbers = found.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<u64> = numbers.filter_map(|it| it.parse().ok()).collect();
    (numbers[0], numbers[1])
}

#[test]
fn check_tells_how_many_scorers_there_are_and_what_is_left_for_them() {
    let site = site("told");
    let fed: Vec<Value> = (0..1000).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    // A transaction leaves a mark in each partition.
    let marks = 3 * u64::from(PARTITIONS);
    let (scorers, left) = told(&site, "told");
    assert_eq!(scorers, 0);
    assert!((1000..=1000 + marks).contains(&left), "{left}");
    let first = site.riffle(&["score", "--until-end"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let (scorers, left) = told(&site, "told");
    assert!(scorers == 0 && left <= marks, "{scorers}, {left}");
    let two = [(); 2].map(|()| site.spawn(&["score"]));
    let start = Instant::now();
    while told(&site, "told").0 < 2 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "they do not join"
        );
    }
    for mut one in two {
        one.kill().unwrap();
        one.wait().unwrap();
    }
}
