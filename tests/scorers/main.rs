//! Scorers that share a documents log lose nothing and double nothing: a model.
//!
//! Scorers run as threads over the log in memory, each a process of the model. Documents arrive
//! while scorers start, stop, crash at any operation, stand still, and miss that their partitions
//! were given to others. At the end each partition of the scored log must hold the documents of the
//! same partition of the documents log, each once, in their order. `RIFFLE_TEST_CASES` sets how many
//! random histories are tried, and `RIFFLE_TEST_SEED` the first of them.
#![allow(clippy::unwrap_used)] // a test that unwraps has failed

mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use world::{Events, World};

#[test]
fn who_scores_until_the_end_waits_for_what_a_killed_scorer_had() {
    let worlds = (0..).map(World::new);
    let mut world = worlds.into_iter().find(World::has_two_partitions).unwrap();
    world.end_beside_the_dead();
    world.check();
}

#[test]
fn model_scorers_come_and_go_and_every_document_is_scored_once_in_order() {
    let cases = std::env::var("RIFFLE_TEST_CASES").map_or(100, |cases| cases.parse().unwrap());
    let first = std::env::var("RIFFLE_TEST_SEED").map_or(0, |seed| seed.parse().unwrap());
    let (next, events) = (AtomicU64::new(first), Mutex::new(Events::default()));
    let histories = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + cases {
                return;
            }
            let mut world = World::new(seed);
            world.live(30);
            world.settle();
            world.check();
            events.lock().unwrap().add(&world.events);
        }
    };
    // Histories are made of waiting more than of work.
    thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(histories))));
    let events = events.into_inner().unwrap();
    eprintln!("{events:?}");
    if cases >= 20 {
        events.all_happened();
    }
}
