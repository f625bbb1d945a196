//! Snapshots made, used, broken and replaced.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use operators::{DocumentHash, Upsert};
use proptest::prelude::*;
use tempfile::TempDir;

use super::choice::{self, Wanted};
use super::entry;
use super::file::Snapshot;
use super::folder::{Folder, snapshots};
use super::header::{Form, Header};
use super::keeper::{Keeper, Keeping};
use super::merge::{Made, Merge};
use super::spool::Spool;
use super::{Schedule, kept, restore};
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

/// Version 1, byte by byte: another layout takes another version.
#[test]
fn version_1_entries_and_blocks_keep_their_bytes() {
    let upsert = Upsert {
        id: DocumentHash::from_halves([0x0102_0304_0506_0708, 0xf8]),
        record: Some(Coded::restored(
            Facts {
                position: Position::new(2, 3),
                mean_nll: -2,
                tokens: 5,
                group: 6,
            },
            [7, 0x0809].into_iter(),
        )),
    };
    let mut bytes = Vec::new();
    entry::put(&mut bytes, &upsert, entry::width(2));
    let expected = b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\xf8\
        \x03\0\0\0\0\0\x02\0\xfe\xff\xff\xff\xff\xff\xff\xff\x05\0\0\0\x06\0\0\0\x07\0\x09\x08";
    assert_eq!(bytes, expected);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blocks");
    let mut writer = super::block::BlockWriter::create(&path, false).unwrap();
    writer.put(super::block::Kind::Documents, &bytes).unwrap();
    writer.flush().unwrap();
    let mut block = b"DOCS\0\0\0\0\x2c\0\0\0\x2c\0\0\0".to_vec();
    block.extend(crc32fast::hash(expected).to_le_bytes());
    block.extend(crc32fast::hash(&block).to_le_bytes());
    block.extend(expected);
    assert_eq!(fs::read(&path).unwrap(), block);
}

#[test]
fn documents_come_back_with_groups_and_codes_where_the_process_has_other_codes_for_groups() {
    let (site, writing) = (Site::new(), both());
    let told: Vec<_> = (0..60).map(|n| document(n, 0, &writing)).collect();
    site.keep(4, None, &told, &writing);
    let reading = both();
    reading.code_of([Some("another".to_owned()), None].into());
    let snapshot = site.newest(4, &form(&reading)).unwrap();
    let all: Vec<_> = (0..60).map(|n| (n, 0)).collect();
    assert_eq!(content(&snapshot, &reading), expected_content(&all));
    assert_eq!((snapshot.documents, snapshot.header.epoch), (60, 4));

    // The next one is made of it and what comes: a version, a document, takedowns.
    let more = [
        document(7, 1, &reading),
        document(80, 0, &reading),
        takedown(8),
        document(9, 1, &reading),
        takedown(9),
        takedown(99),
        takedown(10),
        document(10, 2, &reading),
    ];
    site.keep(5, Some(snapshot), &more, &reading);
    let snapshot = site.newest(5, &form(&reading)).unwrap();
    let mut all: Vec<_> = (0..60)
        .filter(|n| ![7, 8, 9, 10].contains(n))
        .map(|n| (n, 0))
        .collect();
    all.extend([(7, 1), (80, 0), (10, 2)]);
    let last = both();
    assert_eq!(content(&snapshot, &last), expected_content(&all));
}

#[test]
fn fewer_fields_can_be_read_and_others_cannot() {
    let (site, writing) = (Site::new(), both());
    let told: Vec<_> = (0..20).map(|n| document(n, 0, &writing)).collect();
    site.keep(1, None, &told, &writing);
    let of_lang = groups(&["metadata.lang"]);
    let snapshot = site.newest(1, &form(&of_lang)).unwrap();
    let langs = content(&snapshot, &of_lang)
        .into_values()
        .map(|(_, told)| told.0);
    let expected_langs = expected_content(&(0..20).map(|n| (n, 0)).collect::<Vec<_>>());
    let expected_langs = expected_langs.into_values().map(|(_, told)| told.1);
    assert!(langs.eq(expected_langs));

    let wanted = form(&writing);
    for other in [
        form(&groups(&["source", "metadata.topic"])),
        Form {
            fields: vec!["skill".to_owned()],
            ..wanted.clone()
        },
        Form {
            sketch: Some("00000000000000ac".to_owned()),
            ..wanted.clone()
        },
        Form {
            sketch: None,
            rows: 0,
            ..wanted.clone()
        },
    ] {
        assert!(site.newest(1, &other).is_none(), "{other:?}");
    }
    // The field of skills matters where documents are grouped by skill, and only there.
    let by_topic = Form {
        skill: Some("metadata.topic".to_owned()),
        ..wanted
    };
    assert!(site.newest(1, &by_topic).is_some());
}

