//! Scorers that share a documents log lose nothing and double nothing: a model.
//!
//! Scorers run as threads over the log in memory, each a process of the model. Documents arrive
//! while scorers start, stop, crash at any operation, stand still, and miss that their partitions
//! were given to others. At the end each partition of the scored log must hold the documents of the
//! same partition of the documents log, each once, in their order. `RIFFLE_TEST_CASES` sets how many
//! random histories are tried.
#![allow(clippy::unwrap_used)] // a test that unwraps has failed

mod world;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use world::{Events, World};

#[test]
fn model_scorers_come_and_go_and_every_document_is_scored_once_in_order() {
    let cases = std::env::var("RIFFLE_TEST_CASES").map_or(40, |cases| cases.parse().unwrap());
    let first = std::env::var("RIFFLE_TEST_SEED").map_or(0, |seed| seed.parse().unwrap());
    let mut events = Events::default();
    for seed in first..first + cases {
        eprintln!("RIFFLE_TEST_SEED={seed}");
        let mut world = World::new(Xoshiro256PlusPlus::seed_from_u64(seed));
        world.live(30);
        world.settle();
        world.check();
        events.add(&world.events);
    }
    eprintln!("{events:?}");
    if cases >= 20 {
        events.all_happened();
    }
}
