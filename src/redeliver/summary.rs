//! What became of dead letters, for a person and, as JSON, for a script.

use std::fmt;

use serde::Serialize;

use super::letter::Verdict;
use crate::log::Position;

/// How many examples of letters that cannot be delivered yet are told.
const EXAMPLES_MAX: usize = 5;

/// A letter that would be a dead letter again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unusable {
    /// Its place among the dead letters.
    pub place: String,
    /// Its id.
    pub id: Option<String>,
    /// Why it would.
    pub reason: String,
}

/// What became of the dead letters that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RedeliverSummary {
    /// Nothing was done: the counts say what would have been.
    pub dry_run: bool,
    /// Letters fed again.
    pub delivered: u64,
    /// Letters of documents of which something newer has come: a version, or a takedown.
    pub superseded: u64,
    /// Letters that were fed again before.
    pub delivered_before: u64,
    /// Letters without a key, which name no document.
    pub without_key: u64,
    /// Letters of which only the beginning is kept.
    pub cut: u64,
    /// Letters so old that the documents log no longer tells whether something newer has come.
    pub forgotten: u64,
    /// Letters that would be dead letters again; they are left for another time.
    pub unusable: u64,
    /// The first few of them.
    pub unusable_examples: Vec<Unusable>,
    /// Letters that were not asked for, or are of another documents log.
    pub left: u64,
    /// Ids of documents that were fed again when a newer version had just come.
    pub overtaken: Vec<String>,
}

impl RedeliverSummary {
    pub(super) fn note(&mut self, place: Position, id: Option<String>, verdict: &Verdict) {
        let count = match verdict {
            Verdict::Deliver(_) => &mut self.delivered,
            Verdict::Superseded => &mut self.superseded,
            Verdict::Delivered => &mut self.delivered_before,
            Verdict::NoKey => &mut self.without_key,
            Verdict::Cut => &mut self.cut,
            Verdict::Forgotten => &mut self.forgotten,
            Verdict::Unusable(_) => &mut self.unusable,
            Verdict::Left => &mut self.left,
        };
        *count += 1;
        if let Verdict::Unusable(reason) = verdict
            && self.unusable_examples.len() < EXAMPLES_MAX
        {
            let (place, reason) = (place.to_string(), reason.clone());
            self.unusable_examples.push(Unusable { place, id, reason });
        }
    }

    pub(super) fn overtaken(&mut self, key: &[u8]) {
        self.overtaken
            .push(String::from_utf8_lossy(key).into_owned());
    }
}

impl fmt::Display for RedeliverSummary {
    /// Lines for a person, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fed = match self.dry_run {
            true => "dead letters would be fed again",
            false => "dead letters fed again",
        };
        writeln!(f, "{} {fed}", self.delivered)?;
        for (count, what) in [
            (self.superseded, "superseded: something newer has come"),
            (self.delivered_before, "fed again before"),
            (
                self.without_key,
                "without a key: feed them again from where they came",
            ),
            (
                self.cut,
                "kept only in part: feed them again from where they came",
            ),
            (
                self.forgotten,
                "too old to tell whether something newer has come",
            ),
            (self.unusable, "would be dead letters again, and are left"),
            (
                self.left,
                "not asked for, or of another documents log, and are left",
            ),
        ] {
            if count > 0 {
                writeln!(f, "{count} {what}")?;
            }
        }
        for Unusable { place, id, reason } in &self.unusable_examples {
            let id = id.as_deref().unwrap_or("?").escape_debug();
            writeln!(f, "    {place} {id}: {}", reason.escape_debug())?;
        }
        for id in &self.overtaken {
            writeln!(
                f,
                "OVERTAKEN: a newer version of {} came meanwhile and is hidden now: feed that \
                 again, or take the document down again",
                id.escape_debug()
            )?;
        }
        Ok(())
    }
}
