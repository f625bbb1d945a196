//! What comes back, and which snapshot a start takes.

use std::fs;

use operators::{DocumentHash, Upsert};

use super::super::block::{BlockWriter, Kind};
use super::super::entry;
use super::super::header::Form;
use super::*;

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
    let mut writer = BlockWriter::create(&path, false).unwrap();
    writer.put(Kind::Documents, &bytes).unwrap();
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
    let told = documents(60, &writing);
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
    let told = documents(20, &writing);
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
    let told = documents(9, &groups);
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
    let told = documents(20, &groups);
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
