//! The configuration before it is checked: JSON values, and the origin of each.
//!
//! Layers are merged as trees, since only then is it known which origin a value has.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};
use toml_edit::{Item, TableLike};

use super::origin::{KeyPath, Origin, Source};

/// Values by section and key, with the origin of every path that was given.
///
/// Neither this nor an origin is `Debug`: both hold secrets.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) values: Map<String, Value>,
    pub(super) origins: BTreeMap<KeyPath, Origin>,
}

impl Tree {
    /// Lays `over` on top: sections are merged, the values of their keys replaced.
    pub(super) fn merge(&mut self, over: Tree) {
        for (section, value) in over.values {
            match (self.values.get_mut(&section), value) {
                (Some(Value::Object(under)), Value::Object(over)) => {
                    for (key, value) in over {
                        forget(&mut self.origins, &[section.clone(), key.clone()]);
                        under.insert(key, value);
                    }
                }
                (_, value) => {
                    forget(&mut self.origins, std::slice::from_ref(&section));
                    self.values.insert(section, value);
                }
            }
        }
        self.origins.extend(over.origins);
    }

    /// The origin of the path, or else of the nearest value around it.
    pub(super) fn origin(&self, path: &[String]) -> Option<&Origin> {
        (1..=path.len())
            .rev()
            .find_map(|len| self.origins.get(&path[..len]))
    }
}

fn forget(origins: &mut BTreeMap<KeyPath, Origin>, path: &[String]) {
    origins.retain(|origin, _| !origin.starts_with(path));
}

/// Reads parsed TOML into a tree.
pub(super) struct TomlReader {
    /// The text that is read.
    pub(super) source: Arc<Source>,
    /// How far the parser's bytes stand before the text's.
    pub(super) shift: isize,
    /// What has been read.
    pub(super) origins: BTreeMap<KeyPath, Origin>,
}

impl TomlReader {
    /// A table's values; `path` leads to the table.
    pub(super) fn table(&mut self, table: &dyn TableLike, path: &[String]) -> Map<String, Value> {
        let mut values = Map::new();
        for (name, item) in table.iter() {
            let key = table.get_key_value(name).and_then(|(key, _)| key.span());
            let path = [path, &[name.to_owned()]].concat();
            self.note(&path, key, item.span());
            values.insert(name.to_owned(), self.item(item, &path));
        }
        values
    }

    /// An item's value; `path` leads to the item.
    pub(super) fn item(&mut self, item: &Item, path: &[String]) -> Value {
        match item {
            Item::None => Value::Null,
            Item::Value(value) => self.value(value, path),
            Item::Table(table) => Value::Object(self.table(table, path)),
            Item::ArrayOfTables(tables) => {
                let read = |(index, table): (usize, &toml_edit::Table)| {
                    let path = [path, &[index.to_string()]].concat();
                    self.note(&path, table.span(), table.span());
                    Value::Object(self.table(table, &path))
                };
                Value::Array(tables.iter().enumerate().map(read).collect())
            }
        }
    }

    fn value(&mut self, value: &toml_edit::Value, path: &[String]) -> Value {
        match value {
            toml_edit::Value::String(text) => Value::from(text.value().as_str()),
            toml_edit::Value::Integer(number) => Value::from(*number.value()),
            toml_edit::Value::Boolean(truth) => Value::from(*truth.value()),
            toml_edit::Value::Datetime(date) => Value::from(date.value().to_string()),
            toml_edit::Value::InlineTable(table) => Value::Object(self.table(table, path)),
            toml_edit::Value::Float(number) => match *number.value() {
                finite if finite.is_finite() => Value::from(finite),
                other => Value::from(other.to_string()),
            },
            toml_edit::Value::Array(array) => {
                let read = |(index, value): (usize, &toml_edit::Value)| {
                    let path = [path, &[index.to_string()]].concat();
                    self.note(&path, value.span(), value.span());
                    self.value(value, &path)
                };
                Value::Array(array.iter().enumerate().map(read).collect())
            }
        }
    }

    /// Tables made of dotted keys have no place of their own: their key stands for them.
    fn note(&mut self, path: &[String], key: Option<Range<usize>>, value: Option<Range<usize>>) {
        let Some(key) = key.or_else(|| value.clone()) else {
            return;
        };
        let value = value.unwrap_or_else(|| key.clone());
        let shifted = |range: Range<usize>| {
            range.start.saturating_add_signed(self.shift)
                ..range.end.saturating_add_signed(self.shift)
        };
        let source = Arc::clone(&self.source);
        let origin = Origin {
            source,
            key: shifted(key),
            value: shifted(value),
        };
        self.origins.insert(path.to_vec(), origin);
    }
}
