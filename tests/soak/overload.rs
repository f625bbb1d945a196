//! More input than can be taken: memory stays within a budget, however much waits.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::broker::Broker;
use crate::process::{Doom, Process};
use crate::site::{Site, id, json_lines, model};

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Document number `n` with so many bytes of text that hardly compresses.
fn long(n: u64, bytes: usize) -> Value {
    let word = |i: u64| {
        format!(
            "{:016x} ",
            ((n << 20) + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        )
    };
    let words = (0..bytes as u64 / 17).map(word);
    json!({"id": id(n), "text": words.collect::<String>(), "metadata": {"perplexity": 2 + n}})
}

/// What a log holds, which may not be there yet.
fn lines(site: &Site, log: &str) -> Vec<Value> {
    let tail = site.riffle(&["tail", log, "--until-end", "--json"]);
    let is_there = tail.code == Some(0) || !tail.stderr.contains("there is no log");
    if is_there { site.tail(log) } else { Vec::new() }
}

#[test]
fn memory_is_bounded_while_the_sink_stands_still() {
    const DOCUMENTS: u64 = 400;
    /// Two queues of 64 MiB of librdkafka's, and two epochs.
    const BUDGET: u64 = 250 * MIB;
    let broker = Broker::start();
    // From a local log, which is read as fast as a disk, to one that takes nothing.
    let site = Site::new()
        .set(&format!("kafka.bootstrap.servers={}", broker.bootstrap()))
        .set("scored.log=kafka")
        .set("curated.log=kafka");
    site.write(
        "a.jsonl",
        json_lines(&(0..DOCUMENTS).map(|n| long(n, 900_000)).collect::<Vec<_>>()),
    );
    let fed = site.riffle(&["feed", "a.jsonl"]);
    assert_eq!(fed.code, Some(0), "{}", fed.stderr);
    let backlog = DOCUMENTS * 900_000;

    let mut score = Process::start(&site, "score.said", &["score"]);
    let start = Instant::now();
    while lines(&site, "scored").is_empty() {
        assert!(start.elapsed() < PATIENCE, "{}", score.last_words());
        thread::sleep(Duration::from_millis(100));
    }
    broker.pause();
    thread::sleep(Duration::from_secs(8));
    let while_paused = score.memory_peak();
    broker.go_on();
    let mut curate = Process::start(&site, "curate.said", &["curate"]);
    let start = Instant::now();
    while lines(&site, "statistics")
        .iter()
        .all(|it| it["live"] != DOCUMENTS)
    {
        assert!(start.elapsed() < PATIENCE, "{}", score.last_words());
        thread::sleep(Duration::from_millis(500));
    }
    let peaks = [while_paused, score.memory_peak(), curate.memory_peak()];
    println!(
        "a backlog of {} MiB in documents of 0.9 MB; score takes {} MiB while its sink stands \
         still and {} MiB in all, curate {} MiB",
        backlog / MIB,
        peaks[0] / MIB,
        peaks[1] / MIB,
        peaks[2] / MIB
    );
    assert!(peaks.iter().all(|peak| *peak < BUDGET), "{peaks:?}");
    for process in [&mut score, &mut curate] {
        process.doom = Some(Doom::Terminated);
        process.signal("TERM");
        let status = process.end_within(PATIENCE);
        assert!(status.success(), "{status}: {}", process.last_words());
    }
    assert_eq!(site.tail("scored").len() as u64, DOCUMENTS);
}

#[test]
fn memory_is_bounded_while_a_slow_model_is_behind() {
    const DOCUMENTS: u64 = 300;
    let site = Site::with_model()
        .set(&format!("score.model={:?}", model()))
        .set("score.device=cpu")
        .set("score.max_tokens=64");
    site.write(
        "a.jsonl",
        json_lines(&(0..DOCUMENTS).map(|n| long(n, 1 << 20)).collect::<Vec<_>>()),
    );
    let fed = site.riffle(&["feed", "a.jsonl"]);
    assert_eq!(fed.code, Some(0), "{}", fed.stderr);
    let mut run = Process::start(&site, "run.said", &["run"]);
    let start = Instant::now();
    while start.elapsed() < PATIENCE && lines(&site, "scored").is_empty() {
        thread::sleep(Duration::from_millis(200));
    }
    thread::sleep(Duration::from_secs(3));
    let peak = run.memory_peak();
    run.doom = Some(Doom::Terminated);
    run.signal("TERM");
    let status = run.end_within(PATIENCE);
    assert!(status.success(), "{status}: {}", run.last_words());
    let scored = site.tail("scored").len() as u64;
    println!(
        "{scored} of {DOCUMENTS} documents of 1 MB scored, {} MiB taken",
        peak / MIB
    );
    assert!((1..DOCUMENTS).contains(&scored), "{scored}");
    assert!(peak < 700 * MIB, "{} MiB", peak / MIB);
}
