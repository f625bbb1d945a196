//! What is broken is noticed, and something else serves.

use std::fs;
use std::os::unix::fs::symlink;

use super::super::block::{BlockWriter, Kind};
use super::super::entry;
use super::super::file::MAGIC;
use super::*;

#[test]
fn fault_every_flipped_bit_and_every_cut_is_noticed_and_an_older_snapshot_serves() {
    let (site, groups) = (Site::new(), both());
    let told = documents(30, &groups);
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
    let told = documents(30, &groups);
    site.keep(1, None, &told, &groups);
    let snapshot = site.newest(1, &form(&groups)).unwrap();
    let whole = fs::read(&snapshot.path).unwrap();
    for at in MAGIC.len()..whole.len() {
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
    let site = Site::new();
    let groups = both();
    let path = site.dir.path().join("odd");
    let width = entry::width(ROWS);
    let some = vec![0; width];
    let names = br#"[["a", null]]"#.as_slice();
    let header = header(1, &groups);
    let head = serde_json::to_vec(&header).unwrap();
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
        writer.put_raw(&MAGIC).unwrap();
        writer.put(Kind::Head, &head).unwrap();
        for (kind, payload) in blocks {
            writer.put(*kind, payload).unwrap();
        }
        writer.sync().unwrap();
        assert!(Snapshot::open(&path).is_err());
        let believed = Snapshot {
            path: path.clone(),
            header: header.clone(),
            documents: 2,
            bytes: 0,
        };
        let each = |_: Vec<Upsert<Coded>>| true;
        assert!(restore(&believed, &form(&groups), &groups, each).is_err());
    }
}

/// A full disk, met while the spool or the snapshot is written: the source goes on.
#[test]
fn fault_a_full_disk_ends_the_snapshots_and_nothing_else() {
    for file in ["run-0.tmp", "snapshot.tmp"] {
        let (site, groups) = (Site::new(), both());
        let told = documents(9, &groups);
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
