//! A filesystem that fills up: what is said, and that nothing is lost when there is space again.
//!
//! The test runs itself in a mount namespace of its own, where it may mount small filesystems.
//! Where that is not permitted it says so; the whole-system tests limit the size of files instead.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::curated::{Changes, Documents, live, middle_half, of_tail};
use crate::site::{Ended, Site, json_lines, noisy};

/// Set in the process that the test starts of itself.
const INSIDE: &str = "RIFFLE_SOAK_MOUNT_NAMESPACE";
const NAME: &str = "disk_full::a_full_disk_is_told_and_loses_nothing";

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    if std::env::var_os(INSIDE).is_some() {
        return fill_and_go_on();
    }
    let mount = "mount -t tmpfs -o size=64k none \"$0\"";
    let dir = tempfile::tempdir().unwrap();
    let mut tried = Command::new("unshare");
    tried.args(["-m", "bash", "-c", mount]).arg(dir.path());
    match tried.output() {
        Ok(tried) if tried.status.success() => println!("a tmpfs in a mount namespace fills up"),
        _ => return println!("skipped: mounting is not permitted; files are limited elsewhere"),
    }
    let mut again = Command::new("unshare");
    again.arg("-m").arg(std::env::current_exe().unwrap());
    again
        .args(["--exact", NAME, "--nocapture"])
        .env(INSIDE, "1");
    let ended = Ended::from(again.output().unwrap());
    println!("{}", ended.stdout);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("1 passed"), "{}", ended.stdout);
}

/// A site whose local logs have so many KiB.
struct Disk {
    site: Site,
    kib: u32,
}

impl Disk {
    fn new(kib: u32) -> Self {
        let site = Site::new()
            .set("score.epoch_ms=10")
            .set("curate.epoch_ms=10");
        std::fs::create_dir(site.path("riffle-data")).unwrap();
        let disk = Disk { site, kib };
        disk.mount("size");
        disk
    }

    fn mount(&self, option: &str) {
        let mut mount = Command::new("mount");
        mount.args([
            "-t",
            "tmpfs",
            "-o",
            &format!("{option}={}k", self.kib),
            "none",
        ]);
        let mounted = mount.arg(self.site.path("riffle-data")).status();
        assert!(mounted.unwrap().success());
    }

    /// Runs until it ends well, with a little more space after each time that there was none; how
    /// often that was. The first runs with `args`, and from the first commit on with `again`.
    fn fill(&mut self, args: &[&str], again: &[&str]) -> u32 {
        for failures in 0..200 {
            let documents = self.site.riffle(&["tail", "documents", "--until-end"]);
            let is_first = documents.stdout.is_empty();
            let args = if is_first { args } else { again };
            let ended = self.site.riffle(args);
            if ended.code == Some(0) {
                return failures;
            }
            check_told(args, &ended);
            self.kib += 60;
            self.mount("remount,size");
        }
        panic!("{args:?} does not end at {} KiB", self.kib)
    }
}

/// Checks that a full disk is told in one line, with the place.
fn check_told(args: &[&str], ended: &Ended) {
    let said = &ended.stderr;
    assert_eq!(ended.code, Some(1), "{args:?}: {said}");
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{args:?}: {said}");
    let is_told = ["No space left on device", "riffle-data"];
    assert!(
        is_told.iter().all(|text| errors[0].contains(text)),
        "{said}"
    );
    assert!(
        said.ends_with(&format!("{}\n", errors[0])),
        "{args:?}: {said}"
    );
    assert!(!said.contains("panicked"), "{args:?}: {said}");
    println!("{args:?}: {}", errors[0]);
}

fn fill_and_go_on() {
    let mut disk = Disk::new(300);
    let fed: Vec<Value> = (0..4_000).map(noisy).collect();
    disk.site.write("a.jsonl", json_lines(&fed));
    let mut failures = disk.fill(&["feed", "a.jsonl"], &["feed", "--resume", "a.jsonl"]);
    // Each half hits the end of the disk more than once, wherever it stands then.
    for half in ["score", "curate", "run"] {
        failures += disk.fill(&[half, "--until-end"], &[half, "--until-end"]);
    }
    assert!(failures >= 6, "{failures}: the disk was hardly full");
    println!("full {failures} times, at up to {} KiB", disk.kib);
    disk.site.run();
    check(&disk.site, &fed);
}

fn check(site: &Site, fed: &[Value]) {
    for log in ["documents", "scored"] {
        let found = site.tail(log);
        let distinct: BTreeSet<&str> = found.iter().filter_map(|it| it["id"].as_str()).collect();
        let counts = (found.len(), distinct.len());
        assert_eq!(counts, (fed.len(), fed.len()), "{log}");
    }
    let changes = Changes::apply(Documents::new(), of_tail(&site.tail("curated")));
    assert_eq!(changes.set, middle_half(&live(fed)));
}
