//! Puts the layers together and reads them as a [`Config`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_path_to_error::Segment;

use super::Config;
use super::checks::{self, Finding};
use super::error::{ConfigError, Problem};
use super::layers;
use super::nearest::nearest;
use super::origin::{KeyPath, dotted};
use super::show::schema;
use super::tree::Tree;

/// The file that is taken without being named, in the current directory.
pub const FILE: &str = "riffle.toml";

/// Where a configuration is read from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file; none for the defaults alone.
    pub file: Option<PathBuf>,
    /// Environment variables, of which `RIFFLE__SECTION__KEY` are taken.
    pub env: Vec<(OsString, OsString)>,
    /// `KEY=VALUE` texts, the later ones winning.
    pub set: Vec<String>,
}

impl Sources {
    /// This process's environment, and the file named or else `riffle.toml` if it is there.
    pub fn of_process(file: Option<PathBuf>, set: Vec<String>) -> Self {
        let present = || Path::new(FILE).exists().then(|| PathBuf::from(FILE));
        Sources {
            file: file.or_else(present),
            env: std::env::vars_os().collect(),
            set,
        }
    }
}

/// A configuration that has passed every check, and where its values came from.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    pub(super) tree: Tree,
}

/// The configuration of these sources: defaults, then the file, the environment and the flags.
///
/// # Errors
/// [`ConfigError`] with everything found wrong, each with the place that the value came from.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut tree = merged(sources)?;
    let unknown = unknown_keys(&tree);
    ConfigError::of(unknown)?;
    fill_log_kinds(&mut tree);
    ConfigError::of(placed(&tree, checks::stage_keys(&tree)))?;
    let mut config = read(&tree)?;
    let mut findings = checks::resolve(&mut config.kafka);
    if findings.is_empty() {
        findings = checks::across(&config);
    }
    ConfigError::of(placed(&tree, findings))?;
    Ok(Loaded {
        config,
        file: sources.file.clone(),
        tree,
    })
}

fn merged(sources: &Sources) -> Result<Tree, ConfigError> {
    let mut tree = match &sources.file {
        Some(path) => layers::file(path)?,
        None => Tree::default(),
    };
    let mut variables = sources.env.clone();
    variables.sort();
    for (name, value) in &variables {
        let Some(name) = name.to_str() else { continue };
        if let Some(layer) = layers::variable(name, &value.to_string_lossy()) {
            tree.merge(layer?);
        }
    }
    for flag in &sources.set {
        tree.merge(layers::flag(flag)?);
    }
    Ok(tree)
}

/// A log is of the kind of the one before it unless its own is given.
fn fill_log_kinds(tree: &mut Tree) {
    for (from, to) in [("documents", "scored"), ("scored", "curated")] {
        let (Some(kind), None) = (tree.get(&[from, "log"]).cloned(), tree.get(&[to, "log"])) else {
            continue;
        };
        let section = tree
            .values
            .entry(to)
            .or_insert_with(|| Value::Object(Default::default()));
        let Value::Object(section) = section else {
            continue;
        };
        section.insert("log".to_owned(), kind);
        if let Some(origin) = tree
            .origins
            .get([from.to_owned(), "log".to_owned()].as_slice())
        {
            tree.origins
                .insert(vec![to.to_owned(), "log".to_owned()], origin.clone());
        }
    }
}

fn read(tree: &Tree) -> Result<Config, ConfigError> {
    serde_path_to_error::deserialize(Value::Object(tree.values.clone())).map_err(|error| {
        let name = |segment: &Segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        let path: KeyPath = error.path().iter().filter_map(name).collect();
        let problem = Problem::new(format!("{}: {}", dotted(&path), error.inner()));
        let problem = match meaning(&path) {
            Some(meaning) => problem.help(meaning),
            None => problem,
        };
        ConfigError::from(place(tree, problem, &[path]))
    })
}

