//! Scores as a member of a group: share after share, each a run of the dataflow from where the
//! group's last commit was. The models stay loaded between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::output::Output;
use super::work::{Run, Work};
use crate::engine::EngineError;
use crate::log::{Given, Group, LogError, Offsets, Share};
use crate::records::Progress;

/// How long a share is waited for before the stop flag is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long to wait after a failure that may pass.
const RETRY: Duration = Duration::from_millis(500);
/// How often a member without partitions looks whether the others have come to the end.
const LOOK: Duration = Duration::from_secs(1);

/// A scorer among others.
pub struct Member {
    work: Work,
    group: Box<dyn Group>,
    name: String,
    partitions: u16,
}

/// How something ended that a member did.
enum Next {
    /// There may be something else to do.
    GoOn,
    /// The end was reached.
    End,
}

impl Member {
    /// A member of the group of this name, whose documents log has so many partitions.
    pub fn new(work: Work, group: Box<dyn Group>, name: String, partitions: u16) -> Self {
        Member {
            work,
            group,
            name,
            partitions,
        }
    }

    /// Scores until the end, or until told to stop; on return all that was read is committed.
    ///
    /// The end of a member is that of its partitions. What passes by itself is waited for: brokers
    /// that are away, and another member in this one's place.
    pub fn score(mut self) -> Result<(), EngineError> {
        while !self.work.stop().load(Ordering::Relaxed) {
            match self.step() {
                Ok(Next::GoOn) => {}
                Ok(Next::End) => return Ok(()),
                Err(EngineError::Log(error)) if passes(&error) => {
                    tracing::warn!(%error, "going on from the group's last commit");
                    thread::sleep(RETRY);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Does what the group gives to do, if it does.
    fn step(&mut self) -> Result<Next, EngineError> {
        match self.group.share(TICK)? {
            None => Ok(Next::GoOn),
            Some(Given::Nothing(changed)) => self.idle(&changed),
            Some(Given::Share(share)) => self.run(share),
        }
    }

    fn run(&mut self, share: Share) -> Result<Next, EngineError> {
        let from = self.place(&share)?;
        let Share {
            partitions,
            revoked,
            writer,
            ..
        } = share;
        tracing::info!(?partitions, "scoring these partitions");
        let run = Run {
            first: 0,
            from,
            output: Output::Member(writer),
            stop: Arc::clone(&revoked),
        };
        self.work.run(run)?;
        match revoked.load(Ordering::Acquire) {
            true => Ok(Next::GoOn),
            false => Ok(Next::End),
        }
    }

    /// Waits as long as there are no partitions for this member, or until the others have reached
    /// the end.
    fn idle(&mut self, changed: &AtomicBool) -> Result<Next, EngineError> {
        tracing::info!("no partition is left for this scorer; it waits to take over");
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let mut looked = None;
        while !is_set(changed) && !is_set(self.work.stop()) {
            if looked.is_none_or(|at: Instant| at.elapsed() >= LOOK) {
                if self.others_have_ended()? {
                    return Ok(Next::End);
                }
                looked = Some(Instant::now());
            }
            thread::sleep(TICK);
        }
        Ok(Next::GoOn)
    }

    fn others_have_ended(&mut self) -> Result<bool, EngineError> {
        let Some(end) = self.work.end()? else {
            return Ok(false);
        };
        let committed = self.group.committed()?.into_iter();
        let committed = Offsets(committed.map(Option::unwrap_or_default).collect());
        Ok(committed.reaches(&end))
    }

    /// From where on the share is read; what is others' is elsewhere.
    fn place(&mut self, share: &Share) -> Result<Offsets, EngineError> {
        let mut from = Offsets(vec![Offsets::ELSEWHERE; usize::from(self.partitions)]);
        if let Some(partition) = share.partitions.last().filter(|it| **it >= self.partitions) {
            return Err(EngineError::Repartitioned {
                log: self.work.documents().to_owned(),
                now: usize::from(*partition) + 1,
                then: from.0.len(),
            });
        }
        let known = match share.committed.contains(&None) {
            true => self.positions()?,
            false => Offsets::start(self.partitions),
        };
        for (partition, committed) in share.partitions.iter().zip(&share.committed) {
            let at = usize::from(*partition);
            from.0[at] = committed.unwrap_or(known.0[at]);
        }
        Ok(from)
    }

    /// How far the log was read by writers whose positions were kept beside the group, or before
    /// there was one.
    fn positions(&mut self) -> Result<Offsets, EngineError> {
        let mut known = Offsets::start(self.partitions);
        for position in self.group.positions()? {
            let progress = Progress::decode(&position);
            let progress = progress.map_err(|source| EngineError::Progress {
                writer: self.name.clone(),
                source,
            })?;
            progress.check_partitions(self.work.documents(), self.partitions)?;
            for (known, offset) in known.0.iter_mut().zip(progress.offsets.0) {
                *known = (*known).max(offset);
            }
        }
        if known.0.iter().any(|offset| *offset > 0) {
            let offsets = &known.0;
            let name = &self.name;
            tracing::info!(group = %name, ?offsets, "the group has no offsets yet: taking over");
        }
        Ok(known)
    }
}

/// Whether what failed may be done again.
fn passes(error: &LogError) -> bool {
    error.may_pass() || matches!(error, LogError::Fenced { .. })
}
