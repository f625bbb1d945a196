//! The workers that a dataflow runs on: those of this process, or of a cluster that process 0 leads.
//!
//! Process 0 knows from the last commit what is to be run, and tells the members by a plan. They
//! open no logs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::rules::{Rules, Skills};
use super::run::{Source, run};
use crate::cluster::{Agreement, ClusterError, Leader, Links, Member, Place};
use crate::config::{Sketch, Stage};
use crate::dataflow::Threads;
use crate::engine::EngineError;
use crate::records::Progress;

/// A dataflow, as members learn of it.
#[derive(Serialize, Deserialize)]
pub enum Plan {
    /// The configured rules.
    Configured {
        /// The number of the first epoch.
        first: u64,
        /// The epoch whose changes are published already.
        replayed: Option<u64>,
    },
    /// The rules of an earlier commit.
    Earlier {
        /// What that commit said.
        progress: Progress,
    },
}

/// The workers of this process, and those of others if it leads any.
pub struct Crew {
    workers: usize,
    leader: Option<Leader>,
}

impl Crew {
    /// Workers of this process alone.
    pub fn alone(workers: usize) -> Self {
        Crew {
            workers,
            leader: None,
        }
    }

    /// The crew at this place; `None` when `stop` was set before all its processes were there.
    ///
    /// # Errors
    /// [`ClusterError`] when there can be no cluster.
    pub fn gather(
        place: Option<Place>,
        agreement: &Agreement,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Self>, ClusterError> {
        let workers = agreement.workers;
        let Some(place) = place else {
            return Ok(Some(Crew::alone(workers)));
        };
        let leader = Leader::meet(place, agreement, stop)?;
        Ok(leader.map(|leader| Crew {
            workers,
            leader: Some(leader),
        }))
    }

    /// What the source goes by: `own`, or, of a cluster, what is set when any process was asked.
    pub fn stop(&self, own: &Arc<AtomicBool>) -> Arc<AtomicBool> {
        let leader = self.leader.as_ref();
        leader.map_or_else(|| Arc::clone(own), Leader::stop)
    }

    /// Runs a dataflow that this process reads and publishes.
    ///
    /// # Errors
    /// Its first failure, or the loss of a process.
    pub fn run(
        &self,
        plan: &Plan,
        source: Source,
        rules: Rules,
        threads: Threads,
    ) -> Result<(), EngineError> {
        let plan = || serde_json::to_string(plan).expect("numbers and text become JSON");
        let leader = self.leader.as_ref();
        let links = leader.map(|leader| leader.begin(plan())).transpose()?;
        let first = source.input.reader.first;
        run(self.workers, links, first, Some(source), rules, threads)
    }

    /// Lets the members go, with the reason if there is one to be sorry for.
    pub fn end(self, result: &Result<(), EngineError>) {
        if let Some(leader) = self.leader {
            leader.end(result.as_ref().err());
        }
    }
}

/// A process's part in a cluster that another leads.
pub struct Part {
    /// The selection stages, in order.
    pub stages: Vec<Stage>,
    /// The sketch that codes are of, where a stage is by density.
    pub sketch: Sketch,
    /// What is known of skills, and done with them.
    pub skills: Skills,
    /// Timely workers of this process.
    pub workers: usize,
    /// Which process of which cluster this is; not the first.
    pub place: Place,
    /// Set to have the cluster finish the open epoch and end.
    pub stop: Arc<AtomicBool>,
}

/// Runs what process 0 says, until it says that there is no more.
///
/// # Errors
/// [`EngineError`] when a process of the cluster is lost or has failed, or does not take this one.
pub fn take_part(part: Part) -> Result<(), EngineError> {
    let (workers, place) = (part.workers, part.place.clone());
    let rules = part.rules().to_text();
    let agreement = Agreement { workers, rules };
    let Some(member) = Member::join(place, &agreement, &part.stop)? else {
        return Ok(());
    };
    let result = part.follow(&member);
    if let Err(error) = &result {
        member.fail(error);
    }
    result
}

impl Part {
    fn rules(&self) -> Rules {
        Rules::new(
            self.stages.clone(),
            self.sketch.clone(),
            self.skills.clone(),
        )
    }

    fn follow(&self, member: &Member) -> Result<(), EngineError> {
        while let Some((plan, links)) = member.next()? {
            let plan = serde_json::from_str(&plan).map_err(ClusterError::Plan)?;
            self.run(plan, links)?;
        }
        Ok(())
    }

    fn run(&self, plan: Plan, links: Links) -> Result<(), EngineError> {
        let (first, rules) = match plan {
            Plan::Configured { first, replayed } => {
                let rules = self.rules();
                (first, Rules { replayed, ..rules })
            }
            Plan::Earlier { progress } => {
                let rules = Rules::from_progress(&progress, &self.sketch, "process 0")?;
                (0, rules)
            }
        };
        run(
            self.workers,
            Some(links),
            first,
            None,
            rules,
            Threads::default(),
        )
    }
}