#[test]
fn the_field_of_skills_must_be_the_same_where_documents_are_grouped_by_skill() {
    let (site, groups) = (Site::new(), groups(&["skill", "source"]));
    let told: Vec<_> = (0..9).map(|n| document(n, 0, &groups)).collect();
    site.keep(1, None, &told, &groups);
    assert!(site.newest(1, &form(&groups)).is_some());
    let by_topic = Form {
        skill: Some("metadata.topic".to_owned()),
        ..form(&groups)
    };
    assert!(site.newest(1, &by_topic).is_none());
}

#[test]
fn a_snapshot_of_another_log_or_beyond_the_last_commit_is_passed_over() {
    let (site, groups) = (Site::new(), both());
    let told: Vec<_> = (0..20).map(|n| document(n, 0, &groups)).collect();
    site.keep(3, None, &told, &groups);
    let form = form(&groups);
    let at = |offsets: &[u64]| Offsets(offsets.to_vec());
    assert!(site.newest_of(LOG, &at(&[end(3)]), &form).is_some());
    assert!(site.newest_of("other", &at(&[end(3)]), &form).is_none());
    assert!(site.newest_of(LOG, &at(&[end(3) - 1]), &form).is_none());
    assert!(site.newest_of(LOG, &at(&[end(3), 0]), &form).is_none());

    // The log was made anew: other documents stand at the places, or none.
    let foreign: Vec<_> = (0..20)
        .map(|n| Upsert {
            id: document_hash(&name(n + 500)),
            ..document(n, 0, &groups)
        })
        .collect();
    site.keep(4, None, &foreign, &groups);
    assert_eq!(site.newest(4, &form).map(|it| it.header.epoch), None);
    let gone = |n| Upsert {
        id: document_hash(&name(n)),
        ..document(n + 5000, 0, &groups)
    };
    site.keep(5, None, &(0..20).map(gone).collect::<Vec<_>>(), &groups);
    assert_eq!(site.newest(5, &form).map(|it| it.header.epoch), None);
    assert!(site.newest_of(LOG, &at(&[9000]), &form).is_none());
}

#[test]
fn fault_every_flipped_bit_and_every_cut_is_noticed_and_an_older_snapshot_serves() {
    let (site, groups) = (Site::new(), both());
    let told: Vec<_> = (0..30).map(|n| document(n, 0, &groups)).collect();
    site.keep(1, None, &told, &groups);
    let base = site.newest(1, &form(&groups));
    let more: Vec<_> = (30..40).map(|n| document(n, 0, &groups)).collect();
    site.keep(2, base, &more, &groups);
    let [newer, older] = &site.files()[..] else {
        panic!("two are kept")
    };
    let whole = fs::read(newer).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(newer, &damaged).unwrap();
        assert!(Snapshot::open(newer).is_err(), "byte {at}");
        fs::write(newer, &whole[..at]).unwrap();
        assert!(Snapshot::open(newer).is_err(), "cut at {at}");
    }
    let mut foreign = whole.clone();
    foreign[3] += 1;
    for damaged in [
        &whole[..whole.len() / 2],
        &[],
        &foreign,
        &[&whole[..], b"x"].concat(),
    ] {
        fs::write(newer, damaged).unwrap();
        assert_eq!(&site.newest(2, &form(&groups)).unwrap().path, older);
    }
    fs::write(older, []).unwrap();
    assert!(site.newest(2, &form(&groups)).is_none());
    fs::write(newer, &whole).unwrap();
    assert_eq!(&site.newest(2, &form(&groups)).unwrap().path, newer);
}

