//! Real text of many kinds that every machine with a build of riffle has: the beginnings of files
//! of the crates that riffle is built from.
//!
//! Files are drawn by a hash of their path, so that machines with the same crates draw the same.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::Printed;

/// How much of a file is taken: some 250 tokens of English, 330 of code.
const EXCERPT_BYTES: u64 = 1000;
/// Less says too little for a perplexity.
const EXCERPT_BYTES_MIN: usize = 200;

/// Kinds of text and how many of each are taken, no two of a kind from one crate: some 60 thousand
/// tokens, for about two minutes on two cores.
const KINDS: [(&str, usize); 6] = [
    ("readme", 60),
    ("changelog", 30),
    ("licence", 15),
    ("documentation", 30),
    ("source", 65),
    ("data", 40),
];

/// A file that could be taken.
struct Candidate {
    kind: &'static str,
    package: String,
    /// The path below the registry's folder.
    id: String,
    path: PathBuf,
}

/// Documents as JSON lines, from the sources in `registry` of the packages in `lock`.
pub fn sample(lock: &Path, registry: &Path) -> Printed {
    let packages = packages(&fs::read_to_string(lock)?);
    let mut candidates: Vec<Candidate> = WalkDir::new(registry)
        .min_depth(3)
        .into_iter()
        .filter_entry(|entry| entry.depth() != 2 || packages.contains(&name(entry.path())))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| candidate(entry.path(), registry))
        .collect();
    candidates.sort_by_cached_key(|candidate| *blake3::hash(candidate.id.as_bytes()).as_bytes());
    let lines: String = KINDS
        .iter()
        .flat_map(|(kind, count)| draw(&candidates, kind, *count))
        .collect();
    if lines.is_empty() {
        return Err(format!("no crate of {} in {}", lock.display(), registry.display()).into());
    }
    Ok(lines)
}

/// The folders, `name-version`, of the packages in a Cargo.lock.
fn packages(lock: &str) -> HashSet<String> {
    let value = |line: &str, key| {
        let quoted = line.strip_prefix(key)?.strip_prefix(" = ")?;
        Some(quoted.trim_matches('"').to_owned())
    };
    let names = lock.lines().filter_map(|line| value(line, "name"));
    // The file's own format has a version too, a number before the first name.
    let first = lock.find("[[package]]").unwrap_or(lock.len());
    let versions = lock[first..]
        .lines()
        .filter_map(|line| value(line, "version"));
    names
        .zip(versions)
        .map(|(name, version)| format!("{name}-{version}"))
        .collect()
}

fn candidate(path: &Path, registry: &Path) -> Option<Candidate> {
    let kind = kind(path)?;
    let mut below = path.strip_prefix(registry).ok()?.components();
    below.next();
    let id = below.as_path().to_str()?.to_owned();
    let package = name(below.next()?.as_ref());
    let path = path.to_owned();
    Some(Candidate {
        kind,
        package,
        id,
        path,
    })
}

fn kind(path: &Path) -> Option<&'static str> {
    let name = name(path).to_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    if begins(&["licen", "copying", "unlicense"]) {
        return Some("licence");
    } else if begins(&["readme"]) {
        return Some("readme");
    } else if begins(&["changelog", "changes", "releases", "history", "news"]) {
        return Some("changelog");
    }
    match name.rsplit_once('.')?.1 {
        "md" | "rst" => Some("documentation"),
        "rs" | "c" | "h" | "s" | "asm" | "cpp" | "py" | "pl" | "sh" => Some("source"),
        "json" | "lock" | "yml" | "csv" | "stderr" | "snap" | "txt" | "list" => Some("data"),
        _ => None,
    }
}

fn draw(candidates: &[Candidate], kind: &str, count: usize) -> impl Iterator<Item = String> {
    let mut drawn = HashSet::new();
    candidates
        .iter()
        .filter(move |candidate| candidate.kind == kind)
        .filter_map(move |it| {
            let text = (!drawn.contains(it.package.as_str()))
                .then(|| excerpt(&it.path).ok().flatten())??;
            drawn.insert(it.package.as_str());
            Some(serde_json::json!({"id": it.id, "source": kind, "text": text}).to_string() + "\n")
        })
        .take(count)
}

/// The beginning of a text file; `None` where it is short or no text.
fn excerpt(path: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(EXCERPT_BYTES)
        .read_to_end(&mut bytes)?;
    if let Err(error) = std::str::from_utf8(&bytes) {
        if error.error_len().is_some() {
            return Ok(None);
        }
        // The cut went through a character.
        bytes.truncate(error.valid_up_to());
    }
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    Ok((text.len() >= EXCERPT_BYTES_MIN && !text.contains('\0')).then_some(text))
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_pairs_names_with_versions() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.2\"\n\
                    dependencies = [\n \"b\",\n]\n\n[[package]]\nname = \"b-c\"\nversion = \"0.1\"\n";
        assert_eq!(
            packages(lock),
            ["a-1.2", "b-c-0.1"].map(String::from).into()
        );
    }

    #[test]
    fn kind_goes_by_the_name_and_then_by_the_ending() {
        let of = |path: &str| kind(Path::new(path));
        assert_eq!(of("a/LICENSE-MIT"), Some("licence"));
        assert_eq!(of("a/Readme.md"), Some("readme"));
        assert_eq!(of("a/notes.md"), Some("documentation"));
        assert_eq!(of("a/license/lib.rs"), Some("source"));
        assert_eq!(of("a/libx.a"), None);
    }
}
