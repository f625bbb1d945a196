//! What the engine needs and does not get: the message, the exit code, and how it goes on.

use std::fs;
use std::thread;

use serde_json::Value;

use crate::curated::{Changes, Documents, live, middle_half, of_tail};
use crate::site::{Site, document, json_lines, model, noisy};

#[test]
fn a_model_that_cannot_be_read_is_named() {
    let whole = fs::read(model()).unwrap();
    for (name, content) in [
        ("missing.gguf", None),
        ("noise.gguf", Some(vec![7; 100_000])),
        ("empty.gguf", Some(Vec::new())),
        ("cut-head.gguf", Some(whole[..50_000].to_vec())),
        ("cut-tail.gguf", Some(whole[..whole.len() / 2].to_vec())),
        ("lying.gguf", Some(lying(&whole))),
    ] {
        let site = Site::with_model().set(&format!("score.model={name}"));
        if let Some(content) = content {
            site.write(name, content);
        }
        site.feed(&[document(1, 0)]);
        let run = site.riffle(&["run", "--until-end"]);
        assert_eq!(run.code, Some(69), "{name}: {}", run.stderr);
        let last = run.stderr.lines().last().unwrap();
        assert!(
            last.starts_with("error: ") && last.contains(name),
            "{}",
            run.stderr
        );
    }
}

/// The model with counts of tensors and of metadata that no file could hold.
fn lying(whole: &[u8]) -> Vec<u8> {
    let mut lying = whole[..1 << 20].to_vec();
    lying[8..24].fill(0xff);
    lying
}

#[test]
fn a_broker_that_is_down_is_named() {
    let told = |args: &[&str]| {
        let site = Site::kafka("127.0.0.1:1", "away");
        site.write("a.jsonl", document(1, 0).to_string());
        let ended = site.riffle(args);
        assert_eq!(ended.code, Some(69), "{args:?}: {}", ended.stderr);
        let line = "error: Kafka at 127.0.0.1:1 is unavailable: ";
        assert!(ended.stderr.contains(line), "{args:?}: {}", ended.stderr);
    };
    // Side by side: each waits a while before it gives up.
    thread::scope(|scope| {
        for args in [
            &["run", "--until-end"][..],
            &["curate", "--until-end"],
            &["feed", "a.jsonl"],
            &["tail", "curated", "--until-end"],
        ] {
            scope.spawn(|| told(args));
        }
    });
}

#[test]
fn when_the_disk_is_full_the_run_ends_and_the_next_goes_on() {
    let site = Site::new()
        .set("score.epoch_ms=10")
        .set("curate.epoch_ms=10");
    let fed: Vec<Value> = (0..2_000).map(noisy).collect();
    site.feed(&fed);
    // Files may grow to so many KiB; a write beyond that fails as on a full disk.
    for (kib, args) in [(8, "run"), (200, "score"), (16, "curate"), (300, "run")] {
        let limits = format!("trap '' XFSZ; ulimit -f {kib}");
        let run = site.riffle_under(&limits, &[args, "--until-end"]);
        assert_eq!(run.code, Some(1), "{args} {kib}: {}", run.stderr);
        assert!(
            run.stderr.contains("File too large"),
            "{args} {kib}: {}",
            run.stderr
        );
        assert!(
            run.stderr.contains("riffle-data"),
            "{args} {kib}: {}",
            run.stderr
        );
        assert!(
            !run.stderr.contains("panicked"),
            "{args} {kib}: {}",
            run.stderr
        );
    }
    site.run();
    assert_eq!(site.tail("scored").len(), fed.len());
    let changes = Changes::apply(Documents::new(), of_tail(&site.tail("curated")));
    assert_eq!(changes.set, middle_half(&live(&fed)));
}

#[test]
fn a_full_disk_stops_a_feed_with_the_place_to_resume_from() {
    let site = Site::new();
    let fed: Vec<Value> = (0..2_000).map(noisy).collect();
    site.write("a.jsonl", json_lines(&fed));
    let feed = site.riffle_under("trap '' XFSZ; ulimit -f 16", &["feed", "a.jsonl"]);
    assert_eq!(feed.code, Some(1), "{}", feed.stderr);
    assert!(feed.stderr.contains("File too large"), "{}", feed.stderr);
    let feed = site.riffle(&["feed", "--resume", "a.jsonl"]);
    let again = site.riffle(&["feed", "a.jsonl"]);
    assert!(
        feed.code == Some(0) || again.code == Some(0),
        "{}{}",
        feed.stderr,
        again.stderr
    );
    assert_eq!(live(&site.tail("documents")), live(&fed));
}
