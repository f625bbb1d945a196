//! Random histories of a corpus: who is upserted or taken down, and in which epoch.

use std::collections::BTreeMap;

use proptest::prelude::*;
use riffle_operators::{Band, DocumentHash, Quota, Rate, Upsert, View, draw};
use serde::{Deserialize, Serialize};

/// What these tests keep of a document: 24 bytes, as the engine does.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Facts {
    pub position: u64,
    pub key: i64,
    pub mass: u32,
    pub group: u32,
}

pub type Epoch = Vec<Upsert<Facts>>;
pub type Live = BTreeMap<DocumentHash, Facts>;

/// How a random history comes about; small and plain, so that a failure shrinks well.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub workers: usize,
    pub guard: usize,
    pub quotas: [Quota; 2],
    /// Upserts in each epoch; 0 makes an empty one.
    pub sizes: Vec<usize>,
    pub population: u64,
    pub groups: u64,
    /// How many different keys there are at a time.
    pub keys: u64,
    pub weights: Weights,
    pub takedowns_percent: u64,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Weights {
    One,
    Tokens,
    /// Few documents hold nearly all of the mass, and some have none.
    Heavy,
}

pub fn quota() -> impl Strategy<Value = Quota> {
    let band = prop_oneof![Just(Band::Low), Just(Band::Medium), Just(Band::High)];
    let ppm = prop_oneof![
        Just(0),
        Just(1_000),
        Just(300_000),
        Just(500_000),
        Just(999_999),
        Just(1_000_000),
        0..=1_000_000u32,
    ];
    (band, ppm).prop_map(|(band, ppm)| Quota {
        band,
        rate: Rate::from_ppm(ppm).unwrap(),
    })
}

pub fn scenario() -> impl Strategy<Value = Scenario> {
    let size = prop_oneof![Just(0), 1..10usize, 10..300usize, 300..4000usize];
    let weights = prop_oneof![
        Just(Weights::One),
        Just(Weights::Tokens),
        Just(Weights::Heavy)
    ];
    let shape = (
        1..=3usize,
        prop_oneof![Just(1usize), Just(4), Just(16), Just(128)],
        [quota(), quota()],
        prop::collection::vec(size, 1..16),
    );
    let documents = (
        prop_oneof![Just(40u64), Just(2_000), Just(20_000)],
        prop_oneof![Just(1u64), Just(2), Just(30), Just(400)],
        prop_oneof![Just(1u64), Just(3), Just(50), Just(1 << 40)],
        weights,
        prop_oneof![Just(5u64), Just(30), Just(90)],
        any::<u64>(),
    );
    (shape, documents).prop_map(|((workers, guard, quotas, sizes), documents)| {
        let (population, groups, keys, weights, takedowns_percent, seed) = documents;
        Scenario {
            workers,
            guard,
            quotas,
            sizes,
            population,
            groups,
            keys,
            weights,
            takedowns_percent,
            seed,
        }
    })
}

impl Scenario {
    /// A history of nothing, for tests that write their own, on two workers.
    pub fn plain() -> Scenario {
        let everything = Quota {
            band: Band::Low,
            rate: Rate::ALL,
        };
        Scenario {
            workers: 2,
            guard: 128,
            quotas: [everything; 2],
            sizes: Vec::new(),
            population: 0,
            groups: 1,
            keys: 1,
            weights: Weights::One,
            takedowns_percent: 0,
            seed: 0,
        }
    }

    /// The history itself: a function of the scenario.
    pub fn epochs(&self) -> Vec<Epoch> {
        let mut random = Random {
            seed: self.seed,
            drawn: 0,
        };
        let mut shift = 0;
        let mut epochs = Vec::new();
        for &size in &self.sizes {
            if random.below(3) == 0 {
                // The keys drift, sometimes all the way out of every guard.
                shift += random.below(2 * self.keys) as i64 - self.keys as i64;
            }
            epochs.push((0..size).map(|_| self.upsert(&mut random, shift)).collect());
        }
        epochs
    }

    fn upsert(&self, random: &mut Random, shift: i64) -> Upsert<Facts> {
        let n = random.below(self.population);
        let down = random.below(100) < self.takedowns_percent;
        let facts = Facts {
            // Some versions are equal to the one before.
            position: if random.below(4) == 0 {
                0
            } else {
                random.drawn
            },
            key: shift + random.below(self.keys) as i64,
            mass: match self.weights {
                Weights::One => 1,
                Weights::Tokens => 1 + random.below(900) as u32,
                Weights::Heavy if random.below(200) == 0 => 100_000_000,
                Weights::Heavy => random.below(4) as u32,
            },
            group: (random.below(self.groups) * random.below(self.groups) / self.groups) as u32,
        };
        Upsert {
            id: id(n),
            record: (!down).then_some(facts),
        }
    }
}

/// Ids of which four at a time agree in the first half: the second one must break ties too.
pub fn id(n: u64) -> DocumentHash {
    DocumentHash::from_halves([
        draw(1, n / 4, DocumentHash::default()),
        draw(2, n, DocumentHash::default()),
    ])
}

/// The first stage's order.
pub fn by_key(facts: &Facts, _: DocumentHash) -> View {
    View {
        group: u64::from(facts.group),
        key: facts.key,
        mass: facts.mass,
    }
}

/// The second stage's: other groups, another key and other masses, and many ties.
pub fn by_draw(facts: &Facts, id: DocumentHash) -> View {
    let key = (draw(7, 7, id) >> 52) as i64;
    View {
        group: u64::from(facts.group % 7),
        key,
        mass: 1 + (facts.position % 3) as u32,
    }
}

/// Plays an epoch on the set of live documents.
pub fn play(live: &mut Live, epoch: &Epoch) {
    for upsert in epoch {
        match upsert.record {
            Some(facts) => live.insert(upsert.id, facts),
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
