//! Which snapshots are kept, and what of them outlives a process.

use std::fs;

use super::super::kept;
use super::*;

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
