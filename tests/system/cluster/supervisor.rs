//! Supervisors: what is lost is started again, and what is of no use to start again is not.

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use riffle::cluster::free_addresses;
use rustix::process::Signal;
use serde_json::Value;

use super::{Cluster, SIMPLE, append, curate, curated_in, curated_so_far, id, wait_until};
use crate::broker;
use crate::site::{Site, document};

#[test]
fn fault_killed_processes_are_started_again_and_nothing_is_lost_or_doubled() {
    let site = Site::with_rules(SIMPLE);
    append(&site, 0, 200);
    let cluster = Cluster::start(&site, &["--processes", "3"]);
    let kills = std::env::var("RIFFLE_TEST_CASES").map_or(5, |kills| kills.parse().unwrap());
    for kill in 0..kills {
        wait_until("all processes run", || cluster.members().len() == 3);
        let new = 200 + kill * 200..400 + kill * 200;
        append(&site, new.start, 200);
        // At one time or another while they meet, replay, and commit; but not always before they
        // commit, or the supervisor would give up.
        match kill % 3 {
            2 => wait_until("the new documents are curated", || {
                let curated = curated_so_far(&site);
                new.clone().any(|n| curated.contains_key(&id(n)))
            }),
            _ => thread::sleep(Duration::from_millis(kill * kill * 70 % 1_500)),
        }
        let members = cluster.members();
        let victim = members[(kill * kill * 7 / 3 % 3) as usize % members.len()];
        Cluster::signal(victim, Signal::KILL);
        wait_until("they are others", || !cluster.members().contains(&victim));
    }
    curate(&site, "reference", &[]);
    let expected = curated_in(&site, "curated-reference");
    assert!(expected.len() as u64 > 30 * kills, "{}", expected.len());
    wait_until("all is curated", || curated_so_far(&site) == expected);
    let said = cluster.end();
    assert!(said.contains("was killed by signal 9"), "{said}");
    assert_eq!(
        said.matches("starting all again").count() as u64,
        kills,
        "{said}"
    );
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn machines_under_supervisors_of_their_own_meet_again_and_end_together() {
    let site = Site::with_rules(SIMPLE);
    append(&site, 0, 100);
    site.write("hosts", free_addresses(2).unwrap().join("\n"));
    let [first, second] = ["0", "1"].map(|it| Cluster::of_process(&site, it));
    wait_until("something is curated", || !curated_so_far(&site).is_empty());
    let before = (first.members()[0], second.members()[0]);
    Cluster::signal(before.1, Signal::KILL);
    wait_until("both are started again", || {
        let running = (first.members(), second.members());
        running.0.first().is_some_and(|it| *it != before.0)
            && running.1.first().is_some_and(|it| *it != before.1)
    });
    append(&site, 100, 100);
    let many = curated_so_far(&site).len() + 10;
    wait_until("more is curated", || curated_so_far(&site).len() > many);
    // A member that is asked to end ends all.
    let said = second.end();
    first.ended();
    assert!(said.contains("starting all again"), "{said}");
}

#[test]
fn fault_a_cluster_that_fails_at_the_same_place_again_and_again_is_given_up() {
    let site = Site::with_rules(SIMPLE);
    append(&site, 0, 10);
    // Damage in the log, which nothing but a person can mend.
    let segment = site.path("riffle-data/logs/scored/00000/00000000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[60..70].fill(0xaa);
    fs::write(&segment, bytes).unwrap();
    let ended = site.riffle(&["curate", "--processes", "2"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let error = ended.stderr.lines().last().unwrap();
    let expected =
        "error: process 0 ended with exit code 1, and 6 starts in a row have committed nothing: ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_cluster_whose_supervisor_is_killed_ends_and_another_goes_on() {
    let site = Site::with_rules(SIMPLE);
    append(&site, 0, 100);
    let mut cluster = Cluster::start(&site, &["--processes", "2"]);
    wait_until("something is curated", || !curated_so_far(&site).is_empty());
    let members = cluster.members();
    cluster.supervisor.kill().unwrap();
    cluster.supervisor.wait().unwrap();
    wait_until("its processes end", || {
        members
            .iter()
            .all(|id| !Path::new(&format!("/proc/{id}")).exists() || is_zombie(*id))
    });
    append(&site, 100, 50);
    let ended = site.riffle(&["curate", "--processes", "2", "--until-end", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let summary: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(summary["admitted"].as_u64().unwrap() > 0, "{summary}");
}

/// Whether a process has ended, and its parent, which is gone too, has not been told.
fn is_zombie(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim().starts_with('Z'))
}

/// Each shuts the other out when it starts: one must leave it at that.
#[test]
fn of_two_supervised_clusters_on_one_topic_one_leaves_it_to_the_other() {
    let site = Site::kafka(broker::shared().bootstrap(), "rivals")
        .set("score.epoch_ms=50")
        .set("curate.epoch_ms=50");
    let curated = || curated_in(&site, "rivals-curated").len();
    let mut fed = 0;
    let mut feed = || {
        site.feed(&[document(fed, 0), document(fed + 1, 0)]);
        fed += 2;
        // Each feed is a process, and the rivals shall have the processor.
        thread::sleep(Duration::from_millis(300));
    };
    feed();
    let mut scorer = site.spawn(&["score"]);
    let first = Cluster::start(&site, &["--processes", "2"]);
    wait_until("something is curated", || {
        feed();
        curated() > 0
    });
    let elsewhere = ["--processes", "2", "--set=local.dir=elsewhere"];
    let mut rivals = [first, Cluster::start(&site, &elsewhere)];
    let mut has_ended = [false; 2];
    wait_until("one of them ends", || {
        feed();
        has_ended = rivals
            .each_mut()
            .map(|it| it.supervisor.try_wait().unwrap().is_some());
        has_ended != [false; 2]
    });
    if has_ended[1] {
        rivals.reverse();
    }
    let [loser, winner] = rivals;
    let (code, said) = loser.outcome();
    assert_eq!(code, Some(77), "{said}");
    let expected = "error: process 0 ended with exit code 77, as the start before, and leaves it to \
                    the other process: another writer named \"curate-rivals-curated\" has taken over";
    assert_eq!(said.lines().last(), Some(expected), "{said}");
    let before = curated();
    wait_until("the other goes on", || {
        feed();
        curated() > before
    });
    winner.end();
    scorer.kill().unwrap();
    scorer.wait().unwrap();
    let verified = site.riffle(&["verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
}
