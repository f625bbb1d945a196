//! What only shows when several values are seen together.

use std::collections::HashMap;

use serde_json::Value;

use super::stage_table::{KEYS_OF, KINDS, any_of};
use super::tree::Tree;
use super::{
    Config, LogKind, Mass, MixtureMethod, PerplexityFrom, Problem, SKILL, Stage, properties,
};

/// A problem and the paths of the values that make it, the one to blame first.
pub(super) struct Finding {
    pub(super) paths: Vec<Vec<String>>,
    pub(super) problem: Problem,
}

/// A problem with what to do about it, at the first of the paths that was given.
pub(super) fn finding(
    paths: &[&[&str]],
    message: impl Into<String>,
    help: impl Into<String>,
) -> Finding {
    let owned = |path: &&[&str]| path.iter().map(|name| (*name).to_owned()).collect();
    Finding {
        paths: paths.iter().map(owned).collect(),
        problem: Problem::new(message).help(help),
    }
}

/// What stands in the tree and would be lost or refused without its place when it is read.
pub(super) fn stage_keys(tree: &Tree) -> Vec<Finding> {
    let Some(Value::Array(stages)) = tree.values.get("select") else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        let index = index.to_string();
        let by = stage.get("by").and_then(Value::as_str);
        // Any other value is told where it is read.
        let Some(by) = by.filter(|by| KINDS.contains(by)) else {
            continue;
        };
        for (key, kinds) in KEYS_OF {
            if !kinds.contains(&by) && stage.get(key).is_some() {
                findings.push(finding(
                    &[&["select", &index, key]],
                    format!("select[{index}].{key}: a stage by {by:?} has no {key}"),
                    format!("remove {key}, or choose by = {}", any_of(kinds)),
                ));
            }
        }
    }
    findings
}

/// Everything wrong with values that are each within their limits.
pub(super) fn across(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(batch_holds_a_document(config));
    findings.extend(tokens_without_field(config));
    findings.extend(mass_without_tokens(config));
    findings.extend(embeddings_without_encoder(config));
    findings.extend(densities_twice(config));
    findings.extend(skill_twice(config));
    findings.extend(centroids_without_encoder(config));
    findings.extend(grouped_by_unknown_skill(config));
    findings.extend(skills_without_mixture(config));
    findings.extend(proportions_of_unknown_skills(config));
    findings.extend(servers_missing(config));
    findings.extend(topics_twice(config));
    findings.extend(properties::refused(&config.kafka));
    findings
}

fn batch_holds_a_document(config: &Config) -> Option<Finding> {
    let (batch, document) = (config.score.batch_tokens_max, config.score.max_tokens);
    // 0 is a choice of the device's own, which holds a document.
    (0 < batch && batch < document).then(|| {
        finding(
            &[&["score", "batch_tokens_max"], &["score", "max_tokens"]],
            format!(
                "score.batch_tokens_max is {batch}, less than score.max_tokens, which is {document}"
            ),
            "a batch must hold a whole document: raise batch_tokens_max or lower max_tokens",
        )
    })
}

fn tokens_without_field(config: &Config) -> Option<Finding> {
    let wrong = config.score.tokens.is_some() && config.score.perplexity == PerplexityFrom::Model;
    wrong.then(|| {
        finding(
            &[&["score", "tokens"]],
            "score.tokens: a model counts the tokens itself",
            "remove tokens, or read the perplexity from a field too: \
             perplexity = { field = \"metadata.perplexity\" }",
        )
    })
}

fn mass_without_tokens(config: &Config) -> Vec<Finding> {
    if config.score.perplexity == PerplexityFrom::Model || config.score.tokens.is_some() {
        return Vec::new();
    }
    let counts_tokens = |(_, stage): &(usize, &Stage)| stage.mass() == Mass::Tokens;
    let wrong = config.select.iter().enumerate().filter(counts_tokens);
    wrong
        .map(|(index, _)| {
            finding(
                &[
                    &["select", &index.to_string(), "mass"],
                    &["score", "perplexity"],
                ],
                format!(
                    "select[{index}].mass is \"tokens\", but nothing says how many a document has"
                ),
                "name the field that holds the number: \
                 score.tokens = { field = \"metadata.length\" }; or choose mass = \"documents\"",
            )
        })
        .collect()
}

fn embeddings_without_encoder(config: &Config) -> Option<Finding> {
    let wrong = config.score.embeddings && config.score.encoder.is_none();
    wrong.then(|| {
        finding(
            &[&["score", "embeddings"]],
            "score.embeddings is true, but there is no encoder to make them",
            "name one: score.encoder = \"models/all-MiniLM-L6-v2\"; or remove embeddings",
        )
    })
}

