//! Random histories of a corpus with codes: who is upserted or taken down, and in which epoch.

use std::collections::BTreeMap;

use proptest::prelude::*;
use riffle_operators::density::{Over, Sampling, Sketch};
use riffle_operators::{Band, DocumentHash, Quota, Rate, Upsert, draw};
use serde::{Deserialize, Serialize};

/// What the stages keep of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Facts {
    pub version: u64,
    pub loss: i64,
}

/// What comes in: the facts, and a code for each row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coded {
    pub facts: Facts,
    pub codes: Vec<u16>,
}

pub type Epoch = Vec<Upsert<Coded>>;
pub type Live = BTreeMap<DocumentHash, Coded>;

/// How a random history comes about; small and plain, so that a failure shrinks well.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub workers: usize,
    pub rows: u16,
    pub cells: u32,
    pub epsilon_ppm: u32,
    pub phases: u32,
    pub rate_ppm: u32,
    pub over: Over,
    /// What the stage before keeps.
    pub before: Quota,
    /// Upserts in each epoch; 0 makes an empty one.
    pub sizes: Vec<usize>,
    pub population: u64,
    /// Documents of one topic share two thirds of their codes.
    pub topics: u64,
    pub takedowns_percent: u64,
    pub seed: u64,
    /// Whether the changes of the first epoch are not given.
    pub silent: bool,
}

pub fn scenario() -> impl Strategy<Value = Scenario> {
    let size = prop_oneof![Just(0), 1..10usize, 10..300usize, 300..4000usize];
    let sketch = (
        prop_oneof![1..4u16, Just(16)],
        prop_oneof![Just(1u32), Just(7), Just(1000), Just(1 << 16)],
        prop_oneof![
            Just(100_000u32),
            Just(500_000),
            Just(1_000_000),
            Just(10_000_000)
        ],
        prop_oneof![Just(1u32), Just(2), Just(16)],
    );
    let rate = || {
        let any = 0..=1_000_000u32;
        prop_oneof![
            Just(0),
            Just(1_000),
            Just(500_000),
            Just(999_999),
            Just(1_000_000),
            any
        ]
    };
    let band = prop_oneof![Just(Band::Low), Just(Band::Medium), Just(Band::High)];
    let shape = (
        1..=3usize,
        rate(),
        prop_oneof![Just(Over::Live), Just(Over::Survivors)],
        (band, prop_oneof![Just(1_000_000u32), rate()]),
        prop::collection::vec(size, 1..14),
    );
    let documents = (
        prop_oneof![Just(40u64), Just(2_000), Just(20_000)],
        prop_oneof![Just(1u64), Just(5), Just(1_000)],
        prop_oneof![Just(0u64), Just(5), Just(40), Just(90)],
        any::<u64>(),
    );
    (sketch, shape, documents).prop_map(|(sketch, shape, documents)| {
        let (rows, cells, epsilon_ppm, phases) = sketch;
        let (workers, rate_ppm, over, (band, ppm), sizes) = shape;
        let (population, topics, takedowns_percent, seed) = documents;
        let before = Quota {
            band,
            rate: Rate::from_ppm(ppm).unwrap(),
        };
        Scenario {
            workers,
            rows,
            cells,
            epsilon_ppm,
            phases,
            rate_ppm,
            over,
            before,
            sizes,
            population,
            topics,
            takedowns_percent,
            seed,
            silent: false,
        }
    })
}

impl Scenario {
    pub fn sampling(&self, first_epoch: u64) -> Sampling {
        Sampling {
            sketch: Sketch::new(self.rows, self.cells, self.epsilon_ppm, self.phases).unwrap(),
            rate: Rate::from_ppm(self.rate_ppm).unwrap(),
            seed: self.seed,
            purpose: 3,
            over: self.over,
            first_epoch,
            silent_epoch: self.silent.then_some(first_epoch),
        }
    }

    /// The history itself: a function of the scenario.
    pub fn epochs(&self) -> Vec<Epoch> {
        let mut random = Random {
            seed: self.seed,
            drawn: 0,
        };
        let epoch = |&size: &usize| (0..size).map(|_| self.upsert(&mut random)).collect();
        self.sizes.iter().map(epoch).collect()
    }

    fn upsert(&self, random: &mut Random) -> Upsert<Coded> {
        let n = random.below(self.population);
        if random.below(100) < self.takedowns_percent {
            return Upsert {
                id: id(n),
                record: None,
            };
        }
        // Some versions are equal to the one before, or differ in codes or facts only.
        let version = if random.below(3) == 0 {
            random.drawn
        } else {
            0
        };
        let codes = if random.below(3) == 0 {
            random.drawn
        } else {
            n
        };
        let loss = if random.below(2) == 0 {
            n
        } else {
            random.drawn
        };
        let facts = Facts {
            version,
            loss: (draw(11, loss, id(0)) >> 40) as i64,
        };
        Upsert {
            id: id(n),
            record: Some(Coded {
                facts,
                codes: self.codes(codes),
            }),
        }
    }

    /// Codes that are a function of a number.
    pub fn codes(&self, number: u64) -> Vec<u16> {
        let topic = draw(13, number, id(0)) % self.topics;
        let code = |row| {
            let own = draw(number, row, id(0));
            let draw = if own.is_multiple_of(3) {
                own
            } else {
                draw(topic, row, id(1))
            };
            ((u128::from(draw) * u128::from(self.cells)) >> 64) as u16
        };
        (0..u64::from(self.rows)).map(code).collect()
    }
}

/// Ids of which four at a time agree in the first half.
pub fn id(n: u64) -> DocumentHash {
    let none = DocumentHash::default();
    DocumentHash::from_halves([draw(1, n / 4, none), draw(2, n, none)])
}

/// Plays an epoch on the set of live documents.
pub fn play(live: &mut Live, epoch: &Epoch) {
    for upsert in epoch {
        match &upsert.record {
            Some(record) => live.insert(upsert.id, record.clone()),
            None => live.remove(&upsert.id),
        };
    }
}

/// A sequence of numbers.
pub struct Random {
    pub seed: u64,
    pub drawn: u64,
}

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.drawn += 1;
        let number = draw(self.seed, self.drawn, DocumentHash::default());
        ((u128::from(number) * u128::from(end)) >> 64) as u64
    }
}

/// As many cases as asked for in the environment, or else these.
pub fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if asked {
        default
    } else {
        ProptestConfig { cases, ..default }
    }
}
