//! Groups by name: what the fields of a document that stages group by say, in four bytes.
//!
//! Operators keep facts of every live document, so a combination of field values is interned: the
//! code is local to the process and stands for the values of all grouped fields at once. Between
//! processes, and wherever groups are compared, a value goes by the hash of its name.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use serde_json::Value;

use crate::config::SKILL;
use crate::records::{Scored, field};

/// The code of a combination of field values; 0 where no stage groups by a field.
pub type GroupCode = u32;

/// The group of documents that lack the field, and the one group of a stage without `group_by`.
pub const NO_GROUP: u64 = 0;

/// The fields that stages group by, and the combinations of values met so far.
///
/// Clones share the combinations.
#[derive(Clone)]
pub struct Groups {
    fields: Arc<[String]>,
    /// The field of the document that names its skill; without one the scored record does.
    skill: Option<Arc<str>>,
    names: Arc<RwLock<Names>>,
}

#[derive(Default)]
struct Names {
    codes: HashMap<Box<[Option<String>]>, GroupCode>,
    /// By code: for each field, the hash of its value.
    hashes: Vec<Box<[u64]>>,
    by_hash: HashMap<u64, String>,
}

impl Groups {
    /// Groups by these paths of a document's JSON, such as `source` or `metadata.lang`, and by
    /// [`SKILL`], which stands at the path `skill` or else in the scored record.
    pub fn new(fields: impl IntoIterator<Item = String>, skill: Option<&str>) -> Self {
        let mut distinct: Vec<String> = Vec::new();
        for field in fields {
            if !distinct.contains(&field) {
                distinct.push(field);
            }
        }
        let names = Names::default();
        Groups {
            fields: distinct.into(),
            skill: skill.map(Arc::from),
            names: Arc::new(RwLock::new(names)),
        }
    }

    /// Whether there are any fields; without, all codes are the same.
    pub fn are_used(&self) -> bool {
        !self.fields.is_empty()
    }

    /// The fields, in the order of a code's values.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The place of a field among the fields.
    pub fn index(&self, field: &str) -> Option<usize> {
        self.fields.iter().position(|f| f == field)
    }

    /// The code of the document's values.
    pub fn code(&self, scored: &Scored<'_>) -> GroupCode {
        if self.fields.is_empty() {
            return 0;
        }
        let value = |path: &String| match path.as_str() {
            SKILL => self.skill(scored),
            path => name(field(scored.document, path)),
        };
        self.code_of(self.fields.iter().map(value).collect())
    }

    /// The code of these values, one for each of the fields.
    pub fn code_of(&self, values: Box<[Option<String>]>) -> GroupCode {
        if let Some(code) = self
            .names
            .read()
            .expect("no panic under the lock")
            .codes
            .get(&values)
        {
            return *code;
        }
        self.names
            .write()
            .expect("no panic under the lock")
            .intern(values)
    }

    /// The values that a code stands for: what [`Groups::code_of`] made it of.
    pub fn values(&self, code: GroupCode) -> Box<[Option<String>]> {
        let names = self.names.read().expect("no panic under the lock");
        let hashes = names.hashes[code as usize].iter();
        hashes
            .map(|hash| names.by_hash.get(hash).cloned())
            .collect()
    }

    /// The document's skill, where it is known.
    pub fn skill(&self, scored: &Scored<'_>) -> Option<String> {
        match &self.skill {
            Some(path) => name(field(scored.document, path)),
            None => scored.skill.map(str::to_owned),
        }
    }

    /// The name of a group, or `None` for [`NO_GROUP`].
    pub fn name(&self, group: u64) -> Option<String> {
        self.names
            .read()
            .expect("no panic under the lock")
            .by_hash
            .get(&group)
            .cloned()
    }

    /// A function from codes to the groups of one field, for one operator.
    pub fn of_field(&self, index: usize) -> impl Fn(GroupCode) -> u64 + 'static {
        let names = Arc::clone(&self.names);
        // Codes only come to be, so what was seen once may be kept, without the lock.
        let seen = std::cell::RefCell::new(Vec::new());
        move |code| {
            let mut seen = seen.borrow_mut();
            if code as usize >= seen.len() {
                let names = names.read().expect("no panic under the lock");
                let known = seen.len();
                seen.extend(names.hashes[known..].iter().map(|hashes| hashes[index]));
            }
            seen[code as usize]
        }
    }
}

