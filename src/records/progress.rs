//! What a commit says besides its records: how far the input was read, and under which rules.

use serde::{Deserialize, Serialize};

use crate::engine::EngineError;
use crate::log::Offsets;

/// The version of the layout, in every progress record.
const VERSION: u32 = 1;

/// A dataflow's place, committed with each epoch's output. JSON, so that a person can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    version: u32,
    /// The last epoch that is committed; the outputs up to it are complete.
    pub epoch: u64,
    /// How far the input log was read in it.
    pub offsets: Offsets,
    /// The rules in force, in a form that compares: for `curate`, its stages.
    pub rules: String,
    /// How far the log of losses was read, where a mixture follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<Offsets>,
    /// The mixture in force: the weight of each skill, by the hash of its name. Should the rules
    /// change, what they kept follows from it without the losses and the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<(u64, u64)>>,
}

/// Why bytes are no progress record.
#[derive(Debug, thiserror::Error)]
pub enum ProgressError {
    /// The bytes are no such JSON.
    #[error("damaged progress record: {0}")]
    Json(#[from] serde_json::Error),
    /// A later program wrote it.
    #[error("progress record of version {version}; this program reads version {VERSION}")]
    Version {
        /// The version found.
        version: u32,
    },
}

impl Progress {
    /// The place after `epoch`, with the input read up to `offsets` under `rules`.
    pub fn new(epoch: u64, offsets: Offsets, rules: String) -> Self {
        Progress {
            version: VERSION,
            epoch,
            offsets,
            rules,
            losses: None,
            weights: None,
        }
    }

    /// Checks that the input log has as many partitions as when it was last read.
    ///
    /// # Errors
    /// [`EngineError::Repartitioned`] otherwise: documents stand in other partitions now.
    pub fn check_partitions(&self, log: &str, now: u16) -> Result<(), EngineError> {
        check_partitions(log, now, self.offsets.0.len())
    }

    /// The record as bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and text can be written as JSON")
    }

    /// The record in `bytes`.
    ///
    /// # Errors
    /// [`ProgressError`] when the bytes are damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProgressError> {
        let progress: Progress = serde_json::from_slice(bytes)?;
        if progress.version != VERSION {
            return Err(ProgressError::Version {
                version: progress.version,
            });
        }
        Ok(progress)
    }
}

/// Checks that a log has as many partitions `now` as it had `then`, when it was last read.
///
/// # Errors
/// [`EngineError::Repartitioned`] otherwise: documents stand in other partitions now.
pub fn check_partitions(log: &str, now: u16, then: usize) -> Result<(), EngineError> {
    let now = usize::from(now);
    match now == then {
        true => Ok(()),
        false => Err(EngineError::Repartitioned {
            log: log.to_owned(),
            now,
            then,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_then_decode_gives_the_record_and_other_versions_are_refused() {
        let progress = Progress::new(7, Offsets(vec![1, 2]), "[]".to_owned());
        assert_eq!(Progress::decode(&progress.encode()).unwrap(), progress);
        let other = String::from_utf8(progress.encode())
            .unwrap()
            .replacen("1", "9", 1);
        assert!(matches!(
            Progress::decode(other.as_bytes()),
            Err(ProgressError::Version { version: 9 })
        ));
        assert!(Progress::decode(b"{").is_err());
    }
}
