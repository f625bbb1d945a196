//! The directory of the local logs.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::finding::{Finding, Status, bytes};
use crate::config::{Config, LogKind};
use crate::log::local::layout::Paths;

const WHAT: &str = "local directory";
/// Less free space than this is worth a warning.
const FREE_BYTES_MIN: u64 = 1_000_000_000;

/// Whether local logs, or the mirror of scored records, can be written.
pub(super) fn check(config: &Config) -> Finding {
    let dir = &config.local.dir;
    let present = match nearest_present(dir) {
        Ok(present) => present,
        Err(reason) => return failed(dir, &reason),
    };
    if !present.is_dir() {
        return failed(dir, &format!("{} is no directory", present.display()));
    }
    if let Err(error) = access(&present, Access::WRITE_OK | Access::EXEC_OK) {
        return failed(
            dir,
            &format!("{} cannot be written: {error}", present.display()),
        );
    }
    let free = match statvfs(&present) {
        Ok(volume) => volume.f_bavail.saturating_mul(volume.f_frsize),
        Err(error) => return failed(dir, &format!("{}: {error}", present.display())),
    };
    let state = if present == *dir {
        "writable"
    } else {
        "will be made"
    };
    let found = format!(
        "{}: {state}, {} free{}",
        dir.display(),
        bytes(free),
        logs(config)
    );
    if free < FREE_BYTES_MIN {
        return Finding::new(Status::Warning, WHAT, found).fix(format!(
            "free at least {}, or set local.dir",
            bytes(FREE_BYTES_MIN)
        ));
    }
    Finding::new(Status::Ok, WHAT, found)
}

fn failed(dir: &Path, reason: &str) -> Finding {
    Finding::new(Status::Fail, WHAT, format!("{}: {reason}", dir.display()))
        .fix("make it writable for this user, or set local.dir to a directory that is")
}

/// The directory itself or the closest one above it that is there.
fn nearest_present(dir: &Path) -> Result<PathBuf, String> {
    for path in dir.ancestors() {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        match path.try_exists() {
            Ok(true) => return Ok(path.to_owned()),
            Ok(false) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("no directory above it is there".to_owned())
}

fn logs(config: &Config) -> String {
    // Opening the store would make its directory.
    let paths = Paths::new(&config.local.dir);
    let present = |(_, topic, kind): &(_, &str, LogKind)| {
        *kind == LogKind::Local && paths.log(topic).is_dir()
    };
    let topics = config.all_topics();
    let names: Vec<_> = topics
        .iter()
        .filter(|log| present(log))
        .map(|(_, name, _)| *name)
        .collect();
    match names.as_slice() {
        [] if config.uses(LogKind::Local) => "; no logs yet".to_owned(),
        [] => String::new(),
        names => format!("; logs: {}", names.join(", ")),
    }
}
