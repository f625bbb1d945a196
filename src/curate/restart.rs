//! Which snapshot a start begins with, and what makes the next ones.

use super::rules::Rules;
use super::run::Curate;
use super::snapshot::{Folder, Form, Keeper, Keeping, Snapshot, Tee, Wanted, newest};
use crate::engine::EngineError;
use crate::log::Offsets;
use crate::records::Progress;

/// The directory of snapshots, if they are to be kept and it can be used. Without a commit there is
/// nothing that they could be of: they are removed.
pub fn take_snapshots(curate: &Curate, is_committed: bool) -> Option<Folder> {
    let snapshots = curate.snapshots.as_ref()?;
    let folder = Folder::take(&snapshots.dir).and_then(|folder| {
        if !is_committed {
            folder.remove_all()?;
        }
        Ok(folder)
    });
    let warn = |error| tracing::warn!(%error, "no snapshots are used or made");
    folder.map_err(warn).ok()
}

/// The snapshot to begin with, if there is one; says where reading begins.
pub fn usable(
    curate: &Curate,
    progress: Option<&Progress>,
    folder: Option<&Folder>,
    form: &Form,
) -> Result<Option<Snapshot>, EngineError> {
    let Some(Progress { epoch, offsets, .. }) = progress else {
        return Ok(None);
    };
    let log = &curate.scored;
    let wanted = Wanted {
        log,
        committed: offsets,
        form,
    };
    let newest = |folder| newest(folder, &wanted, curate.scored_store.as_ref());
    let snapshot = folder.map(newest).transpose()?.flatten();
    let records = known(snapshot.as_ref(), offsets.0.len() as u16).distance(offsets);
    match &snapshot {
        None => tracing::info!(epoch, records, "replaying the scored log"),
        Some(Snapshot {
            path, documents, ..
        }) => tracing::info!(
            epoch,
            snapshot = %path.display(),
            documents,
            records,
            "starting from a snapshot, then replaying the scored log behind it"
        ),
    }
    Ok(snapshot)
}

/// Where reading begins.
pub fn known(snapshot: Option<&Snapshot>, partitions: u16) -> Offsets {
    let offsets = snapshot.map(|snapshot| snapshot.header.offsets.clone());
    offsets.unwrap_or_else(|| Offsets::start(partitions))
}

/// Starts to make snapshots from this epoch on.
pub fn keep(
    curate: &Curate,
    folder: Option<Folder>,
    form: Form,
    rules: &Rules,
    first: u64,
) -> Option<(Keeper, Tee)> {
    let (folder, snapshots) = folder.zip(curate.snapshots.as_ref())?;
    Some(Keeper::start(Keeping {
        folder,
        schedule: snapshots.schedule,
        log: curate.scored.clone(),
        form,
        groups: rules.groups.clone(),
        first,
    }))
}
