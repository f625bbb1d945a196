//! Files for parsers that read files: in memory where the system has such a place.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread_local;

use tempfile::TempDir;

const IN_MEMORY: &str = "/dev/shm";

thread_local! {
    static DIRECTORY: TempDir = make();
}

fn make() -> TempDir {
    let in_memory = tempfile::tempdir_in(IN_MEMORY);
    in_memory
        .or_else(|_| tempfile::tempdir())
        .expect("a scratch directory")
}

/// This thread's scratch directory.
pub fn directory() -> PathBuf {
    DIRECTORY.with(|directory| directory.path().to_owned())
}

/// Calls `read` with a file of this name that holds these bytes, in a directory of such files.
pub fn with_file(name: &str, bytes: &[u8], read: impl FnOnce(&Path)) {
    let path = directory().join(name);
    fs::create_dir_all(path.parent().expect("a file in a directory")).expect("a scratch directory");
    fs::write(&path, bytes).expect("a scratch file");
    read(&path);
}
