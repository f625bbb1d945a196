//! `riffle verify` through the real binary: equal after whatever the engine does, and every damage
//! that is planted by hand is found.

use std::sync::Arc;

use riffle::log::kafka::{KafkaStore, TopicOptions};
use riffle::log::local::{LocalOptions, LocalStore};
use riffle::log::{Record, Store, partition_of};
use serde_json::{Value, json};

use crate::broker;
use crate::crashes::{feeds, stream_through_kills, with_short_epochs};
use crate::site::{Site, document, takedown};

/// What it found, which is equal or not.
fn verify(site: &Site, equal: bool) -> Value {
    let ended = site.riffle(&["verify", "--json"]);
    let code = if equal { 0 } else { 65 };
    assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["equal"], equal);
    assert_eq!(report["expected"] == report["published"], equal, "{report}");
    report
}

fn counts(report: &Value) -> [u64; 4] {
    ["missing", "extra", "stale", "doubled"].map(|it| report[it]["documents"].as_u64().unwrap())
}

#[test]
fn what_is_published_is_what_should_be_after_runs_under_any_rules() {
    let site = Site::new();
    let nothing = site.riffle(&["verify"]);
    assert_eq!(nothing.code, Some(69), "{}", nothing.stderr);
    assert!(
        nothing
            .stderr
            .contains("error: there is nothing to verify: curate has not committed anything"),
        "{}",
        nothing.stderr
    );
    site.feed(&(0..101).map(|n| document(n, 0)).collect::<Vec<_>>());
    site.run();
    let first = verify(&site, true);
    assert_eq!(first["published"]["documents"], 50);
    assert_eq!(first["corpus"], json!({"live": 101, "curated": 50}));
    assert_eq!(
        first["statistics"],
        json!({"is": {"live": 101, "curated": 50}})
    );

    let changes = (0..101).step_by(7).map(takedown);
    let changes = changes.chain((1..101).step_by(5).map(|n| document(n, 1)));
    site.feed(&changes.collect::<Vec<_>>());
    // What is not curated yet is not expected either.
    assert_eq!(verify(&site, true)["published"], first["published"]);
    site.run();
    let second = verify(&site, true);
    assert_ne!(second["published"], first["published"]);
    for rules in [
        "[[select]]\nby = \"perplexity\"\nkeep = \"low\"\nrate = 0.3\ngroup_by = \"source\"",
        "[skills]\nfield = \"source\"\n[[select]]\nby = \"random\"\nrate = 0.8",
        "[skills]\nfield = \"metadata.perplexity\"\n[[select]]\nby = \"random\"\nrate = 0.9",
        "[mixture]\nskills = [\"letters\", \"tales\"]\n[skills]\nfield = \"source\"\n[[select]]\nby = \"skills\"\nbudget = 9\nmass = \"documents\"",
        "select = []",
    ] {
        site.write("riffle.toml", rules);
        assert_eq!(verify(&site, true)["rules_have_changed"], true, "{rules}");
        site.run();
        let report = verify(&site, true);
        assert_eq!(report["rules_have_changed"], false, "{rules}");
        assert_eq!(
            report["mixture_equal"],
            json!(rules.contains("mixture").then_some(true))
        );
    }
}

#[test]
fn kills_and_restarts_leave_nothing_missing_doubled_or_stale() {
    let site = with_short_epochs(Site::new());
    let delays: Vec<u64> = (0..6).map(|kill| 40 + 53 * (kill % 4)).collect();
    stream_through_kills(&site, &feeds(), &delays);
    verify(&site, true);
}

/// Appends a record to the curated log behind the curator's back.
fn plant(store: &dyn Store, log: &str, key: &str, value: Option<Value>, epoch: Option<u64>) {
    let partition = partition_of(key.as_bytes(), store.partitions(log).unwrap().unwrap());
    let header = |epoch: u64| ("riffle-epoch".to_owned(), epoch.to_string().into_bytes());
    let record = Record {
        key: Some(key.into()),
        value: value.map(|value| value.to_string().into_bytes()),
        headers: epoch.map(header).into_iter().collect(),
    };
    let mut writer = store.writer("by-hand", &[log]).unwrap();
    writer.append(log, partition, record).unwrap();
    writer.commit(b"").unwrap();
}

