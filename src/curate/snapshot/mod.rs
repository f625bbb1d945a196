//! Snapshots of the live documents, so that a restart reads only the tail of the scored log.
//!
//! The curated set is a function of the live documents, so a snapshot is exactly these: of each the
//! hash of its id and its facts, with codes where a stage counts them, as of the end of a committed
//! epoch. It depends on the log and on what is read of a record alone: not on the stages' settings,
//! the number of workers or anything that an operator keeps. On start its entries are sent in the
//! place of the log before it, in the one epoch of the replay; the scored log's tail follows.
//!
//! Snapshots may always be deleted without loss, and one that is damaged, or of another log or
//! reading, is passed over: then an older one serves, or the log itself.

mod block;
mod choice;
mod cursor;
mod entry;
mod error;
mod file;
mod folder;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod header;
mod keeper;
mod merge;
mod spool;
mod tee;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use choice::{Wanted, newest};
pub use error::Result;
pub use file::Snapshot;
pub use folder::Folder;
pub use header::Form;
pub use keeper::{Keeper, Keeping};
pub use tee::Tee;

use operators::Upsert;

use super::document::Document;
use super::groups::Groups;
use super::rules::{Rules, Skills};
use crate::config::Config;
use crate::log::Offsets;
use cursor::Cursor;

/// Where snapshots are kept, and when they are made.
#[derive(Clone, Debug)]
pub struct Snapshots {
    /// The directory; of one curated log alone.
    pub dir: PathBuf,
    /// When they are made.
    pub schedule: Schedule,
}

/// When a snapshot is made.
///
/// At the end of an epoch, when so many records have come since the last one and a quarter of its
/// documents, or after this time, if anything has come; and at an orderly end, when so many records
/// have and an eighth of the documents. Where making one takes long the next waits: a twentieth of
/// the time at most is spent on them.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The time between two snapshots.
    pub interval: Duration,
    /// The least records between two snapshots before that.
    pub records_min: u64,
}

/// Calls `each` with the documents of a snapshot, some at a time, as the process reads and groups
/// them, until it returns `false`; whether it never did.
///
/// # Errors
/// [`SnapshotError`] when the file does not read, though it did before: what `each` has had until
/// then is right, but not all.
pub fn restore<D: Document>(
    snapshot: &Snapshot,
    form: &Form,
    groups: &Groups,
    mut each: impl FnMut(Vec<Upsert<D>>) -> bool,
) -> Result<bool> {
    let mut cursor = Cursor::of_snapshot(snapshot, form, groups)?;
    let width = entry::width(form.rows);
    while let Some(entries) = cursor.block()? {
        if !each(entries.chunks_exact(width).map(entry::upsert).collect()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A snapshot that is kept, as its header tells.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its file.
    pub path: PathBuf,
    /// How far it had read the scored log: nothing of it where the header does not read.
    pub offsets: Offsets,
}

impl Kept {
    /// Reads the whole file, and says how many documents and bytes it has.
    ///
    /// # Errors
    /// Why a start of a `curate` so configured would not use it, as text for a person. Whether the
    /// log is still the same, and how far it was committed, is not looked at.
    pub fn check(&self, config: &Config) -> std::result::Result<(u64, u64), String> {
        let skills = Skills {
            are_known: config.skills.are_known(),
            field: config
                .skills
                .field
                .as_ref()
                .map(|it| it.as_str().to_owned()),
            ..Skills::default()
        };
        let rules = Rules::new(config.select.clone(), config.sketch.clone(), skills);
        let wanted = Wanted {
            log: &config.scored.topic,
            committed: &self.offsets,
            form: &Form::of(&rules),
        };
        let checked = Snapshot::open(&self.path).and_then(|snapshot| {
            choice::check(&snapshot.header, &self.path, &wanted)?;
            Ok((snapshot.documents, snapshot.bytes))
        });
        checked.map_err(|error| error.to_string())
    }
}

/// The snapshots that are kept in a directory, the newest first. A document that was taken down is
/// in none of them once the offsets of each reach behind its takedown.
///
/// # Errors
/// When the directory cannot be read; one that is not there has none.
pub fn kept(dir: &Path) -> std::io::Result<Vec<Kept>> {
    let paths = folder::snapshots(dir)?.into_iter();
    let kept = |path: PathBuf| Kept {
        offsets: file::read_header(&path).map_or_else(|_| Offsets::default(), |it| it.offsets),
        path,
    };
    Ok(paths.map(kept).collect())
}

#[cfg(test)]
mod tests;
