//! Bugs that the kernels' tests must catch, each planted into a source before it is compiled.
//!
//! `kernels/emulator/planted/*.txt` lists them. A process plants the one that the variable
//! `RIFFLE_PLANTED` names; the test that goes through the list runs itself once a bug with it.

use std::path::Path;
use std::{env, fs};

use super::source;

/// The variable that names the bug.
pub(super) const VARIABLE: &str = "RIFFLE_PLANTED";

/// One line of a kernel, made wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bug {
    /// What it is called: the list's name, a slash, its own.
    pub(super) name: String,
    /// The source file.
    pub(super) file: String,
    /// The part of a test's path that selects those that must fail.
    pub(super) tests: String,
    /// Text that stands in the file exactly once.
    pub(super) find: String,
    /// What stands there instead.
    pub(super) replace: String,
}

/// The text of a file with this process's bug in it, if the bug is for that file.
///
/// # Errors
/// When there is no bug of that name, or it does not fit the file as it is now.
pub(super) fn plant(file: &str, text: String) -> Result<String, String> {
    let Some(name) = env::var_os(VARIABLE) else {
        return Ok(text);
    };
    let bugs = list()?;
    let bug = bugs.into_iter().find(|bug| *bug.name == *name);
    let bug = bug.ok_or_else(|| format!("no planted bug is called {}", name.display()))?;
    if bug.file == file {
        bug.planted(&text)
    } else {
        Ok(text)
    }
}

impl Bug {
    /// The text with the bug in it.
    ///
    /// # Errors
    /// When the text to find does not stand in it exactly once.
    pub(super) fn planted(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            n => Err(format!(
                "{}: its text stands in {} {n} times, not once",
                self.name, self.file
            )),
        }
    }
}

/// All bugs, by list and in the lists' order.
///
/// # Errors
/// The line that is not of the lists' form.
pub(super) fn list() -> Result<Vec<Bug>, String> {
    let folder = source::emulator_folder().join("planted");
    let failed = |e| format!("{}: {e}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let mut bugs = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(failed)?;
        bugs.extend(parse(&stem(&path), &text)?);
    }
    Ok(bugs)
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Bugs of one list: paragraphs of `= name`, `file`, `tests`, then lines to find after `-` and
/// lines to put there after `+`. Lines after `#` say what the bug breaks.
fn parse(list: &str, text: &str) -> Result<Vec<Bug>, String> {
    let mut bugs: Vec<Bug> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = || {
            format!(
                "planted/{list}.txt:{}: {line:?} is no line of a bug",
                number + 1
            )
        };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("= ") {
            bugs.push(Bug {
                name: format!("{list}/{name}"),
                file: String::new(),
                tests: String::new(),
                find: String::new(),
                replace: String::new(),
            });
            continue;
        }
        let bug = bugs.last_mut().ok_or_else(wrong)?;
        match line.split_at_checked(1) {
            Some(("-", rest)) => push_line(&mut bug.find, rest),
            Some(("+", rest)) => push_line(&mut bug.replace, rest),
            _ => match line.split_once(": ") {
                Some(("file", file)) => bug.file = file.to_owned(),
                Some(("tests", tests)) => bug.tests = tests.to_owned(),
                _ => return Err(wrong()),
            },
        }
    }
    Ok(bugs)
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}
