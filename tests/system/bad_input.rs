//! Input that is none: each piece becomes a dead letter that says why, and the rest comes out.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::curated::{Changes, Documents, live, middle_half, of_tail};
use crate::site::{Site, document, json_lines, noisy};

fn nested(depth: usize) -> Vec<u8> {
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    format!(r#"{{"id": "deep", "text": "t", "x": {open}{close}}}"#).into_bytes()
}

/// A document whose text has so many bytes.
fn large(bytes: usize) -> Vec<u8> {
    format!(r#"{{"id": "large", "text": "{}"}}"#, "a".repeat(bytes)).into_bytes()
}

/// What stands between good documents, with a part of the reason of its dead letter.
fn of_no_use() -> Vec<(Vec<u8>, &'static str)> {
    let scored =
        |rest: &str| format!(r#"{{"metadata": {{"perplexity": 2.0}}, {rest}}}"#).into_bytes();
    vec![
        (
            b"{\"id\": \"broken\", \"text\"".to_vec(),
            "invalid document: EOF while parsing",
        ),
        (b"no JSON at all".to_vec(), "a JSON object is expected"),
        (
            b"[\"a\", \"b\", null]".to_vec(),
            "a JSON object is expected",
        ),
        (
            b"{\"id\": \"utf\", \"text\": \"\xc3\x28\"}".to_vec(),
            "invalid UTF-8 at byte 23",
        ),
        (scored(r#""text": "t""#), "missing field `id`"),
        (
            scored(r#""id": "", "text": "t""#),
            "the document has an empty id",
        ),
        (
            scored(r#""id": 7, "text": "t""#),
            "invalid type: integer `7`",
        ),
        (scored(r#""id": "no text""#), "missing field `text`"),
        (
            scored(r#""id": "empty text", "text": """#),
            "the document has an empty text",
        ),
        (
            scored(r#""id": "null text", "text": null"#),
            "invalid type: null",
        ),
        (nested(200), "recursion limit exceeded"),
        (nested(1_000_000), "recursion limit exceeded"),
        (
            br#"{"id": "unscored", "text": "t"}"#.to_vec(),
            "metadata.perplexity is missing or no number",
        ),
        (
            br#"{"id": "p", "text": "t", "metadata": {"perplexity": -1}}"#.to_vec(),
            "a perplexity of -1 is not greater than 0",
        ),
        (large(20 << 20), "over the limit of 16777216"),
    ]
}

#[test]
fn every_line_of_no_use_is_a_dead_letter_and_the_others_come_out() {
    let site = Site::new();
    let good: Vec<Value> = (0..16).map(|n| document(n, 0)).collect();
    let bad = of_no_use();
    let mut lines = Vec::new();
    for (index, document) in good.iter().enumerate() {
        lines.extend(json_lines(std::slice::from_ref(document)));
        if let Some((line, _)) = bad.get(index) {
            lines.extend_from_slice(line);
            lines.push(b'\n');
        }
    }
    site.write("mixed.jsonl", lines);
    let feed = site.riffle(&["feed", "mixed.jsonl"]);
    assert_eq!(feed.code, Some(0), "{}", feed.stderr);
    let summary = site.run();
    assert_eq!(
        (&summary["dead_letters"], &summary["live"]),
        (&bad.len().into(), &good.len().into())
    );
    let letters = site.tail("dead-letters");
    let reasons: Vec<_> = letters
        .iter()
        .map(|it| it["reason"].as_str().unwrap())
        .collect();
    for ((_, reason), letter) in bad.iter().zip(&reasons) {
        assert!(letter.contains(reason), "{reason:?}: {reasons:#?}");
    }
    assert_eq!(letters[0]["source"], "mixed.jsonl:2");
    let changes = Changes::apply(Documents::new(), of_tail(&site.tail("curated")));
    assert_eq!(changes.set, middle_half(&live(&good)));
}

#[test]
fn odd_documents_that_are_documents_come_out_with_one_object_of_measures() {
    let site = Site::new();
    site.write(
        "riffle.toml",
        "[[select]]\nby = \"perplexity\"\nrate = 1\ngroup_by = \"metadata.a.b\"\n",
    );
    let odd = [
        r#"{"riffle": null, "id": "a", "text": "t", "metadata": {"perplexity": 2, "a": {"b": [1, {}]}}}"#,
        r#"{"id": "b", "text": "t", "riffle": {"epoch": 9}, "metadata": {"perplexity": 3, "a": "\ud83d\ude00"}}"#,
        r#"{"id": "\u0063\n", "text": "\u0000", "metadata": {"perplexity": 4, "a": null}, "riffle": [[]]}"#,
    ];
    let input = odd.join("\r\n");
    assert_eq!(
        site.riffle_reading(input.as_bytes(), &["feed", "-"]).code,
        Some(0)
    );
    assert_eq!(site.run()["curated"], 3);
    let curated = site
        .riffle(&["tail", "curated", "--until-end", "--json"])
        .stdout;
    assert_eq!(curated.lines().count(), 3);
    for line in curated.lines() {
        assert_eq!(line.matches("\"riffle\"").count(), 1, "{line}");
        let document: Value = serde_json::from_str(line).unwrap();
        assert!(document["riffle"]["perplexity"].is_f64(), "{line}");
    }
}

#[test]
fn nothing_to_do_is_nothing_wrong() {
    let site = Site::new();
    site.write("empty.jsonl", "");
    site.write("blank.jsonl", "\n\n");
    let feed = site.riffle(&["feed", "empty.jsonl", "blank.jsonl"]);
    assert_eq!(feed.code, Some(0), "{}", feed.stderr);
    let summary = site.run();
    let counts = ["documents_read", "live", "curated", "dead_letters"].map(|count| &summary[count]);
    assert_eq!(counts, [0, 0, 0, 0]);
}

#[test]
fn of_a_compressed_file_that_is_cut_off_the_beginning_comes_in() {
    let many: Vec<Value> = (0..2_000).map(noisy).collect();
    let lines = json_lines(&many);
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(&lines).unwrap();
    let gz = gz.finish().unwrap();
    let zst = zstd::encode_all(&*lines, 1).unwrap();
    for (name, whole) in [("cut.jsonl.gz", gz), ("cut.jsonl.zst", zst)] {
        let site = Site::new();
        site.write(name, &whole[..whole.len() * 2 / 3]);
        site.write("whole.jsonl", json_lines(&[document(4_000, 0)]));
        let feed = site.riffle(&["feed", name, "whole.jsonl"]);
        assert_eq!(feed.code, Some(1), "{name}: {}", feed.stderr);
        assert!(
            feed.stderr.contains(&format!("{name}: line ")),
            "{}",
            feed.stderr
        );
        site.run();
        let documents = site.tail("documents");
        let (last, first) = documents.split_last().unwrap();
        assert_eq!(
            last["id"],
            document(4_000, 0)["id"],
            "the next file is read"
        );
        assert!(
            first.len() > 100 && first.len() < many.len(),
            "{name}: {}",
            first.len()
        );
        assert!(first == &many[..first.len()], "{name}");
    }
}

#[test]
fn a_decompression_bomb_is_a_dead_letter_and_fills_no_memory() {
    let site = Site::new();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(&json_lines(&[document(1, 0)])).unwrap();
    let block = vec![b'a'; 1 << 20];
    for _ in 0..1_024 {
        gz.write_all(&block).unwrap();
    }
    gz.write_all(b"\n").unwrap();
    gz.write_all(&json_lines(&[document(2, 0)])).unwrap();
    site.write("bomb.jsonl.gz", gz.finish().unwrap());
    // One document of the largest size, a few times over, is what a feed may hold.
    let feed = site.riffle_under("ulimit -v 1000000", &["feed", "bomb.jsonl.gz"]);
    assert_eq!(feed.code, Some(0), "{}", feed.stderr);
    let summary = site.run();
    assert_eq!(
        (&summary["live"], &summary["dead_letters"]),
        (&2.into(), &1.into())
    );
}
