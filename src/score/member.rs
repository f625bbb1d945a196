//! Scores as a member of a group: share after share, each a run of the dataflow from where the
//! group's last commit was. The models stay loaded between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::output::Output;
use super::work::{Run, Work};
use crate::engine::EngineError;
use crate::log::{Given, Group, Kept, LogError, Offsets, Share};
use crate::records::{Progress, check_partitions};

/// How long a share is waited for before the stop flag is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long to wait after a failure that may pass, and after many.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often a member without partitions looks whether the others have come to the end.
const LOOK: Duration = Duration::from_secs(1);

/// A scorer among others.
pub struct Member {
    work: Work,
    group: Box<dyn Group>,
    name: String,
    partitions: u16,
    /// Since when the member cannot go on, and how long it pauses between tries.
    waiting: Option<(Instant, Duration)>,
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
            waiting: None,
        }
    }

    /// Scores until the end, or until told to stop; on return all that was read is committed.
    ///
    /// The end is that of all partitions: those of a member that was killed come to another when its
    /// session is over. What passes by itself is waited for: brokers that are away, and another
    /// member in this one's place.
    pub fn score(mut self) -> Result<(), EngineError> {
        while !is_set(self.work.stop()) {
            match self.step() {
                Ok(Next::GoOn) => {}
                Ok(Next::End) => return Ok(()),
                Err(EngineError::Log(error)) if passes(&error) => self.wait(&error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Does what the group gives to do, if it does.
    fn step(&mut self) -> Result<Next, EngineError> {
        let Some(given) = self.group.share(TICK)? else {
            return Ok(Next::GoOn);
        };
        if let Some((since, _)) = self.waiting.take() {
            tracing::info!(
                seconds = since.elapsed().as_secs_f32(),
                "the scorer goes on"
            );
        }
        match given {
            Given::Nothing(changed) => self.idle(&changed),
            Given::Share(share) => self.run(share),
        }
    }

    /// Waits before the next try, longer each time; says so the first time.
    fn wait(&mut self, error: &LogError) {
        let (since, pause) = match self.waiting {
            None => {
                tracing::warn!(%error, "the scorer waits, and goes on from the group's last commit");
                (Instant::now(), PAUSE)
            }
            Some((since, pause)) => {
                tracing::debug!(%error, "the scorer still waits");
                (since, (pause * 2).min(PAUSE_MAX))
            }
        };
        self.waiting = Some((since, pause));
        let until = Instant::now() + pause;
        while Instant::now() < until && !is_set(self.work.stop()) {
            thread::sleep(TICK);
        }
    }

    fn run(&mut self, share: Share) -> Result<Next, EngineError> {
        let from = self.place(&share)?;
        let Share {
            partitions,
            revoked,
            mut writer,
            ..
        } = share;
        // Before there is anything to leave open: successors learn whose share it was, and a
        // member whose time is over learns it here.
        writer.commit(&from)?;
        tracing::info!(?partitions, "scoring these partitions");
        let run = Run {
            first: 0,
            from,
            output: Output::Member(writer),
            stop: Arc::clone(&revoked),
        };
        self.work.run(run)?;
        self.wait_for_others(&revoked)
    }

    /// Waits as long as there are no partitions for this member.
    fn idle(&mut self, changed: &AtomicBool) -> Result<Next, EngineError> {
        tracing::info!("no partition is left for this scorer; it waits to take over");
        self.wait_for_others(changed)
    }

    /// Waits until the group gives this member something else to do, or all have reached the end.
    fn wait_for_others(&mut self, changed: &AtomicBool) -> Result<Next, EngineError> {
        let mut looked = None;
        while !is_set(changed) && !is_set(self.work.stop()) {
            if looked.is_none_or(|at: Instant| at.elapsed() >= LOOK) {
                if self.have_ended()? {
                    return Ok(Next::End);
                }
                looked = Some(Instant::now());
            }
            thread::sleep(TICK);
        }
        Ok(Next::GoOn)
    }

    fn have_ended(&mut self) -> Result<bool, EngineError> {
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
            let now = partition + 1;
            check_partitions(self.work.documents(), now, from.0.len())?;
        }
        let kept = match share.committed.contains(&None) {
            true => self.kept()?,
            false => Offsets::start(self.partitions),
        };
        for (partition, committed) in share.partitions.iter().zip(&share.committed) {
            let at = usize::from(*partition);
            from.0[at] = committed.unwrap_or(kept.0[at]);
        }
        Ok(from)
    }

    /// How far the log was read according to what is kept beside the group: its own offsets, which
    /// a store forgets when there is no member for long, or the place of a scorer that was alone.
    fn kept(&mut self) -> Result<Offsets, EngineError> {
        let Kept { offsets, alone } = self.group.kept()?;
        let alone = alone.as_deref().map(Progress::decode).transpose();
        let alone = alone.map_err(|source| EngineError::Progress {
            writer: self.name.clone(),
            source,
        })?;
        let places = [offsets, alone.map(|progress| progress.offsets)];
        let mut from = Offsets::start(self.partitions);
        for place in places.iter().flatten() {
            check_partitions(self.work.documents(), self.partitions, place.0.len())?;
            for (from, offset) in from.0.iter_mut().zip(&place.0) {
                // The group went on from where the scorer before it was: what is further is later.
                *from = (*from).max(*offset);
            }
        }
        if from.0.iter().any(|offset| *offset > 0) {
            let (group, offsets) = (&self.name, &from.0);
            tracing::info!(
                group,
                ?offsets,
                "the group has no offsets: taking those kept beside"
            );
        }
        Ok(from)
    }
}

/// Whether what failed may be done again.
fn passes(error: &LogError) -> bool {
    error.may_pass() || matches!(error, LogError::Fenced { .. })
}

fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Acquire)
}