impl Groups {
    /// A function from codes to the groups of all fields, for one operator.
    pub fn of_fields(&self) -> impl Fn(GroupCode) -> Box<[u64]> + 'static {
        let of_field: Vec<_> = (0..self.fields.len()).map(|it| self.of_field(it)).collect();
        move |code| of_field.iter().map(|of_field| of_field(code)).collect()
    }

    /// A further code, for these groups by field. Nobody learns their names by it.
    pub fn add(&self, groups: Box<[u64]>) -> GroupCode {
        let mut names = self.names.write().expect("no panic under the lock");
        names.add(groups)
    }
}

impl Names {
    fn intern(&mut self, values: Box<[Option<String>]>) -> GroupCode {
        if let Some(code) = self.codes.get(&values) {
            return *code;
        }
        let hashes = values
            .iter()
            .map(|value| value.as_deref().map_or(NO_GROUP, group_of));
        let code = self.add(hashes.collect());
        for value in values.iter().flatten() {
            self.by_hash
                .entry(group_of(value))
                .or_insert_with(|| value.clone());
        }
        self.codes.insert(values, code);
        code
    }

    fn add(&mut self, groups: Box<[u64]>) -> GroupCode {
        let code = GroupCode::try_from(self.hashes.len()).expect("fewer combinations than 2^32");
        self.hashes.push(groups);
        code
    }
}

/// The group of a name: the first 8 bytes of its BLAKE3.
pub fn group_of(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    u64::from_be_bytes(
        hash.as_bytes()[..8]
            .try_into()
            .expect("a hash has 32 bytes"),
    )
}

/// A field's value as a name: text as it is, other values as their JSON; null is no value.
fn name(value: Option<Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(document: &[u8]) -> Scored<'_> {
        Scored {
            mean_nll_nats: 1.0,
            tokens: 1,
            truncated: false,
            scorer: "test",
            sketch: 0,
            codes: Default::default(),
            embedding: Vec::new(),
            quality: None,
            skill: Some("reason"),
            document,
        }
    }

    #[test]
    fn a_code_stands_for_the_values_of_all_fields() {
        let fields = ["source".to_owned(), "metadata.lang".to_owned()];
        let groups = Groups::new(fields, None);
        let [a, b, c] = [
            br#"{"source": "web", "metadata": {"lang": "en"}}"#.as_slice(),
            br#"{"source": "web", "metadata": {"lang": "de"}}"#,
            br#"{"metadata": {"lang": "en"}}"#,
        ]
        .map(|document| groups.code(&scored(document)));
        let (source, lang) = (groups.of_field(0), groups.of_field(1));
        assert_eq!(source(a), source(b));
        assert_eq!(lang(a), lang(c));
        assert_ne!(lang(a), lang(b));
        assert_eq!(source(c), NO_GROUP);
        assert_eq!(groups.name(lang(b)).as_deref(), Some("de"));
        assert_eq!(groups.name(NO_GROUP), None);
    }

    #[test]
    fn without_fields_there_is_one_code() {
        let groups = Groups::new([], None);
        assert_eq!(groups.code(&scored(b"not even JSON")), 0);
    }

    #[test]
    fn a_skill_stands_in_its_field_or_else_in_the_scored_record() {
        let by_skill = |field| Groups::new([SKILL.to_owned()], field);
        let scored = scored(br#"{"metadata": {"topic": "write"}}"#);
        for (field, expected) in [
            (None, Some("reason")),
            (Some("metadata.topic"), Some("write")),
            (Some("metadata.other"), None),
        ] {
            let groups = by_skill(field);
            let group = groups.of_field(0)(groups.code(&scored));
            assert_eq!(groups.name(group).as_deref(), expected);
            assert_eq!(groups.skill(&scored).as_deref(), expected);
        }
    }
}
