//! `curate` in several processes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::run::curate_at;
use super::{Counters, EngineError, Summary, mixing};
use crate::cluster::{Lifeline, Place};
use crate::config::Config;
use crate::curate::{Part, take_part};

/// What a process of a cluster is.
pub struct Membership {
    /// Which one of which cluster.
    pub place: Place,
    /// What joins it to its supervisor, if it has one.
    pub lifeline: Option<Lifeline>,
}

/// Curates as a process of a cluster until the end or until `stop` is set; what was done, from
/// process 0, which alone knows.
///
/// # Errors
/// [`EngineError`] when something fails that the stream cannot go on after, in whichever process.
pub fn run_in_cluster(
    config: &Config,
    until_end: bool,
    membership: Membership,
    stop: &Arc<AtomicBool>,
) -> Result<Option<Summary>, EngineError> {
    let Membership { place, lifeline } = membership;
    let counters = Arc::new(Counters::default());
    if let Some(lifeline) = lifeline {
        lifeline.hold(Arc::clone(&counters), Arc::clone(stop));
    }
    if place.process == 0 {
        let summary = curate_at(config, until_end, place, &counters, stop)?;
        return Ok(Some(summary));
    }
    take_part(Part {
        stages: config.select.clone(),
        sketch: config.sketch.clone(),
        skills: mixing::skills(config)?,
        workers: config.curate.workers.into(),
        place,
        stop: Arc::clone(stop),
    })?;
    Ok(None)
}
