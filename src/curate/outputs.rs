//! The logs that curate publishes in, and the place of its last commit there.

use super::publish::{MixtureLog, Outputs};
use super::rules::Mixing;
use super::run::Curate;
use crate::engine::EngineError;
use crate::log::{Layout, Store};
use crate::records::Progress;

/// The name of the curator's writer: at most one is live. It names the log, since on one Kafka
/// cluster other pipelines may have curators of their own.
pub(crate) fn writer_of(curated: &str) -> String {
    format!("curate-{curated}")
}

pub fn open_outputs(curate: &Curate, scored_partitions: u16) -> Result<Outputs, EngineError> {
    let store = &curate.curated_store;
    let layout = Layout {
        partitions: scored_partitions,
        compacted: true,
    };
    let partitions = store.create(&curate.curated, layout)?;
    let mut logs = vec![curate.curated.as_str(), &curate.statistics];
    let single = Layout {
        partitions: 1,
        compacted: true,
    };
    store.create(&curate.statistics, single)?;
    if let Some(topics) = &curate.mixture {
        store.create(&topics.losses, single)?;
        store.create(&topics.mixture, single)?;
        let growing = Layout {
            compacted: false,
            ..single
        };
        store.create(&topics.dead_letters, growing)?;
        logs.extend([&*topics.mixture, &topics.dead_letters]);
    }
    Ok(Outputs {
        writer: store.writer(&writer_of(&curate.curated), &logs)?,
        curated: curate.curated.clone(),
        partitions,
        statistics: curate.statistics.clone(),
        mixture: mixture_log(curate),
    })
}

fn mixture_log(curate: &Curate) -> Option<MixtureLog> {
    let Mixing::Follow { start, .. } = &curate.skills.mixture else {
        return None;
    };
    let topics = curate.mixture.as_ref()?;
    Some(MixtureLog {
        topic: topics.mixture.clone(),
        dead_letters: topics.dead_letters.clone(),
        method: start.rule().method().name(),
        run: start.losses().run().to_owned(),
    })
}

/// Where the curator of a log stands, which goes on undisturbed; `None` before its first commit.
///
/// # Errors
/// The store's, and [`EngineError`] when the position does not read, or is of a scored log with
/// another number of partitions.
pub(crate) fn last_progress(
    store: &dyn Store,
    curated: &str,
    scored: &str,
    partitions: u16,
) -> Result<Option<Progress>, EngineError> {
    let position = store.position(&writer_of(curated))?;
    progress_of(position.as_deref(), curated, scored, partitions)
}

/// What the bytes of the curator's last commit say.
pub fn progress_of(
    bytes: Option<&[u8]>,
    curated: &str,
    scored: &str,
    partitions: u16,
) -> Result<Option<Progress>, EngineError> {
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let progress = Progress::decode(bytes).map_err(|source| EngineError::Progress {
        writer: writer_of(curated),
        source,
    })?;
    progress.check_partitions(scored, partitions)?;
    Ok(Some(progress))
}
