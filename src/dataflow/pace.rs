//! The size of epochs and the distance between reading and committing.
//!
//! An epoch ends after a time, but how much can be *read* in a second says nothing of how much can
//! be scored in one. So the reader also holds to a number of bytes, which follows the rate at which
//! epochs become durable: a slow device or broker makes small epochs, never long ones.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What an epoch may hold.
#[derive(Clone, Copy, Debug)]
pub struct EpochLimits {
    /// How long an epoch stays open, and how long it should take to commit.
    pub duration: Duration,
    /// Bytes that the first epoch may hold; later ones follow the measured rate.
    pub bytes_first: usize,
    /// Bytes that any epoch may hold: with the number in flight, the bound on buffered input.
    pub bytes_max: usize,
}

/// Epochs that have ended and are not durable yet, at which the reader waits.
const IN_FLIGHT: u64 = 2;

/// Tells a reader when to end an epoch, and when to wait.
pub struct Pace {
    limits: EpochLimits,
    bytes_limit: usize,
    opened: Option<Instant>,
    bytes: usize,
    /// Epochs that ended and are not durable: number, when it ended, bytes.
    in_flight: VecDeque<(u64, Instant, usize)>,
    last_durable: Instant,
}

impl Pace {
    /// The pace at the start, with the first epoch's limit in force.
    pub fn new(limits: EpochLimits) -> Self {
        Pace {
            limits,
            bytes_limit: limits.bytes_first,
            opened: None,
            bytes: 0,
            in_flight: VecDeque::new(),
            last_durable: Instant::now(),
        }
    }

    /// Counts input of the open epoch.
    pub fn add(&mut self, bytes: usize) {
        self.opened.get_or_insert_with(Instant::now);
        self.bytes += bytes;
    }

    /// Bytes that the open epoch still takes.
    pub fn room(&self) -> usize {
        self.bytes_limit.saturating_sub(self.bytes)
    }

    /// Whether the open epoch has all it may hold, or has been open for its time.
    pub fn is_due(&self) -> bool {
        self.opened.is_some_and(|opened| {
            self.bytes >= self.bytes_limit || opened.elapsed() >= self.limits.duration
        })
    }

    /// Whether the open epoch holds anything.
    pub fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// The open epoch has ended, with this number.
    pub fn end(&mut self, epoch: u64) {
        self.in_flight
            .push_back((epoch, Instant::now(), self.bytes));
        (self.opened, self.bytes) = (None, 0);
    }

    /// Whether the reader must wait until an earlier epoch is durable.
    pub fn must_wait(&self) -> bool {
        self.in_flight.len() as u64 >= IN_FLIGHT
    }

    /// All epochs below this one are durable: the next limit follows the rate of the last.
    pub fn durable(&mut self, before: u64) {
        while let Some(&(epoch, ended, bytes)) = self.in_flight.front()
            && epoch < before
        {
            self.in_flight.pop_front();
            let took = ended.max(self.last_durable).elapsed();
            self.last_durable = Instant::now();
            self.follow(took, bytes);
        }
    }

    /// Moves the limit towards what would have taken one epoch's time, by a factor of four at most.
    fn follow(&mut self, took: Duration, bytes: usize) {
        let ratio = self.limits.duration.as_secs_f64() / took.as_secs_f64().max(1e-3);
        let wanted = bytes as f64 * ratio.clamp(0.25, 4.0);
        // A short epoch that ended by time says little about the rate.
        if ratio < 1.0 || bytes * 2 >= self.bytes_limit {
            self.bytes_limit = (wanted as usize).clamp(1, self.limits.bytes_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> EpochLimits {
        EpochLimits {
            duration: Duration::from_millis(100),
            bytes_first: 1000,
            bytes_max: 1_000_000,
        }
    }

    #[test]
    fn a_slow_sink_makes_epochs_smaller_and_a_fast_one_larger() {
        let mut pace = Pace::new(limits());
        pace.follow(Duration::from_millis(300), 1000);
        assert!(
            (250..500).contains(&pace.bytes_limit),
            "{}",
            pace.bytes_limit
        );
        let slow = pace.bytes_limit;
        pace.follow(Duration::from_millis(1), slow);
        assert_eq!(pace.bytes_limit, 4 * slow);
    }

    #[test]
    fn the_reader_waits_while_two_epochs_are_on_their_way() {
        let mut pace = Pace::new(limits());
        assert!(!pace.is_due());
        pace.add(1000);
        assert!(pace.is_due());
        pace.end(5);
        assert!(!pace.must_wait());
        pace.add(1);
        pace.end(6);
        assert!(pace.must_wait());
        pace.durable(6);
        assert!(!pace.must_wait());
    }
}
