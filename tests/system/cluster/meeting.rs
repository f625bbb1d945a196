//! Processes that meet, or do not belong together, or lose each other, without a supervisor's help.

use std::thread;
use std::time::Duration;

use riffle::cluster::free_addresses;

use super::{Cluster, SIMPLE, append, curated_so_far, wait_until};
use crate::site::Site;

#[test]
fn processes_that_do_not_belong_together_are_told_why() {
    let site = Site::with_rules(SIMPLE);
    append(&site, 0, 10);
    site.write("hosts", free_addresses(2).unwrap().join("\n"));
    let mut first = site.spawn(&[
        "curate",
        "--process",
        "0",
        "--hostfile",
        "hosts",
        "--until-end",
    ]);
    for (args, key, expected) in [
        (
            vec!["--set=curate.workers=2"],
            "",
            "it has curate.workers = 2, and process 0 1",
        ),
        (
            vec!["--set=select=[]"],
            "",
            "it has these rules: [], and process 0 ",
        ),
        (
            vec![],
            "another",
            "it belongs to another cluster at the same addresses",
        ),
    ] {
        let mut all = vec!["curate", "--process", "1", "--hostfile", "hosts"];
        all.extend(&args);
        let ended = site.riffle_with("RIFFLE_CLUSTER_KEY", key, &all);
        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
    // Process 0 still waits for its own.
    let second = site.riffle(&["curate", "--process", "1", "--hostfile", "hosts"]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(first.wait().unwrap().success());
    for args in [
        vec!["--process", "2", "--hostfile", "hosts"],
        vec!["--process", "0", "--hostfile", "missing"],
        vec!["--process", "0"],
        vec!["--hostfile", "hosts"],
        vec!["--processes", "2", "--process", "0"],
    ] {
        let ended = site.riffle(&[&["curate"], &args[..]].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn a_cluster_that_is_asked_to_end_before_it_has_met_ends() {
    let site = Site::with_rules(SIMPLE);
    site.write("hosts", free_addresses(3).unwrap().join("\n"));
    let [first, second] = ["0", "1"].map(|it| Cluster::of_process(&site, it));
    wait_until("both run", || {
        [&first, &second].iter().all(|it| it.members().len() == 1)
    });
    thread::sleep(Duration::from_millis(300));
    for waiting in [first, second] {
        let said = waiting.end();
        assert!(!said.contains("error"), "{said}");
    }
}

#[test]
fn fault_without_a_supervisor_the_loss_of_a_process_ends_the_others_with_its_name() {
    let site = Site::with_rules(SIMPLE);
    append(&site, 0, 100);
    let hosts = free_addresses(2).unwrap();
    site.write("hosts", hosts.join("\n"));
    let start =
        |process: &str| site.spawn(&["curate", "--process", process, "--hostfile", "hosts"]);
    let (first, mut second) = (start("0"), start("1"));
    wait_until("something is curated", || !curated_so_far(&site).is_empty());
    second.kill().unwrap();
    second.wait().unwrap();
    let ended = first.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(75), "{said}");
    let error = said.lines().last().unwrap();
    assert_eq!(
        error,
        "error: process 1 of the cluster is lost: it has ended, or was killed"
    );
    assert!(!said.contains("panicked"), "{said}");
}
