//! Documents in by a feed and by others, over Kafka, and the curated topic as others see it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::curated::{Changes, Documents, live, middle_half};
use crate::site::{Site, document, id, takedown};
use crate::{broker, kcat};

const PARTITIONS: u16 = 3;

fn site(prefix: &str) -> Site {
    Site::kafka(broker::shared().bootstrap(), prefix)
        .set(&format!("topics.partitions={PARTITIONS}"))
        .set("curate.snapshot_records_min=1")
}

#[test]
fn others_read_the_curated_set_and_all_its_changes() {
    let site = site("travels");
    let curated = "travels-curated";
    let mut fed: Vec<Value> = (0..401).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    let summary = site.run();
    assert_eq!(
        (&summary["live"], &summary["curated"]),
        (&401.into(), &200.into())
    );

    let first = kcat::records(curated);
    let partitions: BTreeSet<_> = first
        .iter()
        .map(|record| record["partition"].as_u64())
        .collect();
    assert_eq!(partitions.len(), usize::from(PARTITIONS));
    let changes = Changes::apply(Documents::new(), kcat::changes(&first));
    let before = middle_half(&live(&fed));
    assert_eq!((changes.set.len(), &changes.set), (200, &before));
    assert_eq!((changes.upserts.len(), changes.tombstones.len()), (200, 0));

    // Every seventh goes, every fifth is told anew, and some are new: the band moves.
    let lines = (0..401).step_by(7).map(takedown);
    let lines = lines.chain((1..401).step_by(5).map(|n| document(n, 1)));
    let lines: Vec<Value> = lines.chain((401..440).map(|n| document(n, 0))).collect();
    site.feed(&lines);
    fed.extend(lines);
    // It starts from a snapshot: the same as from the log.
    let snapshots = site.path("riffle-data/snapshots/kafka-travels-curated");
    assert_eq!(riffle::curate::kept(&snapshots).unwrap().len(), 1);
    let summary = site.run();

    let records = kcat::records(curated);
    let changes = Changes::apply(Documents::new(), kcat::changes(&records));
    let after = middle_half(&live(&fed));
    assert_eq!(changes.set, after);
    let withdrawn = before.keys().filter(|id| !after.contains_key(*id)).count();
    let admitted = after.keys().filter(|id| !before.contains_key(*id)).count();
    assert!(withdrawn > 0 && admitted > 0);
    assert_eq!(changes.tombstones.len(), withdrawn);
    assert_eq!(
        (
            &summary["withdrawn"],
            &summary["admitted"],
            &summary["curated"]
        ),
        (&withdrawn.into(), &admitted.into(), &after.len().into())
    );

    let ends = kcat::ends(curated, PARTITIONS);
    let summary = site.run();
    let changed = ["documents_read", "admitted", "withdrawn"].map(|count| &summary[count]);
    assert_eq!(changed, [0, 0, 0]);
    assert_eq!(
        kcat::ends(curated, PARTITIONS),
        ends,
        "a restart without input has committed"
    );
}

/// Records of no use, each a key and a value, with the reason of its dead letter.
fn of_no_use() -> Vec<(String, Vec<u8>, String)> {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let keyed = |key: &str, value: &str, reason: &str| {
        (key.to_owned(), value.as_bytes().to_vec(), reason.to_owned())
    };
    let of_other = format!("the record's key is not the document's id {:?}", id(2));
    vec![
        keyed(&id(1), &document(2, 0).to_string(), &of_other),
        keyed(
            "list",
            r#"["list", "text", null]"#,
            "a JSON object is expected",
        ),
        keyed(
            "deep",
            &format!(r#"{{"id": "deep", "text": "t", "riffle": {deep}}}"#),
            "recursion limit exceeded",
        ),
        keyed(
            "broken",
            r#"{"id": "broken", "text"#,
            "EOF while parsing a string",
        ),
        (
            "bytes".into(),
            b"{\"id\": \"bytes\xff\"}".to_vec(),
            "invalid UTF-8 at byte 13".into(),
        ),
    ]
}

#[test]
fn records_of_others_replace_and_take_down_and_those_of_no_use_are_told() {
    let site = site("guests");
    let topic = "guests-documents";
    let fed: Vec<Value> = (0..10).map(|n| document(n, 0)).collect();
    site.feed(&fed);
    site.run();
    let changed = document(5, 1);
    let mut records = format!("{}\t{changed}\n{}\t\n", id(5), id(6)).into_bytes();
    let bad = of_no_use();
    for (key, value, _) in &bad {
        records.extend([key.as_bytes(), b"\t", value, b"\n"].concat());
    }
    kcat::produce(topic, &records);
    kcat::produce_without_keys(topic, &format!("{}\n", document(3, 0)));
    let summary = site.run();
    assert_eq!(summary["dead_letters"], bad.len() + 1);

    let lines = [changed, takedown(6)];
    let expected = middle_half(&live(fed.iter().chain(&lines)));
    let changes = kcat::changes(&kcat::records("guests-curated"));
    assert_eq!(Changes::apply(Documents::new(), changes).set, expected);

    let letters = site.tail("dead-letters");
    assert_eq!(letters.len(), bad.len() + 1);
    let of_key = |key: Option<&str>| letters.iter().find(|it| it["key"].as_str() == key).unwrap();
    for (key, _, reason) in &bad {
        let letter = of_key(Some(key));
        assert!(
            letter["reason"].as_str().unwrap().contains(reason),
            "{letter}"
        );
        assert!(
            letter["topic"] == topic && letter["offset"].is_u64(),
            "{letter}"
        );
    }
    let no_key = "the record has no key; the key must be the document's id";
    assert_eq!(of_key(None)["reason"], no_key);
}

#[test]
fn a_missing_topic_is_told_with_what_to_do() {
    let run = site("nowhere").riffle(&["run", "--until-end"]);
    assert_eq!(run.code, Some(69), "{}", run.stderr);
    assert!(
        run.stderr
            .contains("error: there is no documents log \"nowhere-documents\"")
    );
    assert!(
        run.stderr.contains("feed documents first"),
        "{}",
        run.stderr
    );
}
