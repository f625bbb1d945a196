//! Snapshots made, used, broken and replaced: what the tests of all that stand on.

mod content;
mod damage;
mod keeping;
mod merging;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use operators::{DocumentHash, Upsert};
use tempfile::TempDir;

use super::choice::{self, Wanted};
use super::file::Snapshot;
use super::folder::{Folder, snapshots};
use super::header::{Form, Header};
use super::keeper::{Keeper, Keeping};
use super::{Schedule, restore};
use crate::curate::Received;
use crate::curate::coded::Coded;
use crate::curate::document::Document;
use crate::curate::facts::{Facts, document_hash};
use crate::curate::groups::Groups;
use crate::dataflow::Follower;
use crate::log::memory::MemoryStore;
use crate::log::{Layout, Offsets, Position, Record, Store};

const LOG: &str = "scored";
const ROWS: u16 = 3;

/// A document as the tests tell it: source, language, loss, tokens and codes by its number.
type Told = (Option<String>, Option<String>, i64, u32, Vec<u16>);

/// A directory, and a log of as many records as there may be documents.
struct Site {
    dir: TempDir,
    folder: Folder,
    store: MemoryStore,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = MemoryStore::new();
        let layout = Layout {
            partitions: 1,
            compacted: false,
        };
        store.create(LOG, layout).unwrap();
        let record = |n: u64| Record {
            key: Some(name(n)),
            value: Some(vec![1]),
            headers: Vec::new(),
        };
        store
            .produce(LOG, 0, (0..1000).map(record).collect())
            .unwrap();
        Site {
            folder: Folder::take(dir.path()).unwrap(),
            dir,
            store,
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        snapshots(self.dir.path()).unwrap()
    }

    /// Keeps what is told in one epoch of this number, of so many records, each a document's number
    /// or a takedown.
    fn keep(&self, epoch: u64, base: Option<Snapshot>, told: &[Upsert<Coded>], groups: &Groups) {
        let (keeper, mut tee) = Keeper::start(self.keeping(groups, epoch));
        base.into_iter().for_each(|base| tee.begin_with(base));
        tell(&mut tee, told, epoch);
        keeper.finish();
    }

    fn keeping(&self, groups: &Groups, first: u64) -> Keeping {
        Keeping {
            folder: self.folder.clone(),
            schedule: Schedule {
                interval: Duration::from_secs(3600),
                records_min: 1,
            },
            log: LOG.to_owned(),
            form: form(groups),
            groups: groups.clone(),
            first,
        }
    }

    /// The snapshot that a start after this epoch uses.
    fn newest(&self, epoch: u64, form: &Form) -> Option<Snapshot> {
        self.newest_of(LOG, &Offsets(vec![end(epoch)]), form)
    }

    fn newest_of(&self, log: &str, committed: &Offsets, form: &Form) -> Option<Snapshot> {
        let wanted = Wanted {
            log,
            committed,
            form,
        };
        choice::newest(&self.folder, &wanted, &self.store).unwrap()
    }
}

fn tell(tee: &mut super::Tee, told: &[Upsert<Coded>], epoch: u64) {
    let records: Vec<_> = told.iter().cloned().map(Received::Document).collect();
    for records in records.chunks(7) {
        tee.records(records);
    }
    let tee: &mut dyn Follower<Received<Coded>> = tee;
    tee.end(&[Offsets(vec![end(epoch)])]);
    tee.durable(epoch + 1);
}

/// Where the log is read up to at the end of an epoch.
fn end(epoch: u64) -> u64 {
    900 + epoch
}

fn name(n: u64) -> Vec<u8> {
    format!("document-{n}").into_bytes()
}

fn groups(fields: &[&str]) -> Groups {
    Groups::new(fields.iter().map(|field| (*field).to_owned()), None)
}

fn both() -> Groups {
    groups(&["source", "metadata.lang"])
}

fn form(groups: &Groups) -> Form {
    Form {
        fields: groups.fields().to_vec(),
        skill: None,
        sketch: Some("00000000000000ab".to_owned()),
        rows: ROWS,
    }
}

/// What a snapshot of this epoch says of itself.
fn header(epoch: u64, groups: &Groups) -> Header {
    Header {
        log: LOG.to_owned(),
        offsets: Offsets(vec![end(epoch)]),
        epoch,
        reading: form(groups),
    }
}

/// The first documents, so many, in their first version.
fn documents(count: u64, groups: &Groups) -> Vec<Upsert<Coded>> {
    (0..count).map(|n| document(n, 0, groups)).collect()
}

/// The document of this number in this version, in the groups of `both`.
fn document(n: u64, version: u64, groups: &Groups) -> Upsert<Coded> {
    let (source, lang, mean_nll, tokens, codes) = expected(n, version);
    let facts = Facts {
        position: Position::new(0, n),
        mean_nll,
        tokens,
        group: groups.code_of([source, lang].into()),
    };
    Upsert {
        id: document_hash(&name(n)),
        record: Some(Coded::restored(facts, codes.into_iter())),
    }
}

fn expected(n: u64, version: u64) -> Told {
    let source = (!n.is_multiple_of(5)).then(|| format!("source {}", (n + version) % 5));
    let lang = (!n.is_multiple_of(3)).then(|| "en".to_owned());
    let codes = (0..ROWS)
        .map(|row| (n * 7 + version) as u16 + row)
        .collect();
    (source, lang, version as i64 - n as i64, n as u32, codes)
}

fn takedown(n: u64) -> Upsert<Coded> {
    Upsert {
        id: document_hash(&name(n)),
        record: None,
    }
}

/// What a snapshot holds, to a process whose groups are these.
fn content(snapshot: &Snapshot, groups: &Groups) -> BTreeMap<DocumentHash, (Position, Told)> {
    let mut content = BTreeMap::new();
    let whole = restore(
        snapshot,
        &form(groups),
        groups,
        |documents: Vec<Upsert<Coded>>| {
            for upsert in documents {
                let Coded { facts, codes } = upsert.record.unwrap();
                let mut values = groups.values(facts.group).into_iter();
                let told = (
                    values.next().unwrap(),
                    values.next().unwrap_or_default(),
                    facts.mean_nll,
                    facts.tokens,
                    codes.to_vec(),
                );
                content.insert(upsert.id, (facts.position, told));
            }
            true
        },
    );
    assert!(whole.unwrap());
    content
}

fn expected_content(documents: &[(u64, u64)]) -> BTreeMap<DocumentHash, (Position, Told)> {
    let of = |(n, version): &(u64, u64)| {
        let position = Position::new(0, *n);
        (document_hash(&name(*n)), (position, expected(*n, *version)))
    };
    documents.iter().map(of).collect()
}
