//! Sampling by density through the real binary: copies planted in a scored log, and settings that
//! do not go with each other or with what was done before.

use riffle::log::Record;
use serde_json::{Value, json};

use crate::scored;
use crate::site::{Ended, Site, document};

const RULES: &str = "[[select]]\nby = \"density\"\nrate = 0.3\n";
/// Documents that nothing is like, but for cells that they share by chance.
const LONELY: u64 = 2_000;
/// How many groups there are of so many copies each.
const COPIES: [(u64, u64); 3] = [(40, 10), (10, 100), (2, 1000)];

/// Every group's name and how many copies it has; the lonely have groups of their own.
fn groups() -> impl Iterator<Item = (String, u64)> {
    let lonely = (0..LONELY).map(|n| (format!("lonely-{n}"), 1));
    let copied = COPIES.iter().flat_map(|&(groups, copies)| {
        (0..groups).map(move |group| (format!("copied-{copies}-{group}"), copies))
    });
    lonely.chain(copied)
}

fn id(group: &str, copy: u64) -> String {
    format!("{group}/{copy}")
}

/// A document whose codes are its group's.
fn scored(group: &str, copy: u64) -> Record {
    let document = json!({"id": id(group, copy), "text": group, "metadata": {"perplexity": 2.0}});
    scored::scored(&document, 2f64.ln(), 5, |row| format!("{group} {row}"))
}

fn takedown(group: &str, copy: u64) -> Record {
    scored::takedown(&id(group, copy))
}

/// Appends to the scored log, in one commit.
fn append(site: &Site, records: impl Iterator<Item = Record>) {
    scored::append(site, 1, records.map(|record| (0, record)));
}

fn curate(site: &Site) -> Ended {
    site.riffle(&["curate", "--until-end", "--json"])
}

/// The curated documents by id, with what is said of each.
type Curated = std::collections::BTreeMap<String, Value>;

/// Curates to the end; what is curated then.
fn curated(site: &Site) -> Curated {
    let ended = curate(site);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut curated = Curated::new();
    for line in site.tail("curated") {
        let id = line["id"].as_str().unwrap().to_owned();
        match line["deleted"] == true {
            true => curated.remove(&id),
            false => curated.insert(id, line["riffle"].clone()),
        };
    }
    curated
}

fn of_group<'a>(curated: &'a Curated, group: &'a str) -> impl Iterator<Item = &'a Value> {
    let own = move |id: &str| id.rsplit_once('/').is_some_and(|(of, _)| of == group);
    let found = curated.iter().filter(move |(id, _)| own(id));
    found.map(|(_, measures)| measures)
}

