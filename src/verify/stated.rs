//! What the curator states of its work beside the documents: the corpus record of the statistics,
//! and the mixture.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::report::{Corpus, Stated};
use super::{Verify, VerifyError};
use crate::curate::group_of;
use crate::log::{Offsets, Record, Store, scan};
use crate::records::Progress;

/// Parts that the mixture's shares are written in.
const WHOLE: f64 = 1e9;

/// The record of the whole corpus, as far as it is compared.
#[derive(Deserialize)]
struct CorpusRecord {
    epoch: u64,
    #[serde(flatten)]
    corpus: Corpus,
}

/// The record of the mixture, as far as it is compared.
#[derive(Deserialize)]
struct MixtureRecord {
    epoch: u64,
    skills: BTreeMap<String, f64>,
}

/// What the statistics state of the corpus in `epoch`.
///
/// A later epoch's record may have replaced it, where the log is compacted.
pub fn statistics(verify: &Verify, epoch: u64) -> Result<Stated, VerifyError> {
    let mut stated = Stated::Missing;
    read(verify, &verify.statistics, |record| {
        if record.key.as_deref() != Some(b"corpus") {
            return;
        }
        let told = serde_json::from_slice(record.value.as_deref().unwrap_or_default());
        stated = match told {
            Ok(CorpusRecord { epoch: of, corpus }) if of == epoch => Stated::Is(corpus),
            Ok(CorpusRecord { epoch: of, .. }) if of > epoch => match stated {
                Stated::Is(_) => stated,
                _ => Stated::Superseded,
            },
            Ok(_) => stated,
            Err(_) => Stated::Missing,
        };
    })?;
    Ok(stated)
}

/// Whether the mixture of the last commit is the one that was published last; `None` where there is
/// no mixture, or later epochs have replaced it.
pub fn mixture_agrees(verify: &Verify, progress: &Progress) -> Result<Option<bool>, VerifyError> {
    let Some(weights) = &progress.weights else {
        return Ok(None);
    };
    let (mut last, mut is_later) = (None, false);
    read(verify, &verify.mixture, |record| {
        let told = serde_json::from_slice(record.value.as_deref().unwrap_or_default());
        match told {
            Ok(MixtureRecord { epoch, skills }) if epoch <= progress.epoch => last = Some(skills),
            Ok(_) => is_later = true,
            // Whoever reads the log reads this.
            Err(_) => last = None,
        }
    })?;
    Ok(match last {
        Some(skills) => Some(parts(&skills) == *weights),
        None if is_later => None,
        None => Some(false),
    })
}

/// Shares as the progress record has them: parts of a billion by the hash of the skill's name.
fn parts(skills: &BTreeMap<String, f64>) -> Vec<(u64, u64)> {
    let part = |(skill, share): (&String, &f64)| (group_of(skill), (share * WHOLE).round() as u64);
    let mut parts: Vec<_> = skills.iter().map(part).collect();
    parts.sort_unstable();
    parts
}

/// Calls `each` with every record of a log of one partition; a log that is not there has none.
fn read(verify: &Verify, log: &str, mut each: impl FnMut(Record)) -> Result<(), VerifyError> {
    let store: &dyn Store = verify.curated_store.as_ref();
    if store.partitions(log)?.is_none() {
        return Ok(());
    }
    let ends = store.ends(log)?;
    let start = Offsets::start(ends.0.len() as u16);
    let done = scan(store, log, [&start, &ends], &verify.stop, |received| {
        each(received.record);
        Ok::<_, VerifyError>(())
    })?;
    match done {
        true => Ok(()),
        false => Err(VerifyError::Stopped),
    }
}
