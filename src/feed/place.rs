//! How far a feed has come: what its commits hold, and `--resume` starts from.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use super::lines::Done;
use super::plan::File;

const VERSION: u8 = 1;

/// The position of a feed's commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    version: u8,
    /// Whether all files have been read.
    complete: bool,
    /// How many files come before this one.
    pub(crate) index: usize,
    /// The file's name.
    pub(crate) path: String,
    /// The hash of the names of the files up to this one.
    names: String,
    /// Size in bytes and time of the last change in milliseconds since 1970; `None` for pipes.
    stamp: Option<(u64, u64)>,
    /// How much of the file is done.
    pub(crate) done: Done,
}

/// Why a feed cannot be resumed. `Display` says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// No feed of this name has committed anything.
    #[error("there is no feed to resume: feed without --resume")]
    Nothing,
    /// The last commit is of another program or version.
    #[error("the last feed's position does not read ({0}): feed without --resume")]
    Damaged(String),
    /// Other files were fed.
    #[error(
        "the feed was interrupted at {path}, which does not come after the same files here: \
             resume it with the same paths, or feed without --resume"
    )]
    Inputs {
        /// The file at which the feed was interrupted.
        path: String,
    },
    /// The file is another one.
    #[error("{path} has changed since the feed was interrupted: feed without --resume")]
    Changed {
        /// The file at which the feed was interrupted.
        path: String,
    },
}

impl Place {
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and strings can always be written as JSON")
    }

    /// The place after all files.
    pub(crate) fn completed(&self) -> Self {
        Place {
            complete: true,
            ..self.clone()
        }
    }

    /// Whether all files have been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The place in `files` that `position` holds.
    ///
    /// # Errors
    /// [`ResumeError`] when it is no place in these files.
    pub(crate) fn resume(position: Option<&[u8]>, files: &[File]) -> Result<Self, ResumeError> {
        let position = position.ok_or(ResumeError::Nothing)?;
        let place: Place = serde_json::from_slice(position)
            .map_err(|error| ResumeError::Damaged(error.to_string()))?;
        if place.version != VERSION {
            let version = format!("version {}", place.version);
            return Err(ResumeError::Damaged(version));
        }
        if place.complete {
            return Ok(place);
        }
        let mut route = Route::default();
        let here = files
            .iter()
            .take(place.index + 1)
            .map(|file| route.enter(file, Done::default()))
            .last();
        let path = place.path.clone();
        match here {
            Some(here) if here.names != place.names || here.index != place.index => {
                Err(ResumeError::Inputs { path })
            }
            Some(here) if here.stamp != place.stamp => Err(ResumeError::Changed { path }),
            Some(_) => Ok(place),
            None => Err(ResumeError::Inputs { path }),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.done.lines)
    }
}

/// Follows a feed through its files, to know its place.
#[derive(Default)]
pub(crate) struct Route {
    names: blake3::Hasher,
    files: usize,
}

impl Route {
    /// The place in the next file where so much of it is done.
    pub(crate) fn enter(&mut self, file: &File, done: Done) -> Place {
        let path = file.name();
        self.names.update(path.as_bytes());
        self.names.update(&[0]);
        self.files += 1;
        Place {
            version: VERSION,
            complete: false,
            index: self.files - 1,
            path,
            names: self.names.finalize().to_hex()[..16].to_string(),
            stamp: file.stamp.map(|(size, modified)| {
                let since = modified.duration_since(std::time::UNIX_EPOCH);
                (size, since.map_or(0, |since| since.as_millis() as u64))
            }),
            done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn files(names: &[&str]) -> Vec<File> {
        let file = |name: &&str| File {
            path: name.into(),
            named: true,
            stamp: Some((5, UNIX_EPOCH + Duration::from_secs(9))),
        };
        names.iter().map(file).collect()
    }

    fn place(names: &[&str], lines: u64) -> Place {
        let mut route = Route::default();
        let place = files(names)
            .iter()
            .map(|file| route.enter(file, Done::default()))
            .last();
        let done = Done {
            lines,
            bytes: 10 * lines,
        };
        Place {
            done,
            ..place.unwrap()
        }
    }

    #[test]
    fn a_place_is_found_again_in_the_same_files_and_more() {
        let place = place(&["a", "b"], 7);
        let resume = |names| Place::resume(Some(&place.encode()), &files(names));
        assert_eq!(resume(&["a", "b"]).unwrap(), place);
        assert_eq!(resume(&["a", "b", "c"]).unwrap(), place);
        for other in [
            &["b"][..],
            &["a"],
            &["a", "c"],
            &["c", "b"],
            &["b", "a"],
            &[],
        ] {
            let error = resume(other).unwrap_err();
            assert!(matches!(error, ResumeError::Inputs { .. }), "{other:?}");
        }
    }

    #[test]
    fn another_file_of_the_same_name_is_no_place_to_resume() {
        let place = place(&["a"], 7);
        let mut files = files(&["a"]);
        files[0].stamp = Some((6, UNIX_EPOCH));
        let error = Place::resume(Some(&place.encode()), &files).unwrap_err();
        assert!(matches!(error, ResumeError::Changed { .. }));
    }

    #[test]
    fn without_a_position_there_is_nothing_to_resume() {
        assert!(matches!(
            Place::resume(None, &[]),
            Err(ResumeError::Nothing)
        ));
        for damaged in [&b"{}"[..], b"\x01", br#"{"version":2}"#] {
            let error = Place::resume(Some(damaged), &[]).unwrap_err();
            assert!(matches!(error, ResumeError::Damaged(_)));
        }
    }

    /// Version 1 as written by the first release: a feed may be resumed by a later one.
    #[test]
    fn the_fixture_of_version_1_still_reads() {
        let fixture = br#"{"version":1,"complete":false,"index":1,"path":"b","names":"NAMES","stamp":[5,9000],"done":{"lines":7,"bytes":700}}"#;
        let place: Place = serde_json::from_slice(fixture).unwrap();
        assert_eq!(
            (place.index, place.done.lines, place.stamp),
            (1, 7, Some((5, 9000)))
        );
        assert_eq!(place.encode(), fixture);
    }
}