/// Plants damages of each kind one after the other; each is found, with its id.
fn find_what_is_planted(site: &Site, store: &dyn Store, curated: &str) {
    let epoch = verify(site, true)["epoch"].as_u64();
    let records = site.tail("curated");
    let mut kept = records.iter().filter(|it| it.get("riffle").is_some());
    let mut next = || kept.next().unwrap().clone();
    let id_of = |document: &Value| document["id"].as_str().unwrap().to_owned();
    let examples = |report: &Value, kind: &str| -> Vec<String> {
        let of = report[kind]["examples"].as_array().unwrap();
        of.iter().map(id_of).collect()
    };

    let mut ghost = next();
    ghost["id"] = "ghost".into();
    plant(store, curated, "ghost", Some(ghost), epoch);
    let report = verify(site, false);
    assert_eq!(counts(&report), [0, 1, 0, 0]);
    assert_eq!(examples(&report, "extra"), ["ghost"]);

    // Each damage comes on top of those before.
    let lost = next();
    plant(store, curated, &id_of(&lost), None, None);
    let report = verify(site, false);
    assert_eq!(counts(&report), [1, 1, 0, 0]);
    assert_eq!(examples(&report, "missing"), [id_of(&lost)]);

    let mut changed = next();
    changed["text"] = "Another story.".into();
    plant(
        store,
        curated,
        &id_of(&changed),
        Some(changed.clone()),
        epoch,
    );
    let mut mismeasured = next();
    mismeasured["riffle"]["perplexity"] = 1.0.into();
    plant(
        store,
        curated,
        &id_of(&mismeasured),
        Some(mismeasured.clone()),
        epoch,
    );
    let report = verify(site, false);
    assert_eq!(counts(&report), [1, 1, 2, 0]);
    let mut stale = examples(&report, "stale");
    stale.sort();
    let mut expected = [&changed, &mismeasured].map(id_of);
    expected.sort();
    assert_eq!(stale, expected);

    // What a running curator will have committed later is not looked at.
    plant(
        store,
        curated,
        "later",
        Some(json!({})),
        epoch.map(|it| it + 1),
    );
    assert_eq!(counts(&verify(site, false)), [1, 1, 2, 0]);
    let told = site.riffle(&["verify"]);
    assert_eq!(told.code, Some(65), "{}", told.stderr);
    assert!(told.stdout.contains("NOT EQUAL"), "{}", told.stdout);
    assert!(
        told.stdout.contains("\n            ghost  curated "),
        "{}",
        told.stdout
    );
}

#[test]
fn every_damage_that_is_planted_by_hand_is_found() {
    let site = Site::new();
    site.feed(&(0..40).map(|n| document(n, 0)).collect::<Vec<_>>());
    site.run();
    let dir = site.path("riffle-data");
    let store = LocalStore::open(&dir, LocalOptions::default()).unwrap();
    find_what_is_planted(&site, &store, "curated");
}

#[test]
fn statistics_and_a_mixture_that_are_not_those_of_the_corpus_are_found() {
    let site = Site::new();
    site.write(
        "riffle.toml",
        "[skills]\nfield = \"source\"\n[mixture]\nskills = [\"letters\", \"tales\"]\n\
         [[select]]\nby = \"skills\"\nrate = 0.5\nmass = \"documents\"\n",
    );
    site.feed(&(0..40).map(|n| document(n, 0)).collect::<Vec<_>>());
    site.run();
    let report = verify(&site, true);
    assert_eq!(report["mixture_equal"], true);
    let epoch = report["epoch"].clone();
    let dir = site.path("riffle-data");
    let store = LocalStore::open(&dir, LocalOptions::default()).unwrap();
    let mixture = json!({"epoch": epoch, "skills": {"letters": 0.25, "tales": 0.75}});
    plant(&store, "mixture", "mixture", Some(mixture), None);
    let ended = site.riffle(&["verify", "--json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (ended.code, &report["mixture_equal"]),
        (Some(65), &json!(false))
    );
    let corpus = json!({"epoch": epoch, "live": 41, "curated": 20});
    plant(&store, "statistics", "corpus", Some(corpus), None);
    let ended = site.riffle(&["verify", "--json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["statistics"]["is"]["live"], 41);
    assert_eq!((ended.code, counts(&report)), (Some(65), [0, 0, 0, 0]));
}

#[test]
fn on_kafka_it_disturbs_no_live_curator_and_finds_what_is_planted() {
    let bootstrap = broker::shared().bootstrap();
    let site = Site::kafka(bootstrap, "verified")
        .set("topics.partitions=3")
        .set("curate.epoch_ms=50");
    site.feed(&(0..200).map(|n| document(n, 0)).collect::<Vec<_>>());
    site.run();
    verify(&site, true);
    let mut run = site.spawn(&["run"]);
    for n in 0..4 {
        site.feed(&[
            takedown(n * 3),
            document(n * 5 + 1, 1),
            document(200 + n, 0),
        ]);
        verify(&site, true);
        assert!(
            run.try_wait().unwrap().is_none(),
            "the live curator was fenced"
        );
    }
    run.kill().unwrap();
    run.wait().unwrap();
    site.run();
    assert_eq!(verify(&site, true)["corpus"]["live"], 200);
    let properties = [("bootstrap.servers".to_owned(), bootstrap.to_owned())];
    let store = KafkaStore::new(properties.into(), TopicOptions::default()).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    find_what_is_planted(&site, store.as_ref(), "verified-curated");
    // In a partition that is not its own, beside the one that is.
    let curated = site.tail("curated");
    let twice = curated
        .iter()
        .rfind(|it| it.get("riffle").is_some())
        .unwrap();
    let key = twice["id"].as_str().unwrap();
    let mut writer = store.writer("by-hand", &["verified-curated"]).unwrap();
    let record = Record {
        key: Some(key.into()),
        value: Some(twice.to_string().into_bytes()),
        headers: Vec::new(),
    };
    let elsewhere = (partition_of(key.as_bytes(), 3) + 1) % 3;
    writer
        .append("verified-curated", elsewhere, record)
        .unwrap();
    writer.commit(b"").unwrap();
    let report = verify(&site, false);
    assert_eq!(report["doubled"]["documents"], 1, "{report}");
}
