//! Reads a log in epochs: replays what was committed before, then goes on at the sink's pace.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::pace::Pace;
use super::{Epoch, EpochLimits, Sending, Threads};
use crate::engine::EngineError;
use crate::log::{Offsets, Reader, Received, Store};

/// How long a reader waits before it looks at the clock and the stop flag again.
const TICK: Duration = Duration::from_millis(20);

/// Where reading ends: `None` while that is not known, or for ever.
pub type Until = Box<dyn FnMut() -> Result<Option<Offsets>, EngineError> + Send>;

/// What a source's thread needs to read its log.
pub struct EpochReader {
    /// Where the log is.
    pub store: Arc<dyn Store>,
    /// The log to read.
    pub log: String,
    /// Where the last commit's input ended.
    pub from: Offsets,
    /// Whether everything before `from` is read first, as one epoch of its own.
    pub replay: bool,
    /// The number of the first epoch.
    pub first: u64,
    /// What an epoch may hold.
    pub limits: EpochLimits,
    /// Where to end.
    pub until: Until,
    /// Set when reading should end soon.
    pub stop: Arc<AtomicBool>,
    /// The threads of the dataflow: reading ends when any has failed.
    pub threads: Threads,
}

impl EpochReader {
    /// Reads to the end, or until told to stop, or until the dataflow is gone.
    ///
    /// `decode` makes a record of the dataflow of each record of the log, or passes it over, or
    /// ends it all.
    /// Interrupted in an epoch, it sends no end of it: then the epoch is not to be committed.
    pub fn run<D>(
        mut self,
        sending: &Sending<D>,
        mut decode: impl FnMut(Received) -> Result<Option<D>, EngineError>,
    ) -> Result<(), EngineError> {
        if self.replay {
            self.replay(sending, &mut decode)?;
            self.first += 1;
        }
        if self.has_ended()? {
            return Ok(());
        }
        self.read(sending, &mut decode)
    }

    fn read<D>(
        &mut self,
        sending: &Sending<D>,
        decode: &mut impl FnMut(Received) -> Result<Option<D>, EngineError>,
    ) -> Result<(), EngineError> {
        let mut reader = self.store.reader(&self.log, &self.from)?;
        let mut pending = VecDeque::new();
        let mut pace = Pace::new(self.limits);
        loop {
            sending
                .durable
                .try_iter()
                .for_each(|before| pace.durable(before));
            if self.is_over() {
                break;
            }
            if pace.must_wait() {
                match sending.durable.recv_timeout(TICK) {
                    Ok(before) => pace.durable(before),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
                continue;
            }
            if pending.is_empty() {
                pending.extend(reader.poll(TICK)?);
            }
            if !self.pass_on(&mut pending, &mut pace, sending, decode)? {
                return Ok(());
            }
            self.note_offsets(reader.as_ref(), &pending);
            let ended = pending.is_empty() && self.has_ended()?;
            if pace.is_due() || ended && pace.is_open() {
                pace.end(self.first);
                self.first += 1;
                sending.send(Epoch::End(self.from.clone()));
            }
            if ended {
                return Ok(());
            }
        }
        if pace.is_open() && !self.threads.failed() {
            sending.send(Epoch::End(self.from.clone()));
        }
        Ok(())
    }

    /// Sends everything before `from`, and the end of its epoch.
    fn replay<D>(
        &mut self,
        sending: &Sending<D>,
        decode: &mut impl FnMut(Received) -> Result<Option<D>, EngineError>,
    ) -> Result<(), EngineError> {
        if !self.store.ends(&self.log)?.reaches(&self.from) {
            return Err(EngineError::LogShrank {
                log: self.log.clone(),
            });
        }
        let mut reader = self
            .store
            .reader(&self.log, &Offsets::start(self.from.0.len() as u16))?;
        while !reader.offsets().reaches(&self.from) {
            if self.is_over() {
                return Ok(());
            }
            let mut received = reader.poll(TICK)?;
            received
                .retain(|r| r.position.offset() < self.from.0[usize::from(r.position.partition())]);
            let decoded = received.into_iter().map(&mut *decode);
            let records: Vec<D> = decoded
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?;
            if !records.is_empty() && !sending.send(Epoch::Records(records)) {
                return Ok(());
            }
        }
        sending.send(Epoch::End(self.from.clone()));
        Ok(())
    }

    /// Sends pending records as long as the epoch has room, at least one.
    fn pass_on<D>(
        &mut self,
        pending: &mut VecDeque<Received>,
        pace: &mut Pace,
        sending: &Sending<D>,
        decode: &mut impl FnMut(Received) -> Result<Option<D>, EngineError>,
    ) -> Result<bool, EngineError> {
        let mut records = Vec::with_capacity(pending.len().min(1024));
        while pace.room() > 0
            && let Some(received) = pending.pop_front()
        {
            let position = received.position;
            pace.add(received.record.value.as_ref().map_or(0, Vec::len) + 64);
            self.from.0[usize::from(position.partition())] = position.offset() + 1;
            records.extend(decode(received)?);
        }
        Ok(records.is_empty() || sending.send(Epoch::Records(records)))
    }

    /// A store's own marks occupy offsets too: once all was passed on, they count as read.
    fn note_offsets(&mut self, reader: &dyn Reader, pending: &VecDeque<Received>) {
        if pending.is_empty() {
            self.from = reader.offsets().clone();
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.threads.failed()
    }

    fn has_ended(&mut self) -> Result<bool, EngineError> {
        Ok((self.until)()?.is_some_and(|end| self.from.reaches(&end)))
    }
}
