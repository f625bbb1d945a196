//! The layers over the defaults: the file, the environment, and `--set`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::Problem;
use super::origin::{KeyPath, Origin, Source};
use super::tree::{TomlReader, Tree};

/// What the variables that set values begin with.
const ENV_PREFIX: &str = "RIFFLE__";

/// The values of a configuration file.
pub(super) fn file(path: &Path) -> Result<Tree, Problem> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        Problem::new(format!(
            "the configuration file {name} cannot be read: {error}"
        ))
        .help(
            "give an existing TOML file with --config, or none to use the defaults; \
                   riffle config default prints one to begin with",
        )
    })?;
    let source = Arc::new(Source::File { name, text });
    let document = toml_edit::Document::parse(source.text()).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let reason = error.message().replace('\n', "; ");
        Problem::new(format!("invalid TOML: {reason}"))
            .help("riffle config default prints a file in the right form")
            .at(&source, span)
    })?;
    let mut reader = TomlReader {
        source: Arc::clone(&source),
        shift: 0,
        origins: BTreeMap::new(),
    };
    let values = reader.table(document.as_table(), &[]);
    Ok(with_flat_properties(Tree {
        values,
        origins: reader.origins,
    }))
}

/// The value of one `RIFFLE__SECTION__KEY` variable, or `None` if the name is another's.
pub(super) fn variable(name: &str, value: &OsStr) -> Option<Result<Tree, Problem>> {
    let rest = name.strip_prefix(ENV_PREFIX)?;
    let Some(text) = value.to_str() else {
        let problem = Problem::new(format!("the variable {name} is no valid UTF-8"));
        return Some(Err(problem.help("set it to a text, or unset it")));
    };
    let mut path: KeyPath = rest.split("__").map(str::to_ascii_lowercase).collect();
    if path[0] == "kafka" {
        // Shells have no dots in names, and librdkafka's properties no underscores.
        path.iter_mut()
            .for_each(|name| *name = name.replace('_', "."));
    }
    let source = Arc::new(Source::Env(format!("{name}={text}")));
    if path.iter().any(String::is_empty) {
        let problem = Problem::new(format!("the variable {name} names no key"))
            .help("write RIFFLE__SECTION__KEY, such as RIFFLE__SCORE__MAX_TOKENS");
        return Some(Err(problem.at(&source, 0..name.len())));
    }
    Some(Ok(assignment(&source, path, name.len())))
}

/// The value of a `--set KEY=VALUE`.
pub(super) fn flag(text: &str) -> Result<Tree, Problem> {
    let source = Arc::new(Source::Set(text.to_owned()));
    let expected = "write --set KEY=VALUE, such as --set score.max_tokens=512";
    let Some(end) = text.find('=') else {
        let problem = Problem::new("--set needs a key and a value with = between them");
        return Err(problem.help(expected).at(&source, 0..text.len()));
    };
    let keys = toml_edit::Key::parse(&text[..end]).map_err(|_| {
        Problem::new("--set needs a key before the =")
            .help(expected)
            .at(&source, 0..end)
    })?;
    let path = keys.iter().map(|key| key.get().to_owned()).collect();
    Ok(assignment(&source, path, end))
}

/// A tree of the one value after the `=` at byte `key_end` of the source.
fn assignment(source: &Arc<Source>, path: KeyPath, key_end: usize) -> Tree {
    let text = &source.text()[key_end + 1..];
    let (value, mut origins) = value(source, &path, key_end + 1);
    // A password such as 1e5 or 0x10 stays as it is written.
    let as_written = path[0] == "kafka" && !value.is_string() && !value.is_object();
    let mut value = if as_written { Value::from(text) } else { value };
    let whole = key_end + 1..source.text().len();
    for len in (1..=path.len()).rev() {
        let source = Arc::clone(source);
        let origin = Origin {
            source,
            key: 0..key_end,
            value: whole.clone(),
        };
        origins.insert(path[..len].to_vec(), origin);
    }
    for name in path[1..].iter().rev() {
        value = Value::Object(Map::from_iter([(name.clone(), value)]));
    }
    let values = Map::from_iter([(path[0].clone(), value)]);
    with_flat_properties(Tree { values, origins })
}

/// The text from byte `start` on as TOML, or as a plain text where it is none.
fn value(source: &Arc<Source>, path: &KeyPath, start: usize) -> (Value, BTreeMap<KeyPath, Origin>) {
    const ASSIGN: &str = "v=";
    let text = &source.text()[start..];
    let toml = format!("{ASSIGN}{text}");
    let Ok(document) = toml_edit::Document::parse(toml) else {
        return (Value::from(text), BTreeMap::new());
    };
    let shift = start as isize - ASSIGN.len() as isize;
    let mut reader = TomlReader {
        source: Arc::clone(source),
        shift,
        origins: BTreeMap::new(),
    };
    match document.get("v") {
        Some(item) if document.as_table().len() == 1 => (reader.item(item, path), reader.origins),
        _ => (Value::from(text), BTreeMap::new()),
    }
}

/// Joins the names below `kafka` by dots, so that `[kafka.bootstrap] servers = …` and
/// `"bootstrap.servers" = …` are the same; `{ file = … }` and `{ env = … }` stay values.
fn with_flat_properties(mut tree: Tree) -> Tree {
    let Some(Value::Object(nested)) = tree.values.get_mut("kafka") else {
        return tree;
    };
    let nested = std::mem::take(nested);
    let mut flat = Map::new();
    let mut origins = BTreeMap::new();
    flatten(nested, &mut vec!["kafka".to_owned()], &mut |path, value| {
        let name = path[1..].join(".");
        for (from, origin) in &tree.origins {
            if let Some(inner) = from.strip_prefix(path) {
                let to = [&["kafka".to_owned(), name.clone()], inner].concat();
                origins.insert(to, origin.clone());
            }
        }
        flat.insert(name, value);
    });
    tree.origins
        .retain(|path, _| path[0] != "kafka" || path.len() == 1);
    tree.origins.extend(origins);
    tree.values.insert("kafka".to_owned(), Value::Object(flat));
    tree
}

fn flatten(table: Map<String, Value>, path: &mut KeyPath, each: &mut dyn FnMut(&[String], Value)) {
    for (name, value) in table {
        path.push(name);
        match value {
            Value::Object(table) if is_nested(&table) => flatten(table, path, each),
            value => each(path, value),
        }
        path.pop();
    }
}

/// Whether a table holds more names, and is not a value or meant to be one.
fn is_nested(table: &Map<String, Value>) -> bool {
    table.keys().any(|name| name != "file" && name != "env")
}
