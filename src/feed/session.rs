//! One feed from its start to its end: takes what the reader hands over and commits it in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::lines::Done;
use super::place::{Place, Route};
use super::plan::Plan;
use super::reading::{Event, Reading};
use super::transaction::Transaction;
use super::{Failure, FeedError, FeedOptions, FeedSummary, Progress};
use crate::log::{LogError, Writer};

/// How long the feed waits for input before it looks at the clock and the stop flag.
const TICK: Duration = Duration::from_millis(100);

pub(super) struct Session<'a> {
    writer: Box<dyn Writer>,
    transaction: Transaction<'a>,
    plan: Plan,
    options: &'a FeedOptions,
    route: Route,
    /// Where the last entry that was taken stands; `None` before the first file.
    place: Option<Place>,
    /// The name of the file at `place`.
    name: Arc<str>,
    /// The place of the last commit.
    committed: Option<Place>,
    committed_at: Instant,
    summary: FeedSummary,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        writer: Box<dyn Writer>,
        transaction: Transaction<'a>,
        plan: Plan,
        options: &'a FeedOptions,
    ) -> Self {
        let summary = FeedSummary {
            skipped_hidden: plan.hidden,
            ..FeedSummary::default()
        };
        Session {
            writer,
            transaction,
            plan,
            options,
            route: Route::default(),
            place: None,
            name: "".into(),
            committed: None,
            committed_at: Instant::now(),
            summary,
        }
    }

    /// Reads all from `start` on, or until `stop` is set.
    pub(super) fn run(
        mut self,
        start: Option<Place>,
        stop: &AtomicBool,
        progress: &mut dyn Progress,
    ) -> Result<FeedSummary, FeedError> {
        let begun = Instant::now();
        for failure in std::mem::take(&mut self.plan.failures) {
            self.fail(failure, progress);
        }
        let (first, done) = start.map_or_else(Default::default, |at| (at.index, at.done));
        for file in &self.plan.files[..first] {
            self.route.enter(file, Done::default());
        }
        progress.begin(self.plan.bytes(first));
        let reading = Reading::start(self.plan.files.clone(), first, done, self.options.into())
            .map_err(FeedError::Thread)?;
        let read = self.read(reading, stop, progress);
        progress.end();
        read.map_err(|source| FeedError::Log {
            source: Box::new(source),
            committed: self.committed.map(|place| place.to_string()),
        })?;
        self.summary.seconds = begun.elapsed().as_secs_f64();
        Ok(self.summary)
    }

    fn read(
        &mut self,
        reading: Reading,
        stop: &AtomicBool,
        progress: &mut dyn Progress,
    ) -> Result<(), LogError> {
        let mut told = Instant::now();
        let mut complete = false;
        while !complete && !stop.load(Ordering::Relaxed) {
            match reading.events.recv_timeout(TICK) {
                Ok(Event::End) => complete = true,
                Ok(event) => self.take(event, progress),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => reading.panic(),
            }
            if self.is_due() {
                self.commit()?;
            }
            if told.elapsed() >= TICK {
                told = Instant::now();
                progress.advance(reading.bytes(), self.summary.documents);
            }
        }
        if complete {
            self.place = self.place.as_ref().map(Place::completed);
        } else {
            let place = self.place.as_ref().map(Place::to_string);
            self.summary.stopped_at = Some(place.unwrap_or_else(|| "the start".into()));
        }
        self.commit()?;
        self.summary.bytes = reading.bytes();
        Ok(())
    }

    fn take(&mut self, event: Event, progress: &mut dyn Progress) {
        match event {
            Event::File(index, done) => {
                let place = self.route.enter(&self.plan.files[index], done);
                self.name = place.path.as_str().into();
                self.place = Some(place);
                self.summary.files += 1;
            }
            Event::Entries(entries, done) => {
                for entry in entries {
                    self.transaction.push(&self.name, entry);
                }
                if let Some(place) = &mut self.place {
                    place.done = done;
                }
            }
            Event::Empty => {
                self.summary.empty += 1;
                self.note_empty(progress);
            }
            Event::Binary => self.summary.skipped_binary += 1,
            Event::Failed(failure) => self.fail(failure, progress),
            Event::End => {}
        }
    }

    /// Empty files in a folder are nothing to speak of.
    fn note_empty(&self, progress: &mut dyn Progress) {
        let index = self.place.as_ref().map_or(0, |place| place.index);
        if self.plan.files.get(index).is_some_and(|file| file.named) {
            progress.note(&format!("{}: is empty", self.name));
        }
    }

    fn fail(&mut self, failure: Failure, progress: &mut dyn Progress) {
        progress.note(&failure.to_string());
        self.summary.failures.push(failure);
    }

    fn is_due(&self) -> bool {
        let in_time = self.committed_at.elapsed() < self.options.commit_interval;
        let full = self.transaction.bytes() >= self.options.commit_bytes;
        !self.transaction.is_empty() && (full || !in_time)
    }

    fn commit(&mut self) -> Result<(), LogError> {
        let Some(place) = &self.place else {
            return Ok(());
        };
        let counts = self
            .transaction
            .commit(&mut *self.writer, &place.encode())?;
        self.summary.documents += counts.documents;
        self.summary.takedowns += counts.takedowns;
        self.summary.rejected += counts.rejected;
        self.committed = Some(place.clone());
        self.committed_at = Instant::now();
        Ok(())
    }
}