#[test]
fn planted_copies_are_thinned_and_the_last_of_them_comes_back_when_the_others_go() {
    let site = Site::with_rules(RULES);
    let all = || groups().flat_map(|(group, copies)| (0..copies).map(move |n| (group.clone(), n)));
    append(&site, all().map(|(group, copy)| scored(&group, copy)));
    let live = all().count() as u64;

    let before = curated(&site);
    assert_eq!(before.len() as u64, live * 3 / 10, "exact to the document");
    let many = |copies: u64| groups().filter(move |group| group.1 == copies);
    for (groups, copies) in COPIES {
        let kept: usize = many(copies)
            .map(|group| of_group(&before, &group.0).count())
            .sum();
        // Of each group about as many as of the lonely ones: at most one, on average.
        assert!(kept as u64 <= 2 * groups, "{kept} of {groups} x {copies}");
        for (group, _) in many(copies) {
            for measures in of_group(&before, &group) {
                // Within a step of the count, and with whom they meet by chance.
                let density = measures["density"].as_f64().unwrap() / copies as f64;
                assert!((0.4..1.3).contains(&density), "{group}: {measures}");
            }
        }
    }
    // Weighted, the kept stand for all.
    let weight = |measures: &Value| measures["weight"].as_f64().unwrap();
    let lonely = before.iter().filter(|(id, _)| id.starts_with("lonely"));
    let estimate: f64 = lonely.map(|(_, measures)| weight(measures)).sum();
    assert!((estimate / LONELY as f64 - 1.0).abs() < 0.1, "{estimate}");

    // Of every group one is left, which was not kept among its copies.
    let last = |group: &str, copies: u64| {
        let is_out = |copy: &u64| !before.contains_key(&id(group, *copy));
        (0..copies).find(is_out).unwrap_or_default()
    };
    let copied = || groups().filter(|group| group.1 > 1);
    let gone = copied().flat_map(|(group, copies)| {
        let last = last(&group, copies);
        let others = (0..copies).filter(move |copy| *copy != last);
        others.map(move |copy| takedown(&group, copy))
    });
    append(&site, gone);
    let after = curated(&site);
    let left = LONELY + copied().count() as u64;
    assert_eq!(after.len() as u64, left * 3 / 10);
    let back: Vec<Value> = copied()
        .flat_map(|group| of_group(&after, &group.0).cloned().collect::<Vec<_>>())
        .collect();
    // Three in ten of the 52, less chance: they are kept as any other is.
    assert!((8..=25).contains(&back.len()), "{} are back", back.len());
    assert!(
        back.iter()
            .all(|measures| measures["density"].as_f64().unwrap() < 2.0)
    );
    let told = site.tail("statistics");
    let stage = told.iter().rfind(|line| line["by"] == "density").unwrap();
    assert_eq!(stage["documents"], left);
    assert_eq!(stage["documents_kept"], after.len());
    let bins = stage["density_histogram"].as_array().unwrap();
    let counted: u64 = bins.iter().map(|bin| bin.as_u64().unwrap()).sum();
    assert_eq!(counted, left);
}

/// The command is refused for this reason, in one line.
fn refused(ended: &Ended, reason: &str) {
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("error: ") && last.contains(reason),
        "{last}"
    );
}

#[test]
fn without_an_encoder_nothing_is_begun() {
    let site = Site::with_rules(RULES);
    for half in ["run", "score"] {
        let ended = site.riffle(&[half, "--until-end"]);
        refused(&ended, "there is no encoder to measure it with");
        assert!(!site.path("riffle-data").exists());
    }
    let check = site.riffle(&["check", "--offline"]);
    assert_eq!(check.code, Some(69), "{}", check.stderr);
    assert!(check.stdout.contains("score.encoder"), "{}", check.stdout);
}

#[test]
fn records_without_codes_or_of_another_sketch_stop_curate_at_their_place() {
    let site = Site::with_rules(RULES);
    append(&site, [scored("a", 0)].into_iter());
    site.feed(&[document(1, 0)]);
    site.write("riffle.toml", "");
    let plain = site.riffle(&["score", "--until-end"]);
    assert_eq!(plain.code, Some(0), "{}", plain.stderr);
    site.write("riffle.toml", RULES);
    refused(&curate(&site), "record 0:1 of log \"scored\" has no codes");
    site.write("riffle.toml", format!("[sketch]\nseed = 1\n{RULES}"));
    refused(
        &curate(&site),
        "record 0:0 of log \"scored\" has codes of sketch",
    );
}

#[test]
fn what_was_sampled_in_another_sketch_is_no_base_for_a_difference() {
    let site = Site::with_rules(RULES);
    let many = || (0..20).map(|n| scored(&format!("lonely-{n}"), 0));
    append(&site, many());
    let before = curated(&site);
    assert_eq!(before.len(), 6);
    site.write("riffle.toml", format!("[sketch]\nseed = 1\n{RULES}"));
    refused(&curate(&site), "set [sketch] back to what it was");
    // Other rules by the same codes are.
    site.write("riffle.toml", RULES.replace("0.3", "0.5"));
    let after = curated(&site);
    assert_eq!(after.len(), 10);
    assert!(before.keys().all(|id| after.contains_key(id)));
    site.write("riffle.toml", "select = []");
    assert_eq!(curated(&site).len(), 20);
}
