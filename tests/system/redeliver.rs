//! Dead letters are fed again after a fix, each once, unless something newer has come.

use riffle::log::local::{LocalOptions, LocalStore};
use riffle::log::{Record, Store};
use serde_json::{Value, json};

use crate::broker;
use crate::kcat;
use crate::site::{Site, document, id, takedown};

const LIMIT: &str = "--set=score.document_bytes_max=1000";

/// Document number `n` in a version that is larger than the limit.
fn large(n: u64, version: u64) -> Value {
    let mut large = document(n, version);
    large["metadata"]["noise"] = "x".repeat(2_000).into();
    large
}

/// Feeds as it comes, and scores under the limit.
fn run_under_limit(site: &Site, lines: &[Value]) {
    site.feed(lines);
    let run = site.riffle(&[LIMIT, "run", "--until-end"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

fn redeliver(site: &Site, args: &[&str]) -> Value {
    let args = [args, &["redeliver", "--json"]].concat();
    let ended = site.riffle(&args);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

fn counts(summary: &Value) -> [u64; 7] {
    [
        "delivered",
        "superseded",
        "delivered_before",
        "without_key",
        "cut",
        "unusable",
        "left",
    ]
    .map(|name| summary[name].as_u64().unwrap())
}

/// The ids of the curated set, and how often each was published.
fn published(site: &Site) -> Vec<String> {
    let curated = site.tail("curated");
    let ids = curated
        .iter()
        .map(|it| it["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[test]
fn a_document_that_was_too_large_is_curated_once_after_the_limit_was_raised() {
    let site = Site::new().set("select=[]");
    run_under_limit(&site, &[document(0, 0), large(1, 0), document(2, 0)]);
    assert_eq!(published(&site), [id(0), id(2)]);
    let letters = site.tail("dead-letters");
    assert_eq!(letters[0]["value"], large(1, 0).to_string());
    assert_eq!(
        (&letters[0]["key"], &letters[0]["offset"]),
        (&id(1).into(), &1.into())
    );
    let told = site.riffle(&["tail", "dead-letters", "--until-end"]).stdout;
    let expected = format!("0:0 documents 0:1 {} the document has", id(1));
    assert!(told.starts_with(&expected), "{told}");

    // Without a fix it would be a dead letter again.
    let summary = redeliver(&site, &[LIMIT]);
    assert_eq!(counts(&summary), [0, 0, 0, 0, 0, 1, 0]);
    let why = summary["unusable_examples"][0]["reason"].as_str().unwrap();
    assert!(why.contains("over the limit of 1000"), "{summary}");
    let dry = site.riffle(&["redeliver", "--dry-run"]);
    assert_eq!(dry.stderr, "1 dead letters would be fed again\n");
    assert_eq!(site.tail("documents").len(), 3);

    assert_eq!(counts(&redeliver(&site, &[])), [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(counts(&redeliver(&site, &[])), [0; 7]);
    assert_eq!(site.tail("documents")[3..], [large(1, 0)]);
    site.run();
    assert_eq!(published(&site), [id(0), id(2), id(1)]);
    assert_eq!(counts(&redeliver(&site, &[])), [0; 7]);
    site.run();
    assert_eq!(site.tail("documents").len(), 4);
    assert_eq!(site.riffle(&["verify"]).code, Some(0));
}

#[test]
fn what_something_newer_has_come_for_stays_dead() {
    let site = Site::new().set("select=[]").set("topics.partitions=3");
    let lines: Vec<Value> = (0..6).map(|n| large(n, 0)).collect();
    run_under_limit(&site, &lines);
    // A newer version, a takedown, and a newer version that is too large as well.
    run_under_limit(&site, &[document(0, 1), takedown(1), large(2, 1)]);
    let summary = redeliver(&site, &[]);
    assert_eq!(counts(&summary), [4, 3, 0, 0, 0, 0, 0]);
    site.run();
    let mut curated = site.tail("curated");
    curated.sort_by_key(|it| it["id"].as_str().unwrap().to_owned());
    let texts: Vec<&str> = curated
        .iter()
        .map(|it| it["text"].as_str().unwrap())
        .collect();
    let expected = [(0, 1), (2, 1), (3, 0), (4, 0), (5, 0)].map(|(n, v)| document(n, v));
    let expected: Vec<&str> = expected
        .iter()
        .map(|it| it["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, expected);
}

#[test]
fn a_filter_leaves_the_others_for_later_and_none_goes_twice() {
    let site = Site::new().set("select=[]");
    let mut unscored = document(7, 0);
    unscored["metadata"] = json!({});
    run_under_limit(&site, &[unscored, large(8, 0), document(9, 0)]);
    let by_reason = |text| ["redeliver", "--json", "--reason", text];
    let filtered = |text| -> Value {
        let ended = site.riffle(&by_reason(text));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    };
    assert_eq!(counts(&filtered("over the limit")), [1, 0, 0, 0, 0, 0, 1]);
    // The letter that was left holds the place before the one that went.
    assert_eq!(counts(&filtered("over the limit")), [0, 0, 1, 0, 0, 0, 1]);
    assert_eq!(counts(&filtered("is missing")), [1, 0, 0, 0, 0, 0, 1]);
    assert_eq!(counts(&redeliver(&site, &[])), [0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(counts(&redeliver(&site, &[])), [0; 7]);
    assert_eq!(site.tail("documents").len(), 5);
    site.run();
    // One of the two is a dead letter again, for the reason that it was one.
    assert_eq!(published(&site), [id(9), id(8)]);
    assert_eq!(site.tail("dead-letters").len(), 3);
}

#[test]
fn letters_without_a_key_or_cut_off_are_counted_and_stay() {
    let site = Site::new();
    site.riffle_reading(b"no JSON at all\n", &["feed", "-"]);
    site.feed(&[document(0, 0)]);
    site.run();
    let dir = site.path("riffle-data");
    let store = LocalStore::open(&dir, LocalOptions::default()).unwrap();
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let cut = Record {
        key: Some(id(1).into()),
        value: Some(document(1, 0).to_string()[..20].into()),
        headers: vec![
            header("reason", "a record of 70000000 bytes is over the limit"),
            header("topic", "documents"),
            header("partition", "0"),
            header("offset", "1"),
            header("cut-from", "70000000"),
        ],
    };
    let mut writer = store.writer("by-hand", &["dead-letters"]).unwrap();
    writer.append("dead-letters", 0, cut).unwrap();
    writer.commit(b"").unwrap();
    drop(writer);
    assert_eq!(site.tail("dead-letters")[1]["cut_from"], 70_000_000);
    let ended = site.riffle(&["redeliver"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        ended.stderr,
        "0 dead letters fed again\n\
         1 without a key: feed them again from where they came\n\
         1 kept only in part: feed them again from where they came\n"
    );
    assert_eq!(site.tail("documents").len(), 1);
}

#[test]
fn on_kafka_records_of_others_are_delivered_again_where_they_stood() {
    let site = Site::kafka(broker::shared().bootstrap(), "letters")
        .set("topics.partitions=3")
        .set("select=[]");
    run_under_limit(&site, &[document(0, 0)]);
    let line = |n| format!("{}\t{}\n", id(n), large(n, 0));
    let lines: String = (1..20).map(line).collect();
    kcat::produce("letters-documents", lines.as_bytes());
    run_under_limit(&site, &[document(3, 1), takedown(4)]);
    assert_eq!(site.tail("dead-letters").len(), 19);
    assert_eq!(counts(&redeliver(&site, &[])), [17, 2, 0, 0, 0, 0, 0]);
    assert_eq!(counts(&redeliver(&site, &[])), [0; 7]);
    site.run();
    let mut ids = published(&site);
    ids.sort();
    let expected: Vec<String> = (0..20).filter(|n| *n != 4).map(id).collect();
    assert_eq!(ids, expected);
    let verified = site.riffle(&["verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
}
