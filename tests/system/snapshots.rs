//! Restarts from snapshots through the binary: what is said, what is checked, and what breaks.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::curated::{Changes, Documents, Keep, kept, live, middle_half, of_tail};
use crate::site::{Site, document, takedown};

const FROM_SNAPSHOT: &str = "starting from a snapshot";

/// A site that makes a snapshot at every orderly end.
fn site() -> Site {
    Site::new().set("curate.snapshot_records_min=1")
}

fn snapshots(site: &Site) -> Vec<PathBuf> {
    let dir = site.path("riffle-data/snapshots/local-curated");
    let files = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    let mut files: Vec<_> = files.filter(|it| it.extension().is_some()).collect();
    files.sort_unstable();
    files
}

/// Runs to the end; what was said.
fn run(site: &Site) -> String {
    let run = site.riffle(&["run", "--until-end"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stderr
}

fn curated(site: &Site) -> Documents {
    Changes::apply(Documents::new(), of_tail(&site.tail("curated"))).set
}

#[test]
fn a_restart_says_which_snapshot_it_starts_from_and_how_much_it_reads() {
    let site = site();
    let mut fed: Vec<Value> = (0..200).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    assert!(!run(&site).contains("snapshot can be used"));
    // Not worth a snapshot: fewer than an eighth.
    let more = [document(3, 1), document(500, 0), takedown(4)];
    site.feed(&more);
    fed.extend(more);
    let told = run(&site);
    assert!(
        told.contains(FROM_SNAPSHOT) && told.contains("documents=200"),
        "{told}"
    );
    let check = site.riffle(&["check", "--set=score.device=cpu"]).stdout;
    assert!(check.contains("; logs: documents, scored, "), "{check}");
    assert!(
        check.contains("200 documents, ") && check.contains("; 3 of 203 records"),
        "{check}"
    );
    let told = run(&site);
    assert!(
        told.contains(FROM_SNAPSHOT) && told.contains("records=3"),
        "{told}"
    );
    assert_eq!(curated(&site), middle_half(&live(&fed)));

    // Other rules begin with it too, and publish the difference.
    let site = site.set("select=[{by=\"perplexity\",keep=\"low\",rate=0.3}]");
    let told = run(&site);
    assert_eq!(told.matches(FROM_SNAPSHOT).count(), 2, "{told}");
    assert_eq!(curated(&site), kept(live(&fed).values(), Keep::Low, 30));
}

#[test]
fn fault_a_broken_snapshot_is_told_once_and_an_older_one_or_the_log_serves() {
    let site = site();
    let mut fed: Vec<Value> = (0..100).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    run(&site);
    let more: Vec<Value> = (100..150).map(|n| document(n, 0)).collect();
    site.feed(&more);
    fed.extend(more);
    run(&site);
    for broken in [1, 2] {
        let files = snapshots(&site);
        assert_eq!(files.len(), 2, "{files:?}");
        for path in &files[2 - broken..] {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }
        let warned = site.riffle(&["check", "--set=score.device=cpu"]);
        assert_eq!(
            (warned.code, warned.stdout.matches("is damaged").count()),
            (Some(0), broken)
        );
        let told = run(&site);
        assert_eq!(
            told.matches("not every snapshot can be used").count(),
            1,
            "{told}"
        );
        assert_eq!(told.contains(FROM_SNAPSHOT), broken == 1, "{told}");
        assert_eq!(curated(&site), middle_half(&live(&fed)));
    }
    fs::remove_dir_all(site.path("riffle-data/snapshots")).unwrap();
    assert!(!run(&site).contains("WARN"));
    assert_eq!(curated(&site), middle_half(&live(&fed)));
}

#[test]
fn fault_without_room_for_snapshots_the_stream_goes_on() {
    let site = site();
    let fed: Vec<Value> = (0..60).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    site.write("riffle-data/snapshots", "in the way");
    let told = run(&site);
    assert_eq!(
        told.matches("no snapshots are used or made").count(),
        1,
        "{told}"
    );
    assert_eq!(curated(&site), middle_half(&live(&fed)));
}
