//! The keys that there are, and what they mean, by the JSON Schema: the one list of all keys that
//! need not be kept in step with the structs.

use serde_json::{Map, Value};

use super::origin::KeyPath;
use super::show::schema;

/// A key that is none, and the keys that may stand in its place.
pub(super) struct UnknownKey {
    pub(super) path: KeyPath,
    pub(super) keys: Vec<String>,
}

/// Every key among the values that the schema does not have.
pub(super) fn unknown(values: &Map<String, Value>) -> Vec<UnknownKey> {
    let root = schema();
    let mut search = Search {
        root: &root,
        path: Vec::new(),
        found: Vec::new(),
    };
    search.keys(values, &root);
    search.found
}

/// What the schema says about a key, and its default.
pub(super) fn meaning(path: &[String]) -> Option<String> {
    let root = schema();
    let mut schema = &root;
    for name in path {
        let outer = resolved(schema, &root);
        schema = match name.parse::<usize>() {
            Ok(_) => outer.get("items")?,
            Err(_) => outer.get("properties")?.get(name)?,
        };
    }
    let Some(description) = schema.get("description").and_then(Value::as_str) else {
        return needs(resolved(schema, &root));
    };
    let description = description.replace('\n', " ");
    match schema
        .get("default")
        .filter(|default| !default.is_object() && !default.is_array())
    {
        Some(default) => Some(format!("{description} The default is {default}.")),
        None => Some(description),
    }
}

/// The keys that a table cannot be without.
fn needs(schema: &Value) -> Option<String> {
    let name = |key: &Value| {
        let description = schema
            .get("properties")?
            .get(key.as_str()?)?
            .get("description")?;
        Some(format!(
            "it needs {}: {}",
            key.as_str()?,
            description.as_str()?
        ))
    };
    let needs: Vec<_> = schema
        .get("required")?
        .as_array()?
        .iter()
        .filter_map(name)
        .collect();
    Some(needs.join(" "))
}

struct Search<'a> {
    root: &'a Value,
    path: KeyPath,
    found: Vec<UnknownKey>,
}

impl<'a> Search<'a> {
    fn value(&mut self, value: &Value, schema: &'a Value) {
        let schema = resolved(schema, self.root);
        match (value, schema.get("items")) {
            (Value::Object(values), _) => self.keys(values, schema),
            (Value::Array(values), Some(schema)) => {
                for (index, value) in values.iter().enumerate() {
                    self.path.push(index.to_string());
                    self.value(value, schema);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn keys(&mut self, values: &Map<String, Value>, schema: &'a Value) {
        // A table without listed properties takes any: librdkafka's.
        let Some(Value::Object(known)) = schema.get("properties") else {
            return;
        };
        for (name, value) in values {
            self.path.push(name.clone());
            match known.get(name) {
                Some(schema) => self.value(value, schema),
                None => {
                    let keys = known.keys().cloned().collect();
                    self.found.push(UnknownKey {
                        path: self.path.clone(),
                        keys,
                    });
                }
            }
            self.path.pop();
        }
    }
}

/// The schema behind references, of which each may be one of several alternatives.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let alternatives = schema
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let references = std::iter::once(schema).chain(alternatives);
    let pointer = references
        .filter_map(|one| one.get("$ref")?.as_str()?.strip_prefix('#'))
        .next();
    match pointer.and_then(|pointer| root.pointer(pointer)) {
        Some(target) => resolved(target, root),
        None => schema,
    }
}
