//! Skills through the real binary: a trainer's losses move the mixture, and the curated set follows.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::TEXTS;
use crate::site::{Site, encoder, json_lines};
use crate::{broker, kcat};

const SKILLS: [&str; 3] = ["read", "write", "sing"];
/// Documents of each skill, of 10 tokens each.
const DOCUMENTS: usize = 100;
/// Two of the skills are trained on.
const RULES: &str = r#"
[score.tokens]
field = "metadata.tokens"

[skills]
field = "metadata.skill"

[mixture]
skills = ["read", "write"]

[[select]]
by = "skills"
rate = 0.2
"#;

fn documents() -> Vec<Value> {
    let document = |skill: &str, n: usize| {
        let metadata = json!({"perplexity": 2.0 + n as f64, "tokens": 10, "skill": skill});
        json!({"id": format!("{skill}/{n}"), "text": skill, "metadata": metadata})
    };
    let of_skill = |skill| (0..DOCUMENTS).map(move |n| document(skill, n));
    SKILLS.into_iter().flat_map(of_skill).collect()
}

/// Documents curated now, by skill.
fn curated(site: &Site) -> BTreeMap<String, usize> {
    let mut skills = BTreeMap::new();
    for record in site.tail("curated") {
        let id = record["id"].as_str().unwrap().to_owned();
        match record.get("riffle") {
            Some(riffle) => skills.insert(id, riffle["skill"].as_str().unwrap().to_owned()),
            None => skills.remove(&id),
        };
    }
    let mut counts = BTreeMap::new();
    for (id, skill) in skills {
        assert!(id.starts_with(&skill), "{id} is not of the skill {skill}");
        *counts.entry(skill).or_default() += 1;
    }
    counts
}

fn last(site: &Site, log: &str, key: &str, value: &str) -> Value {
    let mut lines = site.tail(log).into_iter();
    lines.rfind(|line| line[key] == value).unwrap()
}

fn report(round: u64, skill: &str, loss: f64) -> Value {
    json!({"round": round, "skill": skill, "loss": loss})
}