/// The file breaks after it was proven: what was read before that is told, and then the damage.
#[test]
fn fault_damage_behind_the_proof_is_noticed_in_its_block() {
    let (site, groups) = (Site::new(), both());
    let told: Vec<_> = (0..30).map(|n| document(n, 0, &groups)).collect();
    site.keep(1, None, &told, &groups);
    let snapshot = site.newest(1, &form(&groups)).unwrap();
    let whole = fs::read(&snapshot.path).unwrap();
    for at in super::file::MAGIC.len()..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&snapshot.path, &damaged).unwrap();
        let each = |_: Vec<Upsert<Coded>>| true;
        let restored = restore(&snapshot, &form(&groups), &groups, each);
        assert!(restored.is_err(), "byte {at}");
    }
}

/// Checksums alone must not be what keeps a reader from a panic.
#[test]
fn fault_sound_blocks_that_make_no_sense_are_damage() {
    use super::block::{BlockWriter, Kind};
    let site = Site::new();
    let groups = both();
    let path = site.dir.path().join("odd");
    let width = entry::width(ROWS);
    let some = vec![0; width];
    let names = br#"[["a", null]]"#.as_slice();
    let head = Header {
        log: LOG.to_owned(),
        offsets: Offsets(vec![end(1)]),
        epoch: 1,
        reading: form(&groups),
    };
    let head = serde_json::to_vec(&head).unwrap();
    let cases: [&[(Kind, &[u8])]; 8] = [
        &[(Kind::Documents, &some)],
        &[(Kind::Names, b"[[\"a\"]]"), (Kind::Documents, &some)],
        &[(Kind::Names, b"["), (Kind::Documents, &some)],
        &[(Kind::Names, names), (Kind::Documents, &some[1..])],
        &[(Kind::Names, names), (Kind::Documents, &[])],
        &[
            (Kind::Names, names),
            (Kind::Documents, &some),
            (Kind::Documents, &some),
        ],
        &[(Kind::Names, names), (Kind::Documents, &some)],
        &[(Kind::Names, names), (Kind::Last, &some)],
    ];
    for blocks in cases {
        let mut writer = BlockWriter::create(&path, true).unwrap();
        writer.put_raw(&super::file::MAGIC).unwrap();
        writer.put(Kind::Head, &head).unwrap();
        for (kind, payload) in blocks {
            writer.put(*kind, payload).unwrap();
        }
        writer.sync().unwrap();
        assert!(Snapshot::open(&path).is_err());
        let believed = Snapshot {
            path: path.clone(),
            header: serde_json::from_slice(&head).unwrap(),
            documents: 2,
            bytes: 0,
        };
        let each = |_: Vec<Upsert<Coded>>| true;
        assert!(restore(&believed, &form(&groups), &groups, each).is_err());
    }
}

#[test]
fn two_are_kept_and_after_a_takedown_the_newest_alone() {
    let (site, groups) = (Site::new(), both());
    let mut base = None;
    for epoch in 0..4 {
        let told: Vec<_> = (0..9)
            .map(|n| document(n + epoch, epoch, &groups))
            .collect();
        site.keep(epoch, base, &told, &groups);
        base = site.newest(epoch, &form(&groups));
        assert_eq!(site.files().len() as u64, (epoch + 1).min(2));
    }
    let offsets = |n: usize| kept(site.dir.path()).unwrap()[n].offsets.0[0];
    assert_eq!((offsets(0), offsets(1)), (end(3), end(2)));

    site.keep(4, base, &[takedown(5)], &groups);
    let kept = kept(site.dir.path()).unwrap();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].offsets.reaches(&Offsets(vec![end(4)])));
    let snapshot = site.newest(4, &form(&groups)).unwrap();
    let content = content(&snapshot, &groups);
    assert!(content.contains_key(&document_hash(&name(4))));
    assert!(!content.contains_key(&document_hash(&name(5))));
}

