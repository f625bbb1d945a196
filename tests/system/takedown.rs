//! `riffle takedown` through the real binary: appended once, and told stage by stage.

use serde_json::{Value, json};

use crate::broker;
use crate::kcat;
use crate::site::{Site, document, id};

fn takedown(site: &Site, args: &[&str]) -> Value {
    takedown_reading(site, "", args)
}

fn takedown_reading(site: &Site, input: &str, args: &[&str]) -> Value {
    let args = [&["takedown", "--json"], args].concat();
    let ended = site.riffle_reading(input.as_bytes(), &args);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// Which stages a document's takedown has come through.
fn stages(report: &Value, n: u64) -> [bool; 3] {
    let documents = report["documents"].as_array().unwrap();
    let of = documents.iter().find(|it| it["id"] == id(n)).unwrap();
    ["scored", "curated", "statistics"].map(|stage| of[stage].as_bool().unwrap())
}

#[test]
fn each_stage_is_told_once_it_is_past_the_takedown() {
    let site = Site::new().set("select=[]").set("topics.partitions=3");
    let missing = site.riffle(&["takedown", "a"]);
    assert_eq!(missing.code, Some(69), "{}", missing.stderr);
    site.feed(&(0..20).map(|n| document(n, 0)).collect::<Vec<_>>());
    site.run();
    let (a, b) = (id(3), id(4));
    let none = takedown(&site, &["--status", &a, "ghost"]);
    let found = |report: &Value| -> Vec<String> {
        let documents = report["documents"].as_array().unwrap();
        let found = documents
            .iter()
            .map(|it| it["found"].as_str().unwrap().to_owned());
        found.collect()
    };
    assert_eq!(
        (found(&none), &none["complete"]),
        (vec!["unknown".into(), "live".into()], &json!(false))
    );

    let ended = site.riffle_reading(format!("{b}\r\n\n").as_bytes(), &["takedown", &a, "-"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .contains("scored OPEN  curated OPEN  statistics OPEN  snapshots OPEN\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.ends_with(
        "of 2 takedowns: 0 scored, 0 curated, 0 statistics, 0 snapshots: not complete yet\n"
    ));
    assert!(
        ended
            .stderr
            .contains("may still lie in log documents (for good, as a local log)"),
        "{}",
        ended.stderr
    );
    let tombstones = site.tail("documents").split_off(20);
    assert_eq!(tombstones.len(), 2);
    assert!(tombstones.iter().all(|it| it["deleted"] == true));

    let step = |command: &str| {
        let ended = site.riffle(&[command, "--until-end"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let report = takedown(&site, &["--status", &a, &b]);
        (
            report["complete"] == true,
            [3, 4].map(|n| stages(&report, n)),
        )
    };
    assert_eq!(step("score"), (false, [[true, false, false]; 2]));
    assert_eq!(step("curate"), (true, [[true; 3]; 2]));
    assert_eq!(site.tail("documents").len(), 22, "--status appends nothing");
    let gone = site.tail("curated").split_off(20);
    let mut gone: Vec<&str> = gone.iter().map(|it| it["id"].as_str().unwrap()).collect();
    gone.sort();
    assert_eq!(gone, [&a, &b]);

    // One that was never curated, or never was, is complete without a tombstone.
    let report = takedown(&site, &["ghost"]);
    assert_eq!(report["complete"], false);
    site.run();
    assert_eq!(takedown(&site, &["--status", "ghost"])["complete"], true);
    assert_eq!(site.tail("curated").len(), 22);
    // A version that comes later is no takedown.
    site.feed(&[document(3, 1)]);
    assert_eq!(found(&takedown(&site, &["--status", &a])), ["live"]);
}

#[test]
fn a_takedown_is_waited_for_while_the_engine_runs() {
    let site = Site::kafka(broker::shared().bootstrap(), "goodbye")
        .set("topics.partitions=3")
        .set("select=[]");
    site.feed(&(0..30).map(|n| document(n, 0)).collect::<Vec<_>>());
    site.run();
    let mut run = site.spawn(&["run"]);
    let ids: String = (0..10).map(|n| format!("{}\n", id(n))).collect();
    let report = takedown_reading(&site, &ids, &["--wait", "-"]);
    assert_eq!(report["complete"], true, "{report}");
    assert!(
        run.try_wait().unwrap().is_none(),
        "the engine was disturbed"
    );
    run.kill().unwrap();
    run.wait().unwrap();
    let records = kcat::records("goodbye-curated");
    let gone = records.iter().filter(|it| it["payload"].is_null());
    assert_eq!(gone.count(), 10);
    assert_eq!(takedown(&site, &["--status", &id(9)])["complete"], true);
    let verified = site.riffle(&["verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
}

#[test]
fn a_takedown_is_complete_when_no_snapshot_has_the_document() {
    let site = Site::new().set("curate.snapshot_records_min=1");
    site.feed(&(0..20).map(|n| document(n, 0)).collect::<Vec<_>>());
    site.run();
    takedown(&site, &[&id(0)]);
    // One record is too little for a new snapshot: the one that is there has the document.
    site.run();
    let open = takedown(&site, &["--status", &id(0)]);
    let snapshots = |report: &Value| report["documents"][0]["snapshots"].as_bool();
    assert_eq!(
        (&open["complete"], snapshots(&open)),
        (&json!(false), Some(false))
    );
    site.feed(&(20..30).map(|n| document(n, 0)).collect::<Vec<_>>());
    site.run();
    let done = takedown(&site, &["--status", &id(0)]);
    assert_eq!(
        (&done["complete"], snapshots(&done)),
        (&json!(true), Some(true))
    );
}