#[test]
fn the_curated_set_follows_the_losses_that_a_trainer_reports() {
    let site = Site::with_rules(RULES);
    site.feed(&documents());
    site.run();
    // A fifth of 3,000 tokens, half to each of the two; the third skill is none of the mixture's.
    let counts = |read, write| BTreeMap::from([("read".into(), read), ("write".into(), write)]);
    assert_eq!(curated(&site), counts(30, 30));
    assert_eq!(
        site.tail("mixture"),
        [json!({
            "epoch": 0, "method": "skill-it", "run": "", "skills": {"read": 0.5, "write": 0.5},
            "position": "0:0",
        })]
    );

    // Half an evaluation moves nothing; a line that is no report is named, and the rest is taken.
    let lines = [
        report(1, "read", 0.25),
        json!({"round": 1}),
        report(1, "sing", 9.0),
    ];
    let said = site.riffle_reading(&json_lines(&lines), &["losses", "-"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr
            .contains("standard input:2: a report of a loss needs"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr
            .contains("2 reports appended to losses, 1 lines refused")
    );
    site.run();
    assert_eq!(curated(&site), counts(30, 30));

    site.write("losses.jsonl", json_lines(&[report(1, "write", 2.25)]));
    assert_eq!(site.riffle(&["losses", "losses.jsonl"]).code, Some(0));
    site.run();
    // Weights by exp(0.5 · 0.25) to exp(0.5 · 2.25): 0.2689 to 0.7311 of 600 tokens.
    assert_eq!(curated(&site), counts(16, 43));
    let mixture = site.tail("mixture").pop().unwrap();
    assert_eq!(mixture["round"], 1);
    assert_eq!(
        mixture["skills"],
        json!({"read": 0.268941421, "write": 0.731058579})
    );

    let write = last(&site, "statistics", "skill", "write");
    assert_eq!(
        (&write["live"]["documents"], &write["live"]["tokens"]),
        (&100.into(), &1000.into())
    );
    assert_eq!(write["curated"]["documents"], 43);
    let sing = last(&site, "statistics", "skill", "sing");
    assert_eq!(
        (&sing["live"]["documents"], &sing["curated"]["documents"]),
        (&100.into(), &0.into())
    );
    let nll: f64 = (0..DOCUMENTS).map(|n| 10.0 * (2.0 + n as f64).ln()).sum();
    assert!((sing["live"]["mean_nll_nats"].as_f64().unwrap() - nll / 1000.0).abs() < 1e-8);
    let statistics = site.tail("statistics");
    let reports = statistics
        .iter()
        .rfind(|it| it.get("of_unknown_skills").is_some())
        .unwrap();
    assert_eq!(
        (&reports["evaluations"], &reports["of_unknown_skills"]),
        (&1.into(), &1.into())
    );

    // What is taken back leaves the mixture as it was before.
    let back = json!({"round": 1, "skill": "write", "loss": null});
    assert_eq!(
        site.riffle_reading(&json_lines(&[back]), &["losses", "-"])
            .code,
        Some(0)
    );
    site.run();
    assert_eq!(curated(&site), counts(30, 30));
}

#[test]
fn what_others_report_and_is_no_report_is_a_dead_letter_once() {
    let topics = [
        ("losses_topic", "losses"),
        ("topic", "mixture"),
        ("dead_letters_topic", "losses-dead-letters"),
    ];
    let site = topics.into_iter().fold(
        Site::kafka(broker::shared().bootstrap(), "trainers"),
        |site, (key, log)| site.set(&format!("mixture.{key}=trainers-{log}")),
    );
    site.write("riffle.toml", RULES);
    site.feed(&documents());
    site.run();
    let reported = b"a\tno report\nb\t{\"round\":1,\"skill\":\"read\",\"loss\":-1}\n\
                     c\t{\"round\":1,\"skill\":\"read\",\"loss\":0.25}\nd\t\n";
    kcat::produce("trainers-losses", reported);
    site.run();
    let letters = site.tail("losses-dead-letters");
    let place = |it: &Value| json!([it["key"], it["topic"], it["partition"], it["offset"]]);
    let expected = [("a", 0), ("b", 1), ("d", 3)];
    let expected = expected.map(|(key, offset)| json!([key, "trainers-losses", 0, offset]));
    assert_eq!(letters.iter().map(place).collect::<Vec<_>>(), expected);
    assert_eq!(
        (&letters[0]["value"], &letters[2]["value"]),
        (&"no report".into(), &Value::Null)
    );
    let reason = letters[1]["reason"].as_str().unwrap();
    assert!(reason.contains("loss"), "{reason}");

    // Another start reads the losses again, and so do changed rules.
    site.run();
    site.write("riffle.toml", RULES.replace("rate = 0.2", "rate = 0.3"));
    site.run();
    assert_eq!(site.tail("losses-dead-letters"), letters);
}

#[test]
fn a_changed_mixture_publishes_exactly_the_difference() {
    let site = Site::with_rules(RULES);
    site.feed(&documents());
    site.run();
    let fixed = RULES.replace(
        "skills = [",
        "method = \"fixed\"\nweights = { read = 3.0, write = 1.0 }\nskills = [",
    );
    site.write("riffle.toml", fixed);
    let summary = site.run();
    // Each skill's documents stand in one order: what stays is not told again.
    assert_eq!(
        (&summary["admitted"], &summary["withdrawn"]),
        (&15.into(), &15.into())
    );
    let counts = BTreeMap::from([("read".into(), 45), ("write".into(), 15)]);
    assert_eq!(curated(&site), counts);
}

#[test]
fn documents_have_the_skill_of_the_nearest_centroid() {
    let site = Site::new()
        .set(&format!("score.encoder={}", encoder().display()))
        .set("skills.centroids=skills.json")
        .set(r#"select=[{ by = "stratified", mass = "documents", budget = 4 }]"#);
    let documents: Vec<Value> = TEXTS
        .iter()
        .map(|(id, text)| json!({"id": id, "text": text, "metadata": {"perplexity": 3.0}}))
        .collect();
    let path = site.write("documents.jsonl", json_lines(&documents));
    let encoder = encoder().display().to_string();
    let fit = [
        "skills",
        "fit",
        "-k",
        "2",
        "--encoder",
        &encoder,
        path.to_str().unwrap(),
    ];
    let fitted = site.riffle(&fit);
    assert_eq!(fitted.code, Some(0), "{}", fitted.stderr);
    let file: Value =
        serde_json::from_slice(&std::fs::read(site.path("skills.json")).unwrap()).unwrap();
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for skill in file["skills"].as_array().unwrap() {
        let name = skill["name"].as_str().unwrap().to_owned();
        sizes.insert(name, skill["documents"].as_u64().unwrap());
    }
    site.feed(&documents);
    site.run();
    let mut scored: BTreeMap<String, u64> = BTreeMap::new();
    for record in site.tail("scored") {
        *scored
            .entry(record["skill"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    assert_eq!(scored, sizes);
    let curated = site.tail("curated");
    assert!(
        curated
            .iter()
            .all(|it| sizes.contains_key(it["riffle"]["skill"].as_str().unwrap()))
    );
    // Two of each skill, or of one that has a single document this and three of the other.
    assert_eq!(curated.len(), 4);
}

#[test]
fn settings_of_skills_that_do_not_go_together_are_refused_before_anything_is_read() {
    for (rules, said) in [
        (
            "[[select]]\nby = \"skills\"",
            "select[0] groups by skill, but no document has one",
        ),
        (
            "[skills]\nfield = \"metadata.skill\"\n[[select]]\nby = \"skills\"",
            "select[0] follows the mixture of skills, but there is none",
        ),
        (
            "[skills]\nfield = \"metadata.skill\"\ncentroids = \"skills.json\"",
            "skills.field and skills.centroids both say",
        ),
        (
            "[skills]\ncentroids = \"skills.json\"",
            "there is no encoder",
        ),
        (
            "[mixture]\nskills = [\"a\"]\nmethod = \"proportional\"",
            "mixture.method is \"proportional\"",
        ),
        (
            "[[select]]\nby = \"skills\"\nrate = 0.5\nbudget = 7",
            "a rate or a budget, not both",
        ),
    ] {
        let site = Site::new().set("select=[]");
        let site = match rules.contains("[[select]]") {
            true => Site::new(),
            false => site,
        };
        site.write("riffle.toml", rules);
        let ended = site.riffle(&["curate", "--until-end"]);
        assert_eq!(ended.code, Some(78), "{rules}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{rules}: {}", ended.stderr);
    }
    let site = Site::new();
    site.write("riffle.toml", "[mixture]\ngraph = \"missing.json\"\n");
    let ended = site.riffle(&["curate", "--until-end"]);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("mixture.graph: cannot read missing.json"),
        "{}",
        ended.stderr
    );
}
