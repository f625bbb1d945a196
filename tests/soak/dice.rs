//! Chance that can be had again: from a seed that every run prints.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};

/// A source of chance.
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        Dice(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // Its bias, of one part in 2^40 here, is no matter for a test.
        self.0.next_u64() % end
    }

    /// Whether one case in `cases` happens.
    pub fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    /// A time between two numbers of milliseconds.
    pub fn between_ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    /// One of these.
    pub fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// The seed that the environment asks for, or one of its own.
pub fn seed() -> u64 {
    setting("RIFFLE_SOAK_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 32)
}

/// The number in a variable of the environment, where it is set.
pub fn setting(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok().filter(|it| !it.is_empty())?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a number, not {value:?}")))
}
