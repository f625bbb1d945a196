//! What several processes publish is what one does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{SKILLS, append, curate, topics};
use crate::site::{Site, json_lines};

/// Stages of every kind, which group by three fields.
const RULES: &str = r#"
[score.tokens]
field = "metadata.tokens"

[skills]
field = "metadata.skill"

[mixture]
skills = ["read", "write", "sing"]

[curate]
epoch_ms = 600_000

[[select]]
by = "perplexity"
rate = 0.9
group_by = "source"

[[select]]
by = "density"
rate = 0.8

[[select]]
by = "random"
rate = 0.9
group_by = "metadata.lang"

[[select]]
by = "skills"
rate = 0.6
mass = "tokens"

[[select]]
by = "stratified"
rate = 0.9
"#;

fn report_losses(site: &Site, round: u64) {
    let report = |(at, skill): (usize, &&str)| {
        let loss = 0.5 + (at as f64 + round as f64) % 3.0;
        json!({"round": round, "skill": skill, "loss": loss})
    };
    let lines: Vec<Value> = SKILLS[..3].iter().enumerate().map(report).collect();
    let reported = site.riffle_reading(&json_lines(&lines), &["losses", "-"]);
    assert_eq!(reported.code, Some(0), "{}", reported.stderr);
}

/// The bytes of all segments of what was published under this name.
fn published(site: &Site, name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut bytes = BTreeMap::new();
    for topic in topics(name) {
        let log = site.path("riffle-data").join("logs").join(&topic);
        let what = topic.strip_suffix(name).unwrap();
        segments(&log, what, &mut bytes);
    }
    assert!(bytes.len() > 2, "{:?}", bytes.keys());
    bytes
}

fn segments(dir: &Path, name: &str, bytes: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}/{}", path.file_name().unwrap().display());
        if path.is_dir() {
            segments(&path, &name, bytes);
        } else if name.ends_with(".seg") {
            bytes.insert(name, fs::read(path).unwrap());
        }
    }
}

/// Curates in one process and in several, after each of three feeds, and under changed rules, and
/// compares the logs.
fn compare(site: &Site, crews: &[(&str, &str)]) {
    let all = || std::iter::once(&("1", "1")).chain(crews);
    let curate_all = |extra: &[&str]| {
        for (processes, workers) in all() {
            let name = format!("{processes}x{workers}");
            let workers = format!("--set=curate.workers={workers}");
            let mut args = vec![workers.as_str()];
            args.extend(extra);
            if *processes != "1" {
                args.extend(["--processes", processes]);
            }
            curate(site, &name, &args);
        }
    };
    for feed in 0..2 {
        append(site, feed * 1500, 1500);
        report_losses(site, feed);
        curate_all(&[]);
    }
    // The old rules run first, and the difference comes out.
    let other = r#"--set=select=[{by="perplexity",keep="low",rate=0.7,group_by="source"},{by="density",rate=0.5},{by="skills",rate=0.5}]"#;
    curate_all(&[other]);
    let expected = published(site, "1x1");
    for (processes, workers) in crews {
        let found = published(site, &format!("{processes}x{workers}"));
        assert!(found.keys().eq(expected.keys()));
        for (name, bytes) in &found {
            assert!(
                *bytes == expected[name],
                "{name} of {processes} processes with {workers} workers differs"
            );
        }
    }
}

#[test]
fn several_processes_publish_what_one_does_byte_for_byte() {
    let site = Site::with_rules(RULES);
    compare(
        &site,
        &[("1", "2"), ("2", "1"), ("2", "2"), ("3", "1"), ("3", "2")],
    );
}
