//! Sources of the kernels and of the emulator, as they are compiled: with the planted bug in place
//! when a test plants one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::planted;

/// Where the kernels lie.
pub(super) fn cuda_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda")
}

/// Where the emulator lies.
pub(super) fn emulator_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("emulator")
}

/// A source file and everything that it includes by name, by file name.
///
/// # Errors
/// A file that cannot be read or a planted bug that does not fit, in words.
pub(super) fn with_includes(file: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    collect(file, &mut found)?;
    Ok(found)
}

fn collect(file: &Path, found: &mut BTreeMap<String, String>) -> Result<(), String> {
    let name = file
        .file_name()
        .expect("a file")
        .to_string_lossy()
        .into_owned();
    if found.contains_key(&name) {
        return Ok(());
    }
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let text = planted::plant(&name, text)?;
    let included: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("#include \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .collect();
    found.insert(name, text);
    for name in included {
        let folders = [cuda_folder(), emulator_folder()];
        let path = folders
            .map(|folder| folder.join(&name))
            .into_iter()
            .find(|p| p.exists());
        collect(
            &path.ok_or_else(|| format!("{name} is included and does not exist"))?,
            found,
        )?;
    }
    Ok(())
}

/// The emulator's own translation units.
///
/// # Errors
/// When its folder cannot be read.
pub(super) fn emulator_units() -> io::Result<Vec<PathBuf>> {
    let mut units = Vec::new();
    for entry in fs::read_dir(emulator_folder())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "cpp") {
            units.push(path);
        }
    }
    units.sort();
    Ok(units)
}
