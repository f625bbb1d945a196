//! Reads logs in epochs: replays what was committed before, then goes on at the sink's pace.

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

/// A log that a source reads.
pub struct Input {
    /// Where the log is.
    pub store: Arc<dyn Store>,
    /// The log to read.
    pub log: String,
    /// Where a replay begins: what it is for is known up to here.
    pub known: Offsets,
    /// Where the last commit's input ended.
    pub from: Offsets,
    /// Where to end.
    pub until: Until,
}

impl Input {
    fn has_ended(&mut self) -> Result<bool, EngineError> {
        Ok((self.until)()?.is_some_and(|end| self.from.reaches(&end)))
    }
}

/// What a source's thread needs to read its logs.
///
/// An epoch is made of what came from any of them. The first log is the stream; the others are
/// looked at beside it, and should bring little.
pub struct EpochReader {
    /// The logs to read.
    pub inputs: Vec<Input>,
    /// Whether an epoch is also made of no record, where only marks of the store's own were passed:
    /// so that a commit says it, and others who wait for that see the end of the log reached.
    pub tells_of_marks: bool,
    /// Whether everything from the inputs' `known` up to their `from` is read first, as one epoch of
    /// its own.
    pub replay: bool,
    /// The number of the first epoch.
    pub first: u64,
    /// What an epoch may hold.
    pub limits: EpochLimits,
    /// Any of them is set when reading should end soon.
    pub stop: Vec<Arc<AtomicBool>>,
    /// The threads of the dataflow: reading ends when any has failed.
    pub threads: Threads,
}

/// An input's reader, and what it has read that no epoch had room for yet.
struct Open {
    reader: Box<dyn Reader>,
    pending: VecDeque<Received>,
}

impl EpochReader {
    /// Reads to the end, or until told to stop, or until the dataflow is gone.
    ///
    /// `decode` makes a record of the dataflow of each record of the log with this index, or passes
    /// it over, or ends it all. Interrupted in an epoch, it sends no end of it: then the epoch is
    /// not to be committed.
    pub fn run<D>(
        mut self,
        sending: &Sending<D>,
        mut decode: impl FnMut(usize, Received) -> Result<Option<D>, EngineError>,
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
        decode: &mut impl FnMut(usize, Received) -> Result<Option<D>, EngineError>,
    ) -> Result<(), EngineError> {
        let mut logs = self.open()?;
        let mut pace = Pace::new(self.limits);
        loop {
            sending.note_durable(|before| pace.durable(before));
            if self.is_over() {
                break;
            }
            if pace.must_wait() {
                match sending.wait_durable(TICK) {
                    Ok(before) => pace.durable(before),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
                continue;
            }
            for (index, log) in logs.iter_mut().enumerate() {
                if log.pending.is_empty() {
                    let wait = if index == 0 { TICK } else { Duration::ZERO };
                    log.pending.extend(log.reader.poll(wait)?);
                }
                if !self.pass_on(index, &mut log.pending, &mut pace, sending, decode)? {
                    return Ok(());
                }
                self.note_offsets(index, log, &mut pace);
            }
            let is_drained = logs.iter().all(|log| log.pending.is_empty());
            let ended = is_drained && self.has_ended()?;
            if pace.is_due() || ended && pace.is_open() {
                pace.end(self.first);
                self.first += 1;
                sending.send(Epoch::End(self.offsets()));
            }
            if ended {
                return Ok(());
            }
        }
        if pace.is_open() && !self.threads.failed() {
            sending.send(Epoch::End(self.offsets()));
        }
        Ok(())
    }

    fn open(&self) -> Result<Vec<Open>, EngineError> {
        let open = |input: &Input| {
            Ok(Open {
                reader: input.store.reader(&input.log, &input.from)?,
                pending: VecDeque::new(),
            })
        };
        self.inputs.iter().map(open).collect()
    }

    /// Sends everything up to the inputs' `from`, and the end of its epoch.
    fn replay<D>(
        &mut self,
        sending: &Sending<D>,
        decode: &mut impl FnMut(usize, Received) -> Result<Option<D>, EngineError>,
    ) -> Result<(), EngineError> {
        for index in 0..self.inputs.len() {
            if !self.replay_log(index, sending, decode)? {
                return Ok(());
            }
        }
        sending.send(Epoch::End(self.offsets()));
        Ok(())
    }

    /// Sends everything up to an input's `from`; `false` if interrupted.
    fn replay_log<D>(
        &self,
        index: usize,
        sending: &Sending<D>,
        decode: &mut impl FnMut(usize, Received) -> Result<Option<D>, EngineError>,
    ) -> Result<bool, EngineError> {
        let Input {
            store,
            log,
            known,
            from,
            ..
        } = &self.inputs[index];
        if !store.ends(log)?.reaches(from) {
            return Err(EngineError::LogShrank { log: log.clone() });
        }
        let mut reader = store.reader(log, known)?;
        while !reader.offsets().reaches(from) {
            if self.is_over() {
                return Ok(false);
            }
            let mut received = reader.poll(TICK)?;
            received.retain(|r| r.position.offset() < from.0[usize::from(r.position.partition())]);
            let decoded = received.into_iter().map(|r| decode(index, r));
            let records: Vec<D> = decoded
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?;
            if !records.is_empty() && !sending.send(Epoch::Records(records)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends pending records as long as the epoch has room, at least one.
    fn pass_on<D>(
        &mut self,
        index: usize,
        pending: &mut VecDeque<Received>,
        pace: &mut Pace,
        sending: &Sending<D>,
        decode: &mut impl FnMut(usize, Received) -> Result<Option<D>, EngineError>,
    ) -> Result<bool, EngineError> {
        let from = &mut self.inputs[index].from;
        let mut records = Vec::with_capacity(pending.len().min(1024));
        while pace.room() > 0
            && let Some(received) = pending.pop_front()
        {
            let position = received.position;
            pace.add(received.record.value.as_ref().map_or(0, Vec::len) + 64);
            from.0[usize::from(position.partition())] = position.offset() + 1;
            records.extend(decode(index, received)?);
        }
        Ok(records.is_empty() || sending.send(Epoch::Records(records)))
    }

    /// A store's own marks occupy offsets too: once all was passed on, they count as read.
    fn note_offsets(&mut self, index: usize, log: &Open, pace: &mut Pace) {
        let from = &mut self.inputs[index].from;
        if log.pending.is_empty() && from != log.reader.offsets() {
            from.clone_from(log.reader.offsets());
            if self.tells_of_marks {
                pace.add(0);
            }
        }
    }

    /// How far each log was read.
    fn offsets(&self) -> Vec<Offsets> {
        self.inputs.iter().map(|input| input.from.clone()).collect()
    }

    /// Whether reading should end soon.
    pub fn is_over(&self) -> bool {
        self.stop.iter().any(|it| it.load(Ordering::Relaxed)) || self.threads.failed()
    }

    /// Whether all inputs have ended.
    fn has_ended(&mut self) -> Result<bool, EngineError> {
        for input in &mut self.inputs {
            if !input.has_ended()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
