//! The configuration as text: the effective one with its origins, the default file, the schema.

use serde_json::Value;
use toml_edit::{Item, Table};

use super::Config;
use super::load::Loaded;
use super::origin::KeyPath;
use super::tree::Tree;

/// The default configuration as a file with comments.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// The JSON Schema of the configuration file.
pub fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

impl Loaded {
    /// The effective configuration as TOML that can be read again, save for redacted secrets.
    ///
    /// A comment at every value that is not the default says where it came from.
    pub fn show(&self) -> String {
        let mut document = toml_edit::ser::to_document(&self.config)
            .expect("the configuration has only tables, texts, numbers and truth values");
        let default = toml_edit::ser::to_document(&Config::default())
            .expect("the configuration has only tables, texts, numbers and truth values");
        for (name, item) in document.as_table_mut().iter_mut() {
            let was = std::mem::take(item);
            *item = match was {
                Item::Value(toml_edit::Value::InlineTable(table)) => {
                    Item::Table(table.into_table())
                }
                other => match other.into_array_of_tables() {
                    Ok(tables) => Item::ArrayOfTables(tables),
                    Err(other) => other,
                },
            };
            let path = vec![name.get().to_owned()];
            annotate(item, default.get(name.get()), path, &self.tree);
        }
        document.to_string()
    }
}

/// Puts the origin behind every value that differs from the default.
fn annotate(item: &mut Item, default: Option<&Item>, path: KeyPath, tree: &Tree) {
    match item {
        Item::Table(table) => annotate_table(table, default, &path, tree),
        Item::ArrayOfTables(tables) => {
            for (index, table) in tables.iter_mut().enumerate() {
                let path = [path.as_slice(), &[index.to_string()]].concat();
                let default = default.and_then(|default| default.get(index));
                annotate_table(table, default, &path, tree);
            }
        }
        Item::Value(value) => {
            let same = default
                .is_some_and(|default| default.to_string().trim() == value.to_string().trim());
            if let (false, Some(origin)) = (same, tree.origins.get(&path)) {
                value
                    .decor_mut()
                    .set_suffix(format!(" # {}", origin.brief()));
            }
        }
        Item::None => {}
    }
}

fn annotate_table(table: &mut Table, default: Option<&Item>, path: &KeyPath, tree: &Tree) {
    for (name, item) in table.iter_mut() {
        let path = [path.as_slice(), &[name.get().to_owned()]].concat();
        let default = default.and_then(|default| default.get(name.get()));
        annotate(item, default, path, tree);
    }
}
