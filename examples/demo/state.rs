//! The logs after a run, as `riffle tail` prints them: what is live, what is kept, where the cuts
//! stand.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// The live documents by id, those of them that are kept, and the cuts between.
pub struct State {
    pub documents: BTreeMap<String, Document>,
    pub kept: BTreeSet<String>,
    /// Where the kept band begins and ends, in nats.
    pub low: f64,
    pub high: f64,
    /// Records of the curated log so far: documents, and tombstones.
    pub admissions: usize,
    pub withdrawals: usize,
}

/// A live document and its score.
#[derive(Clone)]
pub struct Document {
    pub mean_nll_nats: f64,
    pub text: String,
}

#[derive(Clone, Copy, Deserialize)]
struct Cut {
    #[serde(deserialize_with = "nats")]
    mean_nll_nats: f64,
}

/// A line of documents, scored or curated.
#[derive(Deserialize)]
struct Line {
    id: String,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    text: String,
    #[serde(default, deserialize_with = "maybe_nats")]
    mean_nll_nats: Option<f64>,
}

/// A line of the statistics: of a stage, or of the corpus, which has no cuts.
#[derive(Deserialize)]
struct Statistics {
    cut_low: Option<Cut>,
    cut_high: Option<Cut>,
}

impl State {
    /// The state in `folder`, which holds documents, scored, curated and statistics as `LOG.jsonl`.
    pub fn read(folder: &str) -> Result<Self, Box<dyn Error>> {
        let folder = Path::new(folder);
        let records = |log| lines::<Line>(folder, log);
        let texts = latest(records("documents")?);
        let scored = latest(records("scored")?);
        let curated = records("curated")?;
        let withdrawals = curated.iter().filter(|line| line.deleted).count();
        let admissions = curated.len() - withdrawals;
        let statistics: Vec<Statistics> = lines(folder, "statistics")?;
        let [low, high] = cuts(&statistics).ok_or("the statistics hold no cuts")?;
        Ok(State {
            documents: with_texts(scored, texts),
            kept: latest(curated).into_keys().collect(),
            low: low.mean_nll_nats,
            high: high.mean_nll_nats,
            admissions,
            withdrawals,
        })
    }

    /// Live documents with their ids, from the lowest perplexity to the highest.
    pub fn by_perplexity(&self) -> Vec<(&str, &Document)> {
        let mut all: Vec<_> = self
            .documents
            .iter()
            .map(|(id, it)| (id.as_str(), it))
            .collect();
        all.sort_by(|(_, a), (_, b)| a.mean_nll_nats.total_cmp(&b.mean_nll_nats));
        all
    }
}

/// Documents are ordered by whole billionths of a nat: without rounding, one that stands at a cut
/// would seem to be on the other side.
fn rounded(nats: f64) -> f64 {
    (nats * 1e9).round() / 1e9
}

fn nats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    f64::deserialize(deserializer).map(rounded)
}

fn maybe_nats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    nats(deserializer).map(Some)
}

/// The last line of each id, unless it takes the document away.
fn latest(lines: Vec<Line>) -> BTreeMap<String, Line> {
    let mut latest = BTreeMap::new();
    for line in lines {
        if line.deleted {
            latest.remove(&line.id);
        } else {
            latest.insert(line.id.clone(), line);
        }
    }
    latest
}

fn with_texts(
    scored: BTreeMap<String, Line>,
    mut texts: BTreeMap<String, Line>,
) -> BTreeMap<String, Document> {
    let document = |(id, line): (String, Line)| {
        let text = texts.remove(&id).map(|line| line.text).unwrap_or_default();
        let mean_nll_nats = line.mean_nll_nats?;
        Some((
            id,
            Document {
                mean_nll_nats,
                text,
            },
        ))
    };
    scored.into_iter().filter_map(document).collect()
}

fn cuts(statistics: &[Statistics]) -> Option<[Cut; 2]> {
    let both = |it: &Statistics| Some([it.cut_low?, it.cut_high?]);
    statistics.iter().rev().find_map(both)
}

fn lines<T: DeserializeOwned>(folder: &Path, log: &str) -> Result<Vec<T>, Box<dyn Error>> {
    let path = folder.join(log).with_extension("jsonl");
    let file = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parse = |line| serde_json::from_str(line).map_err(|e| format!("{}: {e}", path.display()));
    Ok(file.lines().map(parse).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_drops_what_was_taken_away_and_not_put_back() {
        let parse = |line| serde_json::from_str(line).unwrap();
        let lines = [
            r#"{"id": "a", "text": "1"}"#,
            r#"{"id": "b", "text": "1"}"#,
            r#"{"id": "a", "deleted": true}"#,
            r#"{"id": "b", "deleted": true}"#,
            r#"{"id": "b", "text": "2"}"#,
        ];
        let latest = latest(lines.map(parse).into());
        let texts: Vec<_> = latest.values().map(|it| (&*it.id, &*it.text)).collect();
        assert_eq!(texts, [("b", "2")]);
    }
}
