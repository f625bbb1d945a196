//! A broker that is away for a while: both halves wait for it, and say so once.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::broker::Broker;
use crate::curated::{Changes, Documents, live, middle_half, of_tail};
use crate::process::{Doom, Process};
use crate::site::{Site, document};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_broker_that_is_away_is_waited_for_and_told_of_once() {
    let broker = Broker::start();
    let site = Site::kafka(broker.bootstrap(), "away")
        .set("score.epoch_ms=50")
        .set("curate.epoch_ms=50");
    let documents =
        |from: u64| -> Vec<Value> { (from..from + 1_000).map(|n| document(n, 0)).collect() };
    site.feed(&documents(0));
    site.run(); // makes the topics
    site.feed(&documents(1_000));
    let mut halves = ["score", "curate"].map(|half| {
        let process = Process::start(&site, &format!("{half}.said"), &[half]);
        (half, process)
    });
    wait_for(&site, &halves, 1_000);
    for outage in 1..=2 {
        broker.stop();
        thread::sleep(Duration::from_secs(4));
        broker.resume();
        let number = outage as u64 + 1;
        site.feed(&documents(number * 1_000));
        wait_for(&site, &halves, 500 * (outage + 2));
        for (half, process) in &mut halves {
            assert_eq!(process.ended(), None, "{half}: {}", process.last_words());
            let said = process.said();
            let told = |text: &&str| said.lines().filter(|line| line.contains(text)).count();
            let texts = [
                "kafka does not answer",
                "kafka answers again",
                "WARN",
                "ERROR",
            ];
            let times: Vec<usize> = texts.iter().map(told).collect();
            assert_eq!(times, [outage, outage, outage, 0], "{half}: {said}");
        }
    }
    for (half, process) in &mut halves {
        process.doom = Some(Doom::Terminated);
        process.signal("TERM");
        let status = process.end_within(PATIENCE);
        assert!(
            status.success(),
            "{half} {status}: {}",
            process.last_words()
        );
    }
    let fed: Vec<Value> = (0..4).flat_map(|feed| documents(feed * 1_000)).collect();
    assert_eq!(curated(&site), middle_half(&live(&fed)));
    assert_eq!(site.tail("scored").len(), fed.len());
}

fn curated(site: &Site) -> Documents {
    Changes::apply(Documents::new(), of_tail(&site.tail("curated"))).set
}

/// Waits until so many documents are curated.
fn wait_for(site: &Site, halves: &[(&str, Process)], count: usize) {
    let start = Instant::now();
    loop {
        let found = curated(site).len();
        if found == count {
            return;
        }
        let said = halves.iter().map(|(_, process)| process.last_words());
        let said: Vec<String> = said.collect();
        assert!(
            start.elapsed() < PATIENCE,
            "{found} of {count}: {}",
            said.join("\n")
        );
        thread::sleep(Duration::from_millis(200));
    }
}
