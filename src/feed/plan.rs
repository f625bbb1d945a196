//! Which files a feed reads, in which order: folders are walked, sorted by name.

use std::fmt::Display;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::{DirEntry, WalkDir};

use super::Failure;

/// A file to be read.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// The file's path, which begins with the path that was given; `-` for standard input.
    pub(crate) path: PathBuf,
    /// Whether this very path was given, not a folder that holds it.
    pub(crate) named: bool,
    /// Size in bytes and time of the last change; `None` for pipes.
    pub(crate) stamp: Option<(u64, SystemTime)>,
}

impl File {
    /// The path as it is shown and as ids are made from it: parts joined by `/`, without `.`.
    pub(crate) fn name(&self) -> String {
        let parts = self.path.components().filter_map(|part| match part {
            std::path::Component::RootDir => Some("".into()),
            std::path::Component::CurDir => None,
            other => Some(other.as_os_str().to_string_lossy()),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// Whether the file's bytes come as they are written, with no end to be known.
    pub(crate) fn is_pipe(&self) -> bool {
        self.stamp.is_none()
    }
}

/// What the given paths hold.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The files to be read, in order.
    pub(crate) files: Vec<File>,
    /// Hidden files and folders that were passed over.
    pub(crate) hidden: u64,
    /// Paths that cannot be read.
    pub(crate) failures: Vec<Failure>,
}

impl Plan {
    /// The files among `inputs` and within its folders; links are followed, each loop once.
    pub(crate) fn new(inputs: &[PathBuf]) -> Self {
        let mut plan = Plan::default();
        for input in inputs {
            if input.as_os_str() == "-" {
                plan.files.push(File {
                    path: input.clone(),
                    named: true,
                    stamp: None,
                });
                continue;
            }
            match std::fs::metadata(input) {
                Ok(metadata) if metadata.is_dir() => plan.walk(input),
                Ok(metadata) => plan.add(input.clone(), true, &metadata),
                Err(error) => plan.fail(input, &error),
            }
        }
        plan
    }

    /// Bytes of the files from the `first` on, as they are stored; `None` when one is a pipe.
    pub(crate) fn bytes(&self, first: usize) -> Option<u64> {
        let sizes = self.files.iter().skip(first);
        sizes.map(|file| Some(file.stamp?.0)).sum()
    }

    fn walk(&mut self, folder: &Path) {
        let mut entries = WalkDir::new(folder)
            .follow_links(true)
            .sort_by_file_name()
            .into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) if is_hidden(&entry) => {
                    self.hidden += 1;
                    if entry.file_type().is_dir() {
                        entries.skip_current_dir();
                    }
                }
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => match entry.metadata() {
                    Ok(metadata) => self.add(entry.into_path(), false, &metadata),
                    Err(error) => self.fail(folder, &error),
                },
                // A link to a folder that holds it: its files come by their own path.
                Err(error) if error.loop_ancestor().is_some() => {}
                Err(error) => {
                    let reason = error
                        .io_error()
                        .map_or(error.to_string(), |e| e.to_string());
                    self.fail(error.path().unwrap_or(folder), &reason);
                }
            }
        }
    }

    fn fail(&mut self, path: &Path, reason: &dyn Display) {
        let failure = Failure::new(&path.to_string_lossy(), reason);
        self.failures.push(failure);
    }

    fn add(&mut self, path: PathBuf, named: bool, metadata: &Metadata) {
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let stamp = metadata.is_file().then_some((metadata.len(), modified));
        // A pipe or device found in a folder may never end; one that is named is meant.
        if named || stamp.is_some() {
            self.files.push(File { path, named, stamp });
        }
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn folders_are_walked_in_order_without_hidden_files_and_loops() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(".root");
        fs::create_dir_all(root.join("b/.git")).unwrap();
        for name in ["c.md", "a.txt", "b/z", "b/.hidden", "b/.git/config"] {
            fs::write(root.join(name), "text").unwrap();
        }
        std::os::unix::fs::symlink(&root, root.join("b/loop")).unwrap();
        std::os::unix::fs::symlink(root.join("c.md"), root.join("d")).unwrap();

        let plan = Plan::new(&[root.clone(), root.join("c.md")]);
        let names: Vec<_> = plan
            .files
            .iter()
            .map(|file| {
                (
                    file.path.strip_prefix(&root).unwrap().to_str().unwrap(),
                    file.named,
                )
            })
            .collect();
        assert_eq!(
            names,
            [
                ("a.txt", false),
                ("b/z", false),
                ("c.md", false),
                ("d", false),
                ("c.md", true)
            ]
        );
        assert_eq!((plan.hidden, plan.failures.len()), (2, 0));
        assert_eq!((plan.bytes(0), plan.bytes(4)), (Some(20), Some(4)));
    }

    #[test]
    fn what_is_missing_is_a_failure_and_the_rest_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let plan = Plan::new(&["/missing/file".into(), file.path().into(), "-".into()]);
        assert_eq!(plan.files.len(), 2);
        assert_eq!(plan.bytes(0), None);
        let failure = plan.failures[0].to_string();
        assert!(
            failure.starts_with("/missing/file: No such file"),
            "{failure}"
        );
    }

    #[test]
    fn names_are_the_paths_given_without_their_dots() {
        for (path, name) in [
            ("./a//b.md", "a/b.md"),
            ("/a/./b", "/a/b"),
            ("../a", "../a"),
            ("-", "-"),
        ] {
            let file = File {
                path: path.into(),
                named: true,
                stamp: None,
            };
            assert_eq!(file.name(), name);
        }
    }
}