fn skill_twice(config: &Config) -> Option<Finding> {
    let wrong = config.skills.field.is_some() && config.skills.centroids.is_some();
    wrong.then(|| {
        finding(
            &[&["skills", "centroids"], &["skills", "field"]],
            "skills.field and skills.centroids both say which skill a document has",
            "remove one of them",
        )
    })
}

fn centroids_without_encoder(config: &Config) -> Option<Finding> {
    let wrong = config.skills.centroids.is_some() && config.score.encoder.is_none();
    wrong.then(|| {
        finding(
            &[&["skills", "centroids"]],
            "skills.centroids: there is no encoder whose embeddings could be near one",
            "name the one that the centroids are of: score.encoder = \"models/all-MiniLM-L6-v2\"",
        )
    })
}

/// How to say which skill a document has.
const NAME_SKILLS: &str = "say which skill a document has: [skills] field = \"metadata.skill\", or \
                           centroids = \"skills.json\"";

fn grouped_by_unknown_skill(config: &Config) -> Vec<Finding> {
    if config.skills.are_known() {
        return Vec::new();
    }
    let by_skill = |(_, stage): &(usize, &Stage)| stage.group_by() == Some(SKILL);
    let wrong = config.select.iter().enumerate().filter(by_skill);
    wrong
        .map(|(index, _)| {
            finding(
                &[&["select", &index.to_string()]],
                format!("select[{index}] groups by skill, but no document has one"),
                NAME_SKILLS,
            )
        })
        .collect()
}

fn skills_without_mixture(config: &Config) -> Option<Finding> {
    let index = config.select.iter().position(Stage::is_by_skills)?;
    (!config.mixture.is_configured()).then(|| {
        finding(
            &[&["select", &index.to_string()]],
            format!("select[{index}] follows the mixture of skills, but there is none"),
            "name the skills: [mixture] graph = \"graph.csv\", or skills = [\"one\", \"another\"]; \
             or choose by = \"stratified\"",
        )
    })
}

fn proportions_of_unknown_skills(config: &Config) -> Option<Finding> {
    let proportional = config.mixture.method == MixtureMethod::Proportional;
    let wrong = proportional && config.mixture.is_configured() && !config.skills.are_known();
    wrong.then(|| {
        finding(
            &[&["mixture", "method"]],
            "mixture.method is \"proportional\", but no document has a skill",
            NAME_SKILLS,
        )
    })
}

/// A second density stage would have to weigh a document by two draws.
fn densities_twice(config: &Config) -> Option<Finding> {
    let stages = config.select.iter().enumerate();
    let (index, _) = stages.filter(|(_, stage)| stage.is_by_density()).nth(1)?;
    Some(finding(
        &[&["select", &index.to_string(), "by"]],
        format!("select[{index}] is a second stage by \"density\": there can be one"),
        "remove one of them, or make it a stage by \"random\" with the same rate",
    ))
}

fn servers_missing(config: &Config) -> Option<Finding> {
    let servers = config.kafka.get("bootstrap.servers").unwrap_or_default();
    let (key, _) = config
        .log_kinds()
        .into_iter()
        .find(|(_, kind)| *kind == LogKind::Kafka)?;
    servers.trim().is_empty().then(|| {
        finding(
            &[
                &["kafka", "bootstrap.servers"],
                &["documents", "log"],
                &["scored", "log"],
                &["curated", "log"],
            ],
            format!("{key} is \"kafka\", but kafka.bootstrap.servers is missing"),
            "name the cluster: [kafka] \"bootstrap.servers\" = \"localhost:9092\"; \
             or choose log = \"local\"",
        )
    })
}

fn topics_twice(config: &Config) -> Vec<Finding> {
    let mut seen = HashMap::new();
    let mut findings = Vec::new();
    for (key, topic, kind) in config.all_topics() {
        // Some file systems do not tell upper from lower case.
        let name = match kind {
            LogKind::Local => topic.to_ascii_lowercase(),
            LogKind::Kafka => topic.to_owned(),
        };
        if let Some(earlier) = seen.insert((kind == LogKind::Kafka, name), key) {
            let path = |key: &'static str| key.split('.').collect::<Vec<_>>();
            findings.push(finding(
                &[&path(key), &path(earlier)],
                format!("{key} and {earlier} are the same log {topic:?}"),
                "give each of them a name of its own",
            ));
        }
    }
    findings
}
