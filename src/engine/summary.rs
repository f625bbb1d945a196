//! What a run has done, for a person and, as JSON, for a script.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Counters;

/// What a run has done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Records read from the documents log.
    pub documents_read: u64,
    /// Scored records written, takedowns among them.
    pub documents_scored: u64,
    /// Tokens scored.
    pub tokens: u64,
    /// Records that could not be used.
    pub dead_letters: u64,
    /// Live documents at the end.
    pub live: u64,
    /// Curated documents at the end.
    pub curated: u64,
    /// Documents that entered the curated set.
    pub admitted: u64,
    /// Documents that left the curated set.
    pub withdrawn: u64,
    /// How long the run took.
    pub seconds: f64,
}

impl Summary {
    /// The summary of what was counted.
    pub fn new(counters: &Counters, took: Duration) -> Self {
        let get = Counters::get;
        Summary {
            documents_read: get(&counters.read),
            documents_scored: get(&counters.scored),
            tokens: get(&counters.tokens),
            dead_letters: get(&counters.dead_letters),
            live: get(&counters.live),
            curated: get(&counters.curated),
            admitted: get(&counters.admitted),
            withdrawn: get(&counters.withdrawn),
            seconds: took.as_secs_f64(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} documents read, {} scored ({} tokens), {} dead letters; \
             {} live, {} curated ({} admitted, {} withdrawn); {:.1} s",
            self.documents_read,
            self.documents_scored,
            self.tokens,
            self.dead_letters,
            self.live,
            self.curated,
            self.admitted,
            self.withdrawn,
            self.seconds
        )
    }
}
