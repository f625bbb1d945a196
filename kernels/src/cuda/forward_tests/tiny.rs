//! A random decoder in memory, for both backends to load.

use crate::source::{Part, Source};
use crate::{Config, ModelError, Tokenizer};

/// Random weights of a shape.
pub(super) struct Tiny {
    config: Config,
}

impl Tiny {
    /// A decoder of this shape; its weights follow from their places alone.
    pub(super) fn new(config: Config) -> Self {
        Tiny { config }
    }
}

impl Source for Tiny {
    fn config(&self) -> &Config {
        &self.config
    }

    fn tokenizer(&self) -> Result<Tokenizer, ModelError> {
        unreachable!("the tests' documents are tokens")
    }

    fn tensor(&mut self, part: Part) -> Result<Vec<f32>, ModelError> {
        let shape = part.shape(&self.config);
        let (rows, columns) = (shape[0], shape.get(1).copied());
        let mut state = format!("{part:?}")
            .bytes()
            .fold(7u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
        let mut uniform = move || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        // Products keep the size of what goes in: √12 makes the deviation of `uniform` 1.
        let values = (0..rows * columns.unwrap_or(1)).map(|_| match columns {
            Some(columns) => uniform() * 3.5 / (columns as f32).sqrt(),
            None => 1.0 + uniform(),
        });
        Ok(values.collect())
    }
}
