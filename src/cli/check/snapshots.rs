//! The snapshots of the live documents: whether a start would use them, and how much it would read.

use super::finding::{Finding, Status, bytes};
use crate::config::{Config, LogKind};
use crate::curate::kept;
use crate::engine::Stores;
use crate::log::Offsets;

const WHAT: &str = "snapshot";

/// A finding for each snapshot, the newest first; none where there are none.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    if !config.local.dir.is_dir() {
        return Vec::new();
    }
    let dir = config.snapshots_dir();
    let kept = match kept(&dir) {
        Ok(kept) => kept,
        Err(error) => return vec![unusable(format!("{}: {error}", dir.display()))],
    };
    if !config.curate.snapshots && !kept.is_empty() {
        let found = format!("{}: not used, curate.snapshots = false", dir.display());
        return vec![Finding::new(Status::Skipped, WHAT, found)];
    }
    let finding = |kept: &crate::curate::Kept| match kept.check(config) {
        Ok((documents, size)) => {
            let path = kept.path.display();
            let (size, tail) = (bytes(size), tail(config, &kept.offsets));
            let found = format!("{path}: {documents} documents, {size}; {tail}");
            Finding::new(Status::Ok, WHAT, found)
        }
        Err(reason) => unusable(reason),
    };
    kept.iter().map(finding).collect()
}

fn unusable(reason: String) -> Finding {
    Finding::new(Status::Warning, WHAT, reason)
        .fix("none is needed: a start reads more of the scored log instead")
}

/// How much of the scored log a start reads behind the snapshot.
fn tail(config: &Config, offsets: &Offsets) -> String {
    let read = Offsets::default().distance(offsets);
    let behind = match config.scored.log {
        LogKind::Local => {
            let store = Stores::new(config).of(LogKind::Local);
            store
                .and_then(|store| store.ends(&config.scored.topic))
                .ok()
        }
        // Brokers are asked by their own check, and only where they may be.
        LogKind::Kafka => None,
    };
    match behind {
        Some(ends) => {
            let behind = offsets.distance(&ends);
            format!("{behind} of {} records are behind it", read + behind)
        }
        None => format!("as of {read} records"),
    }
}
