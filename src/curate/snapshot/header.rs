//! What a snapshot says of itself: of which log it is, up to where, and what was read of documents.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{Result, SnapshotError};
use crate::config::SKILL;
use crate::curate::rules::Rules;
use crate::log::Offsets;

/// The first block of a snapshot. JSON, so that a person can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The scored log.
    pub log: String,
    /// How far the log had been read.
    pub offsets: Offsets,
    /// The epoch in which it had.
    pub epoch: u64,
    /// What was read of documents.
    pub reading: Form,
}

/// What is read of scored records: the live documents' facts are a function of this and the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The fields whose values make the groups, in the order of a group's values.
    pub fields: Vec<String>,
    /// The field that names a document's skill; without one the scored record does.
    pub skill: Option<String>,
    /// The fingerprint of the sketch, as 16 hexadecimal digits, where codes are read.
    pub sketch: Option<String>,
    /// Codes of a document.
    pub rows: u16,
}

impl Form {
    /// What these rules need.
    pub fn of(rules: &Rules) -> Self {
        let sketch = rules.by_density().map(|_| &rules.sketch);
        Form {
            fields: rules.groups.fields().to_vec(),
            skill: rules.skills.field.clone(),
            sketch: sketch.map(|sketch| format!("{:016x}", sketch.fingerprint())),
            rows: sketch.map_or(0, |sketch| sketch.rows),
        }
    }

    /// For each of the wanted fields, its place among those of this form.
    ///
    /// Whether codes are read must agree: a record whose codes make no sense is passed over by
    /// those who read them and taken by those who do not.
    ///
    /// # Errors
    /// [`SnapshotError::OtherReading`] where the wanted documents cannot be had from these.
    pub fn places_of(&self, wanted: &Form, path: &Path) -> Result<Vec<usize>> {
        let other = |reason| SnapshotError::OtherReading {
            path: path.to_path_buf(),
            reason,
        };
        if (&self.sketch, self.rows) != (&wanted.sketch, wanted.rows) {
            return Err(other("codes of another sketch were read, or none"));
        }
        if wanted.fields.iter().any(|field| field == SKILL) && self.skill != wanted.skill {
            return Err(other("another field named the skills"));
        }
        let place = |field: &String| {
            let place = self.fields.iter().position(|known| known == field);
            place.ok_or_else(|| other("documents were not grouped by all fields needed now"))
        };
        wanted.fields.iter().map(place).collect()
    }
}
