//! Which snapshot a start uses: the newest that is whole, of this log and reading, and committed.

use std::path::Path;

use operators::DocumentHash;

use super::block::BLOCK_BYTES;
use super::cursor::Cursor;
use super::entry;
use super::error::{SnapshotError, io};
use super::file::{Snapshot, read_header};
use super::folder::{Folder, snapshots};
use super::header::{Form, Header};
use crate::curate::facts::document_hash;
use crate::curate::groups::Groups;
use crate::engine::EngineError;
use crate::log::{LogError, Offsets, Position, Store};

/// Documents of a snapshot that are looked up in the log. Ids are hashes and entries stand in their
/// order, so the first ones are a sample without bias.
const SAMPLE: usize = 8;

/// What a snapshot is wanted for.
pub struct Wanted<'a> {
    /// The name of the scored log.
    pub log: &'a str,
    /// How far the last commit had read it.
    pub committed: &'a Offsets,
    /// What is read of documents.
    pub form: &'a Form,
}

/// Why a snapshot is not used, or nothing can be.
enum Refused {
    Snapshot(SnapshotError),
    Engine(EngineError),
}

impl From<SnapshotError> for Refused {
    fn from(error: SnapshotError) -> Self {
        Refused::Snapshot(error)
    }
}

/// The newest snapshot that is what is wanted, if any; a warning says which are not, and why. The log
/// is in `store`.
///
/// # Errors
/// The log's.
pub fn newest(
    folder: &Folder,
    wanted: &Wanted<'_>,
    store: &dyn Store,
) -> Result<Option<Snapshot>, EngineError> {
    let mut refused = Vec::new();
    let mut chosen = None;
    let paths = match snapshots(folder.path()).map_err(io(folder.path())) {
        Ok(paths) => paths,
        Err(error) => {
            refused.push(error.to_string());
            Vec::new()
        }
    };
    for path in paths {
        match usable(&path, wanted, store) {
            Ok(snapshot) => {
                chosen = Some(snapshot);
                break;
            }
            Err(Refused::Snapshot(error)) => refused.push(error.to_string()),
            Err(Refused::Engine(error)) => return Err(error),
        }
    }
    if !refused.is_empty() {
        let instead = match &chosen {
            Some(snapshot) => format!("using {}", snapshot.path.display()),
            None => "reading the whole scored log again".to_owned(),
        };
        tracing::warn!(
            "not every snapshot can be used: {}; {instead}",
            refused.join("; ")
        );
    }
    Ok(chosen)
}

fn usable(path: &Path, wanted: &Wanted<'_>, store: &dyn Store) -> Result<Snapshot, Refused> {
    check(&read_header(path)?, path, wanted)?;
    let snapshot = Snapshot::open(path)?;
    match differing(&sample(&snapshot)?, wanted, store) {
        Ok(None) => Ok(snapshot),
        Ok(Some(place)) => {
            let reason = format!("record {place} is not the document that it was");
            Err(other_log(path, reason).into())
        }
        Err(error) => Err(Refused::Engine(error.into())),
    }
}

/// The first place, if any, where the log does not have the document that stands in the sample.
fn differing(
    sample: &[(Position, DocumentHash)],
    wanted: &Wanted<'_>,
    store: &dyn Store,
) -> Result<Option<Position>, LogError> {
    let is_committed = |place: &Position| {
        let end = wanted.committed.0.get(usize::from(place.partition()));
        end.is_some_and(|end| place.offset() < *end)
    };
    let places: Vec<Position> = sample.iter().map(|(place, _)| *place).collect();
    if let Some(place) = places.iter().find(|place| !is_committed(place)) {
        return Ok(Some(*place));
    }
    let mut found = Vec::new();
    let fetched = store.fetcher(wanted.log)?.fetch(&places, &mut |_, record| {
        let live = record.value.is_some();
        let key = record.key.filter(|_| live);
        found.push(key.map(|key| document_hash(&key)));
    });
    match fetched {
        Ok(()) => {}
        Err(LogError::Gone { position, .. }) => return Ok(Some(position)),
        Err(error) => return Err(error),
    }
    let mut pairs = sample.iter().zip(found);
    let other = pairs.find(|((_, expected), found)| *found != Some(*expected));
    Ok(other.map(|((place, _), _)| *place))
}

/// Whether what a snapshot says of itself is what is wanted.
///
/// # Errors
/// [`SnapshotError`] says what is not.
pub fn check(header: &Header, path: &Path, wanted: &Wanted<'_>) -> super::error::Result<()> {
    if header.log != wanted.log {
        return Err(other_log(path, format!("its name was {:?}", header.log)));
    }
    let (then, now) = (header.offsets.0.len(), wanted.committed.0.len());
    if then != now {
        return Err(other_log(
            path,
            format!("it had {then} partitions, now {now}"),
        ));
    }
    if !wanted.committed.reaches(&header.offsets) {
        let path = path.to_path_buf();
        return Err(SnapshotError::Beyond { path });
    }
    header.reading.places_of(wanted.form, path).map(|_| ())
}

fn other_log(path: &Path, reason: String) -> SnapshotError {
    let path = path.to_path_buf();
    SnapshotError::OtherLog { path, reason }
}

/// Places and ids of the first documents, by place.
fn sample(snapshot: &Snapshot) -> super::error::Result<Vec<(Position, DocumentHash)>> {
    let form = &snapshot.header.reading;
    // Nobody asks for their groups.
    let form = Form {
        fields: Vec::new(),
        ..form.clone()
    };
    let mut cursor = Cursor::of_snapshot(snapshot, &form, &Groups::new([], None))?;
    let width = entry::width(form.rows);
    debug_assert!(width < BLOCK_BYTES, "a block has an entry");
    let entries = cursor.block()?.unwrap_or_default();
    let entries = entries.chunks_exact(width).take(SAMPLE);
    let mut sample: Vec<_> = entries
        .map(|it| (entry::position(it), entry::hash(it)))
        .collect();
    sample.sort_unstable();
    Ok(sample)
}
