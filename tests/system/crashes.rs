//! The engine is killed again and again while documents stream in.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::broker;
use crate::curated::{Changes, Documents, live, middle_half, of_tail};
use crate::kcat;
use crate::site::{Site, document, takedown};

/// Twelve feeds: new documents, older ones anew, and takedowns.
pub fn feeds() -> Vec<Vec<Value>> {
    let feed = |n: u64| {
        let new = (n * 50..n * 50 + 50).map(|n| document(n, 0));
        let again = (n * 20..n * 20 + 10).map(move |m| document(m, 1 + n % 3));
        let gone = (n * 13..n * 13 + 4).map(takedown);
        new.chain(again).chain(gone).collect()
    };
    (0..12).map(feed).collect()
}

/// Feeds the site while its runs are killed, each after one of `delays`; then runs it to the end.
pub fn stream_through_kills(site: &Site, feeds: &[Vec<Value>], delays: &[u64]) {
    site.feed(&[]);
    thread::scope(|scope| {
        scope.spawn(|| {
            for feed in feeds {
                site.feed(feed);
                thread::sleep(Duration::from_millis(150));
            }
        });
        for delay in delays {
            let mut run = site.spawn(&["run"]);
            thread::sleep(Duration::from_millis(*delay));
            run.kill().unwrap();
            let killed = run.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&killed.stderr);
            assert_eq!(killed.status.code(), None, "it ended by itself: {said}");
        }
    });
    site.run();
    assert_eq!(site.tail("dead-letters"), Vec::<Value>::new());
    let scored = site.tail("scored").len();
    assert_eq!(scored, feeds.concat().len(), "each record is scored once");
}

/// With epochs so short that kills come between and within many of them.
pub fn with_short_epochs(site: Site) -> Site {
    site.set("score.epoch_ms=10")
        .set("curate.epoch_ms=10")
        .set("curate.workers=2")
        .set("topics.partitions=2")
}

/// Checks what the changes make against all that was fed.
fn check(changes: impl IntoIterator<Item = (String, Option<Value>)>, feeds: &[Vec<Value>]) {
    let changes = Changes::apply(Documents::new(), changes);
    assert_eq!(changes.set, middle_half(&live(&feeds.concat())));
    assert!(!changes.tombstones.is_empty());
}

#[test]
fn kills_at_any_moment_lose_nothing_and_double_nothing() {
    let site = with_short_epochs(Site::new());
    let feeds = feeds();
    let delays: Vec<u64> = (0..12).map(|kill| 40 + 37 * (kill % 6)).collect();
    stream_through_kills(&site, &feeds, &delays);
    check(of_tail(&site.tail("curated")), &feeds);
}

#[test]
fn kills_in_transactions_of_kafka_lose_nothing_and_double_nothing() {
    let bootstrap = broker::shared().bootstrap();
    let site = with_short_epochs(Site::kafka(bootstrap, "kills"));
    let feeds = &feeds()[..6];
    stream_through_kills(&site, feeds, &[300, 1_100, 700, 1_500, 900]);
    check(kcat::changes(&kcat::records("kills-curated")), feeds);
}
