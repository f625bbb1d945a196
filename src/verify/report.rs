//! The report of a verification, for a person and, as JSON, for a script.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::digest::SetDigest;
use crate::log::{Offsets, Position};

/// How many examples of each kind of difference are told.
pub(super) const EXAMPLES_MAX: usize = 5;

/// How a document differs between what is published and what should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// It should be published, and is not.
    Missing,
    /// It is published, and should have been withdrawn, or never have been.
    Extra,
    /// It is published with another content.
    Stale,
    /// It is published in more than one partition, so that consumers see it more than once.
    Doubled,
}

impl Difference {
    const ALL: [Difference; 4] = [Self::Missing, Self::Extra, Self::Stale, Self::Doubled];

    fn name(self) -> &'static str {
        match self {
            Difference::Missing => "missing",
            Difference::Extra => "extra",
            Difference::Stale => "stale",
            Difference::Doubled => "doubled",
        }
    }
}

/// A document that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its id; `None` for a record without a key.
    pub id: Option<String>,
    /// Where its scored record stands, if it should be published.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "place")]
    pub scored: Option<Position>,
    /// Where its curated record stands, if it is published.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "place")]
    pub curated: Option<Position>,
}

fn place<S: Serializer>(place: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
    match place {
        Some(place) => serializer.collect_str(place),
        None => serializer.serialize_none(),
    }
}

/// The differences of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// How many.
    pub documents: u64,
    /// The first few.
    pub examples: Vec<Example>,
}

/// A set of documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// How many.
    pub documents: u64,
    /// Their digest, in hexadecimal digits; the order does not matter.
    pub digest: SetDigest,
}

/// Counts of the corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corpus {
    /// Live documents.
    pub live: u64,
    /// Curated documents.
    pub curated: u64,
}

/// What the statistics state of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stated {
    /// These counts.
    Is(Corpus),
    /// Nothing any more: a later epoch's record has replaced it.
    Superseded,
    /// Nothing.
    #[default]
    Missing,
}

/// What a verification has found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether all that is compared agrees.
    pub equal: bool,
    /// The epoch of curate's last commit.
    pub epoch: u64,
    /// How far the scored log had been read in it.
    pub scored_offsets: Offsets,
    /// The rules that it was committed under.
    pub rules: String,
    /// Whether others are configured now: they come into force when curate starts.
    #[serde(rename = "rules_have_changed")]
    pub are_rules_others: bool,
    /// What should be published.
    pub expected: Side,
    /// What is.
    pub published: Side,
    /// Records read of the curated log.
    pub curated_records: u64,
    /// What should be published and is not.
    pub missing: Differences,
    /// What is published and should not be.
    pub extra: Differences,
    /// What is published with another content.
    pub stale: Differences,
    /// What is published more than once.
    pub doubled: Differences,
    /// Documents left out of the comparison, because a later epoch has replaced their records.
    pub superseded: u64,
    /// The counts of the recomputation.
    pub corpus: Corpus,
    /// What the statistics state.
    pub statistics: Stated,
    /// Whether the mixture that was published last is the one in force; `None` without one.
    #[serde(rename = "mixture_equal")]
    pub is_mixture_equal: Option<bool>,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    /// Notes a difference, with an example while there are few.
    pub(super) fn note(&mut self, difference: Difference, example: impl FnOnce() -> Example) {
        let differences = self.of_mut(difference);
        differences.documents += 1;
        if differences.examples.len() < EXAMPLES_MAX {
            differences.examples.push(example());
        }
    }

    /// Counts differences without examples.
    pub(super) fn count(&mut self, difference: Difference, documents: u64) {
        self.of_mut(difference).documents += documents;
    }

    /// Whether nothing differs.
    pub(super) fn agrees(&self) -> bool {
        let documents = |it: &Difference| self.of(*it).documents;
        let sets = self.expected == self.published;
        Difference::ALL.iter().map(documents).sum::<u64>() == 0
            && sets
            && self.are_statistics_equal()
            && self.is_mixture_equal != Some(false)
    }

    fn are_statistics_equal(&self) -> bool {
        match self.statistics {
            Stated::Is(corpus) => corpus == self.corpus,
            Stated::Superseded => true,
            Stated::Missing => false,
        }
    }

    /// The differences of a kind.
    pub fn of(&self, difference: Difference) -> &Differences {
        match difference {
            Difference::Missing => &self.missing,
            Difference::Extra => &self.extra,
            Difference::Stale => &self.stale,
            Difference::Doubled => &self.doubled,
        }
    }

    fn of_mut(&mut self, difference: Difference) -> &mut Differences {
        match difference {
            Difference::Missing => &mut self.missing,
            Difference::Extra => &mut self.extra,
            Difference::Stale => &mut self.stale,
            Difference::Doubled => &mut self.doubled,
        }
    }
}

impl fmt::Display for Report {
    /// Lines for a person, the verdict last; each ends with a line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { epoch, rules, .. } = self;
        let offsets: u64 = self.scored_offsets.0.iter().sum();
        writeln!(
            f,
            "epoch       {epoch}, {offsets} offsets of the scored log"
        )?;
        writeln!(f, "rules       {rules}")?;
        if self.are_rules_others {
            writeln!(
                f,
                "            others are configured now: not in force before curate starts"
            )?;
        }
        for (name, side) in [("expected", self.expected), ("published", self.published)] {
            let Side { documents, digest } = side;
            writeln!(f, "{name:11} {documents} documents, digest {digest}")?;
        }
        for difference in Difference::ALL {
            self.differences(f, difference)?;
        }
        if self.superseded > 0 {
            let left_out = "left out: later epochs have replaced their records";
            writeln!(f, "{:11} {} {left_out}", "superseded", self.superseded)?;
        }
        self.stated(f)?;
        let verdict = match self.equal {
            true => "equal: what is published is what should be",
            false => "NOT EQUAL: what is published is not what should be",
        };
        writeln!(f, "{verdict} ({:.1} s)", self.seconds)
    }
}

impl Report {
    fn differences(&self, f: &mut fmt::Formatter<'_>, difference: Difference) -> fmt::Result {
        let Differences {
            documents,
            examples,
        } = self.of(difference);
        writeln!(f, "{:11} {documents}", difference.name())?;
        for example in examples {
            let id = example.id.as_deref().unwrap_or("(a record without a key)");
            write!(f, "            {}", id.escape_debug())?;
            for (log, place) in [("scored", example.scored), ("curated", example.curated)] {
                if let Some(place) = place {
                    write!(f, "  {log} {place}")?;
                }
            }
            writeln!(f)?;
        }
        match documents - examples.len() as u64 {
            0 => Ok(()),
            more => writeln!(f, "            and {more} more"),
        }
    }

    fn stated(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Corpus { live, curated } = self.corpus;
        write!(f, "statistics  {live} live, {curated} curated")?;
        match self.statistics {
            Stated::Is(corpus) if corpus == self.corpus => writeln!(f, ", as stated")?,
            Stated::Is(Corpus { live, curated }) => {
                writeln!(f, "; they STATE {live} live, {curated} curated")?;
            }
            Stated::Superseded => writeln!(f, "; a later epoch has replaced what they stated")?,
            Stated::Missing => writeln!(f, "; they STATE NOTHING of this epoch")?,
        }
        match self.is_mixture_equal {
            None => Ok(()),
            Some(true) => writeln!(f, "mixture     as it was published"),
            Some(false) => writeln!(f, "mixture     NOT the one that was published last"),
        }
    }
}
