//! Puts the layers together and reads them as a [`Config`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::checks::{self, Finding};
use super::error::{ConfigError, Problem};
use super::keys::{self, UnknownKey};
use super::layers;
use super::nearest::nearest;
use super::origin::{KeyPath, dotted};
use super::tree::Tree;
use super::{Config, LogKind, properties};

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
    fill_log_kinds(&mut tree);
    let mut config = read(&tree)?;
    let mut findings = properties::resolve(&mut config.kafka, &sources.env);
    if findings.is_empty() {
        findings = checks::across(&config);
    }
    let problems = findings.into_iter().map(|finding| placed(&tree, finding));
    ConfigError::of(problems.collect())?;
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
        if let Some(layer) = layers::variable(name, value) {
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
        let [from, to] = [from, to].map(|section| [section.to_owned(), "log".to_owned()]);
        let given = tree
            .values
            .get(&from[0])
            .and_then(|section| section.get("log"));
        let Some(kind) = given
            .filter(|kind| LogKind::deserialize(*kind).is_ok())
            .cloned()
        else {
            continue;
        };
        let empty = || Value::Object(Map::new());
        let Value::Object(section) = tree.values.entry(&to[0]).or_insert_with(empty) else {
            continue;
        };
        if section.contains_key("log") {
            continue;
        }
        section.insert("log".to_owned(), kind);
        if let Some(origin) = tree.origins.get(from.as_slice()).cloned() {
            tree.origins.insert(to.to_vec(), origin);
        }
    }
}

/// The tree as a configuration, or every value in it that cannot be taken.
fn read(tree: &Tree) -> Result<Config, ConfigError> {
    let mut values = tree.values.clone();
    let mut problems = Vec::new();
    for key in keys::unknown(&tree.values) {
        problems.push(unknown_key(tree, &key));
        leave_out(&mut values, &key.path);
    }
    for finding in checks::stage_keys(tree) {
        leave_out(&mut values, &finding.paths[0]);
        problems.push(placed(tree, finding));
    }
    // Each turn leaves a value out, or ends.
    loop {
        match serde_path_to_error::deserialize(Value::Object(values.clone())) {
            Ok(config) => return ConfigError::of(problems).map(|()| config),
            Err(error) => {
                let path = key_path(error.path());
                problems.push(misfit(tree, &path, error.inner()));
                if !leave_out(&mut values, &path) {
                    return Err(ConfigError::of(problems).expect_err("there is one at least"));
                }
            }
        }
    }
}

fn key_path(path: &serde_path_to_error::Path) -> KeyPath {
    let name = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(name).collect()
}

/// Takes a wrong value out, so that the rest can be read; whether anything was changed.
fn leave_out(values: &mut Map<String, Value>, path: &[String]) -> bool {
    let (section, rest) = match path {
        [] => return false,
        [section] => return values.remove(section).is_some(),
        [section, rest @ ..] => (section, rest),
    };
    match values.get_mut(section) {
        Some(Value::Object(keys)) => keys.remove(&rest[0]).is_some(),
        // A stage keeps its place, so that those behind it keep their numbers.
        Some(Value::Array(stages)) => {
            let stage = rest[0]
                .parse()
                .ok()
                .and_then(|index: usize| stages.get_mut(index));
            let sound = serde_json::json!({ "by": "perplexity" });
            stage.is_some_and(|stage| std::mem::replace(stage, sound.clone()) != sound)
        }
        _ => false,
    }
}

fn misfit(tree: &Tree, path: &KeyPath, error: &serde_json::Error) -> Problem {
    let problem = Problem::new(format!(
        "{}: {}",
        dotted(path),
        in_toml_words(&error.to_string())
    ));
    let problem = match keys::meaning(path) {
        Some(meaning) => problem.help(meaning),
        None => problem,
    };
    place(tree, problem, std::slice::from_ref(path))
}

/// A message of serde's in the words of TOML instead of Rust's.
fn in_toml_words(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let found = found
        .replace("type: map", "type: table")
        .replace("type: sequence", "type: array");
    let expected = match expected {
        "a map" => "a table",
        "a sequence" => "an array",
        "f64" => "a number",
        name if name.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}, expected {expected}")
}

fn placed(tree: &Tree, finding: Finding) -> Problem {
    place(tree, finding.problem, &finding.paths)
}

/// The problem at the first of the paths that has an origin.
fn place(tree: &Tree, problem: Problem, paths: &[KeyPath]) -> Problem {
    let own = paths.iter().find_map(|path| tree.origins.get(path));
    if let Some(origin) = own {
        return problem.at(&origin.source, origin.value.clone());
    }
    match paths.iter().find_map(|path| tree.origin(path)) {
        Some(origin) => problem.at(&origin.source, origin.key.clone()),
        None => problem,
    }
}

fn unknown_key(tree: &Tree, UnknownKey { path, keys }: &UnknownKey) -> Problem {
    let name = path.last().map_or("", String::as_str);
    let meant = nearest(name, keys.iter().map(String::as_str));
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
        Some(origin) => problem.at(&origin.source, origin.key.clone()),
        None => problem,
    }
}
