//! Curating in two processes: the bench starts itself as the second one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use riffle::cluster::{Place, free_addresses};
use riffle::config::Config;
use riffle::engine::{Membership, Stores, run_in_cluster};

use crate::phases::{Measured, Phase};

/// Asks the bench to be the second process.
pub const MEMBER: &str = "--member";

/// Curates in two processes with a worker each; memory and processor time are those of the first
/// process, and beside them those of the second.
pub fn curate(phase: Phase, dir: &Path, config: &Config) -> Measured {
    let addresses = free_addresses(2).unwrap();
    let second = Command::new(std::env::current_exe().unwrap())
        .args([MEMBER.as_ref(), phase.name().as_ref(), dir.as_os_str()])
        .arg(addresses.join(","))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let summary = take_place(config, 0, addresses).unwrap();
    let store = Stores::new(config).of(config.scored.log).unwrap();
    let documents = store.ends(&config.scored.topic).unwrap().0.iter().sum();
    let measured = Measured::since(started, documents);
    let second = second.wait_with_output().unwrap();
    assert!(second.status.success(), "the second process failed");
    let second: Measured = serde_json::from_slice(&second.stdout).unwrap();
    Measured {
        live: summary.live,
        admitted: summary.admitted,
        withdrawn: summary.withdrawn,
        second: Some((second.cpu_seconds, second.peak_bytes)),
        ..measured
    }
}

/// Is the second process.
pub fn second(phase: Phase, dir: &Path, addresses: &str) -> Measured {
    let config = phase.config(dir);
    let started = Instant::now();
    let addresses = addresses.split(',').map(str::to_owned).collect();
    assert!(
        take_place(&config, 1, addresses).is_none(),
        "it knows of no documents"
    );
    Measured::since(started, 0)
}

fn take_place(
    config: &Config,
    process: usize,
    addresses: Vec<String>,
) -> Option<riffle::engine::Summary> {
    let place = Place {
        process,
        addresses,
        key: String::new(),
    };
    let membership = Membership {
        place,
        lifeline: None,
    };
    let stop = Arc::new(AtomicBool::new(false));
    run_in_cluster(config, true, membership, &stop).unwrap()
}
