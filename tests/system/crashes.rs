//! The engine is killed again and again while documents stream in.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::curated::{Changes, Documents, live, middle_half, of_tail};
use crate::site::{Site, document, takedown};

/// Twelve feeds: new documents, older ones anew, and takedowns.
fn feeds() -> Vec<Vec<Value>> {
    let feed = |n: u64| {
        let new = (n * 50..n * 50 + 50).map(|n| document(n, 0));
        let again = (n * 20..n * 20 + 10).map(move |m| document(m, 1 + n % 3));
        let gone = (n * 13..n * 13 + 4).map(takedown);
        new.chain(again).chain(gone).collect()
    };
    (0..12).map(feed).collect()
}

#[test]
fn kills_at_any_moment_lose_nothing_and_double_nothing() {
    let site = Site::new()
        .set("score.epoch_ms=10")
        .set("curate.epoch_ms=10")
        .set("curate.workers=2")
        .set("topics.partitions=2");
    let feeds = feeds();
    site.feed(&[]);
    thread::scope(|scope| {
        scope.spawn(|| {
            for feed in &feeds {
                site.feed(feed);
                thread::sleep(Duration::from_millis(150));
            }
        });
        for kill in 0..12 {
            let mut run = site.spawn(&["run"]);
            thread::sleep(Duration::from_millis(40 + 37 * (kill % 6)));
            run.kill().unwrap();
            let killed = run.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&killed.stderr);
            assert_eq!(killed.status.code(), None, "it ended by itself: {said}");
        }
    });
    site.run();

    let fed: Vec<Value> = feeds.concat();
    assert_eq!(
        site.tail("scored").len(),
        fed.len(),
        "each record is scored once"
    );
    assert_eq!(site.tail("dead-letters"), Vec::<Value>::new());
    let changes = Changes::apply(Documents::new(), of_tail(&site.tail("curated")));
    assert_eq!(changes.set, middle_half(&live(&fed)));
    assert!(!changes.tombstones.is_empty());
}