#[test]
fn what_is_not_committed_is_not_kept_and_unfinished_files_go_at_the_next_start() {
    let (site, groups) = (Site::new(), both());
    let (keeper, mut tee) = Keeper::start(site.keeping(&groups, 1));
    let told: Vec<_> = (0..9)
        .map(|n| Received::Document(document(n, 0, &groups)))
        .collect();
    tee.records(&told);
    let following: &mut dyn Follower<Received<Coded>> = &mut tee;
    following.end(&[Offsets(vec![end(1)])]);
    drop(keeper);
    assert!(site.files().is_empty());
    fs::write(site.dir.path().join("run-3.tmp"), b"x").unwrap();
    let Site { dir, folder, .. } = site;
    assert!(Folder::take(dir.path()).is_err(), "another process has it");
    drop(folder);
    Folder::take(dir.path()).unwrap();
    assert!(!dir.path().join("run-3.tmp").exists());
}

/// A full disk, met while the spool or the snapshot is written: the source goes on.
#[test]
fn fault_a_full_disk_ends_the_snapshots_and_nothing_else() {
    for file in ["run-0.tmp", "snapshot.tmp"] {
        let (site, groups) = (Site::new(), both());
        let told: Vec<_> = (0..9).map(|n| document(n, 0, &groups)).collect();
        site.keep(1, None, &told, &groups);
        let base = site.newest(1, &form(&groups));
        symlink("/dev/full", site.dir.path().join(file)).unwrap();
        let (keeper, mut tee) = Keeper::start(site.keeping(&groups, 2));
        base.into_iter().for_each(|base| tee.begin_with(base));
        for epoch in 2..200 {
            tell(&mut tee, &told, epoch);
        }
        keeper.finish();
        assert_eq!(site.newest(300, &form(&groups)).unwrap().header.epoch, 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Runs of any number and size, merged in rounds where there are many.
    #[test]
    fn oracle_a_merge_keeps_the_last_entry_of_each_id(
        old in prop::collection::btree_map(0..300u64, 0..9u64, 0..300),
        told in prop::collection::vec((0..400u64, prop::option::of(0..9u64)), 1..900),
        run_entries in 1..40usize,
    ) {
        let (site, groups) = (Site::new(), both());
        let first: Vec<_> = old.iter().map(|(n, version)| document(*n, *version, &groups)).collect();
        site.keep(1, None, &first, &groups);
        let base = site.newest(1, &form(&groups));
        prop_assert_eq!(base.is_some(), !old.is_empty());
        let width = entry::width(ROWS);
        let mut spool = Spool::new(site.dir.path(), width, run_entries * width);
        let mut live = old;
        for (n, version) in &told {
            let upsert = match version {
                Some(version) => document(*n, *version, &groups),
                None => takedown(*n),
            };
            let mut bytes = Vec::new();
            entry::put(&mut bytes, &upsert, width);
            spool.push(&bytes).unwrap();
            match version {
                Some(version) => live.insert(*n, *version),
                None => live.remove(n),
            };
        }
        let runs = spool.take().unwrap();
        prop_assert!(runs.len() >= told.len() / run_entries);
        let header = Header {
            log: LOG.to_owned(),
            offsets: Offsets(vec![end(2)]),
            epoch: 2,
            reading: form(&groups),
        };
        let merge = Merge { folder: site.folder.clone(), header, groups: groups.clone(), base, runs };
        let Made { snapshot, .. } = merge.run(&AtomicBool::new(false)).unwrap();
        let live: Vec<_> = live.into_iter().collect();
        prop_assert_eq!(snapshot.documents, live.len() as u64);
        prop_assert_eq!(content(&snapshot, &groups), expected_content(&live));
        let left = fs::read_dir(site.dir.path()).unwrap().count();
        prop_assert_eq!(left, 1 + site.files().len(), "the lock, and snapshots");
    }
}

#[test]
fn a_merge_ends_when_it_is_told_to() {
    let (site, groups) = (Site::new(), both());
    let width = entry::width(ROWS);
    let mut spool = Spool::new(site.dir.path(), width, 1 << 20);
    for n in 0..5000 {
        let mut bytes = Vec::new();
        entry::put(&mut bytes, &document(n, 0, &groups), width);
        spool.push(&bytes).unwrap();
    }
    let merge = Merge {
        folder: site.folder.clone(),
        header: Header {
            log: LOG.to_owned(),
            offsets: Offsets(vec![end(2)]),
            epoch: 2,
            reading: form(&groups),
        },
        groups,
        base: None,
        runs: spool.take().unwrap(),
    };
    assert!(merge.run(&AtomicBool::new(true)).is_err());
    assert!(site.files().is_empty());
}
