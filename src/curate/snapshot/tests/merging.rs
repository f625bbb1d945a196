//! The spool and its merge with the last snapshot.

use std::fs;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::super::entry;
use super::super::merge::{Made, Merge};
use super::super::spool::Spool;
use super::*;

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
        let (folder, header) = (site.folder.clone(), header(2, &groups));
        let merge = Merge { folder, header, groups: groups.clone(), base, runs };
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
        header: header(2, &groups),
        groups,
        base: None,
        runs: spool.take().unwrap(),
    };
    assert!(merge.run(&AtomicBool::new(true)).is_err());
    assert!(site.files().is_empty());
}