/// What the schema says about a key, and its default.
fn meaning(path: &[String]) -> Option<String> {
    let root = schema();
    let mut schema = &root;
    for name in path {
        let outer = resolve(schema, &root);
        schema = match name.parse::<usize>() {
            Ok(_) => outer.get("items")?,
            Err(_) => outer.get("properties")?.get(name)?,
        };
    }
    let description = schema.get("description")?.as_str()?.replace('\n', " ");
    match schema
        .get("default")
        .filter(|default| !default.is_object() && !default.is_array())
    {
        Some(default) => Some(format!("{description} The default is {default}.")),
        None => Some(description),
    }
}

fn placed(tree: &Tree, findings: Vec<Finding>) -> Vec<Problem> {
    let place = |finding: Finding| place(tree, finding.problem, &finding.paths);
    findings.into_iter().map(place).collect()
}

/// The problem at the first of the paths that has an origin.
fn place(tree: &Tree, problem: Problem, paths: &[KeyPath]) -> Problem {
    let own = paths.iter().find_map(|path| tree.origins.get(path));
    if let Some(origin) = own {
        return problem.at(&origin.source, origin.value.clone());
    }
    match paths.iter().find_map(|path| tree.origin(path)) {
        Some((origin, _)) => problem.at(&origin.source, origin.key.clone()),
        None => problem,
    }
}

/// Every key that the schema does not have. The schema, since it is the one list of all keys that
/// need not be kept in step with the structs.
fn unknown_keys(tree: &Tree) -> Vec<Problem> {
    let schema = schema();
    let mut problems = Vec::new();
    visit(
        &Value::Object(tree.values.clone()),
        &schema,
        &schema,
        &mut Vec::new(),
        &mut |path, keys| {
            problems.push(unknown_key(tree, path, keys));
        },
    );
    problems
}

fn unknown_key(tree: &Tree, path: &KeyPath, keys: &[&str]) -> Problem {
    let name = path.last().map_or("", String::as_str);
    let meant = nearest(name, keys.iter().copied());
    let meant = meant
        .map(|key| format!("did you mean {key:?}? "))
        .unwrap_or_default();
    let (within, what) = match path.len() {
        1 => ("the configuration".to_owned(), "section"),
        _ => (dotted(&path[..path.len() - 1]), "key"),
    };
    let problem = Problem::new(format!("{}: unknown {what}", dotted(path)))
        .help(format!("{meant}{within} has {}", keys.join(", ")));
    match tree.origin(path) {
        Some((origin, _)) => problem.at(&origin.source, origin.key.clone()),
        None => problem,
    }
}

/// Calls `unknown` with the path of each unknown key and the keys that stand to choice.
fn visit(
    value: &Value,
    schema: &Value,
    root: &Value,
    path: &mut KeyPath,
    unknown: &mut dyn FnMut(&KeyPath, &[&str]),
) {
    let schema = resolve(schema, root);
    match value {
        Value::Object(values) => {
            let Some(Value::Object(keys)) = schema.get("properties") else {
                return;
            };
            for (name, value) in values {
                path.push(name.clone());
                match keys.get(name) {
                    Some(schema) => visit(value, schema, root, path, unknown),
                    None => unknown(path, &keys.keys().map(String::as_str).collect::<Vec<_>>()),
                }
                path.pop();
            }
        }
        Value::Array(values) => {
            let Some(schema) = schema.get("items") else {
                return;
            };
            for (index, value) in values.iter().enumerate() {
                path.push(index.to_string());
                visit(value, schema, root, path, unknown);
                path.pop();
            }
        }
        _ => {}
    }
}

/// The schema behind a reference, which may be one of several alternatives beside null.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let alternative = |list: &'a Value| {
        list.as_array()?
            .iter()
            .find(|one| one.get("$ref").is_some())
    };
    let schema = schema.get("anyOf").and_then(alternative).unwrap_or(schema);
    let reference = schema.get("$ref").and_then(Value::as_str);
    reference
        .and_then(|reference| root.pointer(reference.strip_prefix('#')?))
        .unwrap_or(schema)
}
