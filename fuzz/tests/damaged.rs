//! Each parser on its seeds, whole, cut and damaged at random, with a bound on memory.
//!
//! `RIFFLE_TEST_CASES` makes it longer. What `make fuzz` has found stands in `found/`, and is tried
//! here as well.

use std::path::PathBuf;

use proptest::test_runner::{Config, TestRunner};
use proptest::{prelude::*, sample::Index};
use riffle_fuzz::{Memory, Target, targets};

#[global_allocator]
static MEMORY: Memory = Memory;

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Flip(Index, u8),
    /// Writes a number that claims too much, or nothing.
    Number(Index, u64, usize),
    Insert(Index, Vec<u8>),
    /// Copies a part to another place.
    Repeat(Index, Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let numbers = prop_oneof![
        Just(0),
        Just(1 << 31),
        Just(u64::MAX),
        Just(1 << 40),
        any::<u64>()
    ];
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Damage::Cut),
        4 => (at(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, 1 << bit)),
        3 => (at(), numbers, prop_oneof![Just(1usize), Just(2), Just(4), Just(8)])
            .prop_map(|(at, number, bytes)| Damage::Number(at, number, bytes)),
        1 => (at(), proptest::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (at(), at(), 1..64usize).prop_map(|(from, to, bytes)| Damage::Repeat(from, to, bytes)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let size = bytes.len();
        match self {
            Damage::Cut(at) => bytes.truncate(at.index(size)),
            Damage::Flip(at, bit) => bytes[at.index(size)] ^= bit,
            Damage::Number(at, number, width) => {
                let at = at.index(size);
                let end = size.min(at + width);
                bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            }
            Damage::Insert(at, new) => {
                let at = at.index(size);
                bytes.splice(at..at, new.iter().copied());
            }
            Damage::Repeat(from, to, width) => {
                let (from, to) = (from.index(size), to.index(size));
                let part = bytes[from..size.min(from + width)].to_vec();
                bytes.splice(to..to, part);
            }
        }
    }
}

fn cases() -> u32 {
    let cases = std::env::var("RIFFLE_TEST_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

fn try_damaged(target: &Target) {
    let seeds = (target.seeds)();
    for seed in &seeds {
        (target.run)(seed);
        // Cut everywhere, or at 200 places of a long one.
        for end in (0..seed.len()).step_by(seed.len().div_ceil(200)) {
            (target.run)(&seed[..end]);
        }
    }
    let inputs = (any::<Index>(), proptest::collection::vec(damage(), 1..5));
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        failure_persistence: None,
        ..Config::default()
    });
    let tried = runner.run(&inputs, |(seed, damages)| {
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        (target.run)(&bytes);
        Ok(())
    });
    tried.unwrap_or_else(|error| panic!("{}: {error}", target.name));
}

#[test]
fn fault_no_parser_minds_damaged_input() {
    targets().for_each(try_damaged);
}

/// What takes sound input, whole or cut, and nothing else.
#[test]
#[should_panic(expected = "brittle: ")]
fn a_parser_that_minds_damaged_input_is_told() {
    try_damaged(&Target {
        name: "brittle",
        seeds: || vec![b"sound".to_vec()],
        run: |bytes| assert!(b"sound".starts_with(bytes)),
    });
}

#[test]
fn fault_what_was_once_found_stays_mended() {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("found");
    for target in targets() {
        let Ok(inputs) = found.join(target.name).read_dir() else {
            continue;
        };
        for input in inputs {
            let path = input.expect("the folder reads").path();
            let bytes = std::fs::read(&path).expect("the file reads");
            println!("{}", path.display());
            (target.run)(&bytes);
        }
    }
}
