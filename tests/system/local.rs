//! Local logs: round trips, rules that change, and signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::curated::{Changes, Documents, Keep, kept, live, middle_half, of_tail};
use crate::site::{Site, document, json_lines, model, takedown};

#[test]
fn what_was_fed_is_read_back_and_its_middle_half_is_curated() {
    let site = Site::new();
    let fed: Vec<Value> = (0..101).map(|n| document(n, 0)).collect();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(&json_lines(&fed[..60])).unwrap();
    site.write("a.jsonl.gz", gz.finish().unwrap());
    let zst = zstd::encode_all(&*json_lines(&fed[60..]), 1).unwrap();
    site.write("b.jsonl.zst", zst);
    let feed = site.riffle(&["feed", "a.jsonl.gz", "b.jsonl.zst", "--json"]);
    let summary: Value = serde_json::from_str(&feed.stdout).unwrap();
    assert_eq!((feed.code, &summary["documents"]), (Some(0), &101.into()));

    assert_eq!(site.tail("documents"), fed);
    let summary = site.run();
    assert_eq!(
        (&summary["live"], &summary["curated"]),
        (&101.into(), &50.into())
    );
    assert_eq!(site.tail("scored").len(), 101);
    let changes = Changes::apply(Documents::new(), of_tail(&site.tail("curated")));
    assert_eq!(changes.set, middle_half(&live(&fed)));
    let for_people = site.riffle(&["tail", "curated", "--until-end"]);
    assert_eq!(
        (for_people.code, for_people.stdout.lines().count()),
        (Some(0), 50)
    );
}

#[test]
fn changed_rules_publish_exactly_the_difference() {
    let site = Site::new();
    let fed: Vec<Value> = (0..90).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    site.run();
    let mut set = middle_half(&live(&fed));
    let mut seen = site.tail("curated").len();

    let of_source = |source| fed.iter().filter(move |it| it["source"] == source);
    let by_source = ["letters", "diaries", "tales"]
        .into_iter()
        .flat_map(|source| kept(of_source(source), Keep::Medium, 40));
    for (rules, expected) in [
        ("keep = \"low\"\nrate = 0.3", kept(&fed, Keep::Low, 30)),
        ("rate = 0.4\ngroup_by = \"source\"", by_source.collect()),
        ("keep = \"low\"\nrate = 0.5", kept(&fed, Keep::Low, 50)),
    ] {
        site.write(
            "riffle.toml",
            format!("[[select]]\nby = \"perplexity\"\n{rules}\n"),
        );
        let summary = site.run();
        let log = site.tail("curated");
        let changes = Changes::apply(set.clone(), of_tail(&log[seen..]));
        assert_eq!(changes.set, expected, "{rules}");
        let only_in =
            |a: &Documents, b: &Documents| a.keys().filter(|id| !b.contains_key(*id)).count();
        let (admitted, withdrawn) = (only_in(&expected, &set), only_in(&set, &expected));
        assert!(admitted > 0 && withdrawn > 0, "{rules}: nothing to tell");
        assert_eq!(
            (changes.upserts.len(), changes.tombstones.len()),
            (admitted, withdrawn),
            "{rules}"
        );
        assert_eq!(summary["documents_read"], 0, "{rules}");
        (set, seen) = (expected, log.len());
    }
}

/// Sends a signal, such as `INT`.
fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(child.id().to_string())
        .status();
    assert!(kill.unwrap().success());
}

/// Waits for a line on the child's standard error that contains `text`; leaves the rest unread.
fn wait_for_line(child: &mut Child, text: &str) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains(text));
    assert!(said.is_some(), "ended without {text:?}");
    // Nobody else reads it: the child must not wait for a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
}

#[test]
fn an_interrupt_finishes_the_epoch_and_the_next_run_goes_on() {
    let site = Site::new()
        .set("score.epoch_ms=20")
        .set("curate.epoch_ms=20");
    let fed: Vec<Value> = (0..4_000).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    let mut run = site.spawn(&["run", "--json"]);
    wait_for_line(&mut run, "no reference model is loaded");
    // Somewhere in the work, or after it: either way nothing may be lost.
    std::thread::sleep(Duration::from_millis(60));
    signal(&run, "INT");
    let mut summary = String::new();
    run.stdout
        .take()
        .unwrap()
        .read_to_string(&mut summary)
        .unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let interrupted: Value = serde_json::from_str(&summary).unwrap();

    site.feed(&[takedown(7), document(8, 1)]);
    let rest = site.run();
    let read = |summary: &Value| summary["documents_read"].as_u64().unwrap();
    assert_eq!(read(&interrupted) + read(&rest), 4_002);
    let changes = Changes::apply(Documents::new(), of_tail(&site.tail("curated")));
    let expected = middle_half(&live(fed.iter().chain(&[takedown(7), document(8, 1)])));
    assert_eq!(changes.set, expected);
}

#[test]
fn a_second_interrupt_leaves_at_once() {
    // On one core, so that no machine is too fast for this.
    let site = Site::with_model()
        .set(&format!("score.model={}", model().display()))
        .set("score.threads=1");
    // Batches that take the model many seconds: letters without sense are many tokens.
    let noise =
        |n: u32| (0..8_000).map(move |i| char::from(b'a' + ((i * i * (n + 3) + i * 7) % 25) as u8));
    let text = |n| noise(n).collect::<String>();
    let long = |n| serde_json::json!({"id": format!("long-{n}"), "text": text(n)});
    site.feed(&(0..12).map(long).collect::<Vec<_>>());
    let mut run = site.spawn(&["run"]);
    wait_for_line(&mut run, "reference model loaded");
    std::thread::sleep(Duration::from_millis(500));
    signal(&run, "INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        run.try_wait().unwrap().is_none(),
        "the epoch was too short for this test"
    );
    signal(&run, "INT");
    let second = Instant::now();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(second.elapsed() < Duration::from_secs(3));
}
