//! How far takedowns have come, for a person and, as JSON, for a script.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::log::Position;

/// What the documents log says of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Its last record is a takedown.
    TakenDown,
    /// Its last record is a document.
    Live,
    /// Nothing.
    Unknown,
}

/// The stages that a takedown has come through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stages {
    /// Score has passed it on.
    pub scored: bool,
    /// Curate has committed it: the document was withdrawn, or never curated.
    pub curated: bool,
    /// The statistics are of a corpus without the document.
    pub statistics: bool,
    /// No snapshot on this machine has the document.
    pub snapshots: bool,
}

impl Stages {
    fn named(self) -> [(&'static str, bool); 4] {
        [
            ("scored", self.scored),
            ("curated", self.curated),
            ("statistics", self.statistics),
            ("snapshots", self.snapshots),
        ]
    }

    fn are_all(self) -> bool {
        self.named().iter().all(|(_, is_past)| *is_past)
    }
}

/// A document that is taken down, or was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// What the documents log says.
    pub found: Found,
    /// Where its last record stands there.
    #[serde(serialize_with = "place")]
    pub place: Option<Position>,
    /// The stages that its takedown has come through.
    #[serde(flatten)]
    pub stages: Stages,
}

fn place<S: Serializer>(place: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
    match place {
        Some(place) => serializer.collect_str(place),
        None => serializer.serialize_none(),
    }
}

/// How far takedowns have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TakedownReport {
    /// Whether all have come through all stages.
    pub complete: bool,
    /// Each document, by id.
    pub documents: Vec<Taken>,
}

impl TakedownReport {
    pub(super) fn new(documents: Vec<Taken>) -> Self {
        TakedownReport {
            complete: documents.iter().all(|it| it.stages.are_all()),
            documents,
        }
    }

    /// How many have come through each stage, in a line.
    pub fn in_a_line(&self) -> String {
        let count = |name: &str| {
            let stages = self.documents.iter().flat_map(|it| it.stages.named());
            stages.filter(|it| *it == (name, true)).count()
        };
        let stages = Stages::default().named();
        let counts = stages.map(|(name, _)| format!("{} {name}", count(name)));
        format!(
            "of {} takedowns: {}",
            self.documents.len(),
            counts.join(", ")
        )
    }
}

impl fmt::Display for TakedownReport {
    /// A line a document and one for all, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Taken {
            id,
            found,
            place,
            stages,
        } in &self.documents
        {
            write!(f, "{}", id.escape_debug())?;
            if let Some(place) = place {
                write!(f, "  documents {place}")?;
            }
            match found {
                Found::Unknown => write!(f, "  NOT TAKEN DOWN: the documents log has no such id")?,
                Found::Live => write!(f, "  NOT TAKEN DOWN: a document stands there")?,
                Found::TakenDown => {
                    for (name, is_past) in stages.named() {
                        write!(f, "  {name} {}", if is_past { "done" } else { "OPEN" })?;
                    }
                }
            }
            writeln!(f)?;
        }
        let verdict = if self.complete {
            "complete"
        } else {
            "not complete yet"
        };
        writeln!(f, "{}: {verdict}", self.in_a_line())
    }
}
