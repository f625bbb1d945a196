//! Compiles the emulator and the kernels with g++, once for each content of their sources.
//!
//! Results lie in the `target` folder that the test itself lies in, named by a hash of all that
//! went into them, so nothing is ever stale and two test processes may build at once.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::{env, fs, io, thread};

use super::source;

/// No contraction into fused multiply-adds: a machine with them would get other bits. No unique
/// symbols and hidden visibility: two kernel files may define one name differently.
const FLAGS: &[&str] = &[
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-ffp-contract=off",
    "-fno-gnu-unique",
];

/// The emulator as a shared library.
///
/// # Errors
/// What is missing, or what the compiler says.
pub(super) fn emulator() -> Result<PathBuf, String> {
    let units = source::emulator_units().map_err(|e| format!("kernels/emulator: {e}"))?;
    let objects = in_parallel(&units, |unit| {
        let sources = source::with_includes(unit)?;
        build(unit, "o", &sources, |to, folder| {
            compiler()
                .arg("-c")
                .arg(folder.join(name_of(unit)))
                .arg("-o")
                .arg(to)
                .output()
        })
    })?;
    let names = objects
        .iter()
        .map(|o| (o.display().to_string(), String::new()))
        .collect();
    build(Path::new("emulator"), "so", &names, |to, _| {
        compiler()
            .arg("-shared")
            .args(&objects)
            .arg("-pthread")
            .arg("-o")
            .arg(to)
            .output()
    })
}

/// The kernels of one file as a shared library that needs the emulator's.
///
/// # Errors
/// What is missing, or what the compiler says.
pub(super) fn kernels(file: &str) -> Result<PathBuf, String> {
    let mut unit = source::cuda_folder().join(file);
    if !unit.exists() {
        unit = source::emulator_folder().join(file);
    }
    build(&unit, "so", &source::with_includes(&unit)?, |to, folder| {
        compiler()
            .args(["-shared", "-fvisibility=hidden", "-x", "c++"])
            .arg(folder.join(file))
            .arg("-o")
            .arg(to)
            .output()
    })
}

fn compiler() -> Command {
    let mut command = Command::new(env::var_os("CXX").unwrap_or_else(|| "g++".into()));
    command.args(FLAGS);
    command
}

/// The file that `compile` makes of `sources`, made now if there is none. `compile` gets the path
/// to write and a folder that holds the sources.
fn build(
    unit: &Path,
    extension: &str,
    sources: &BTreeMap<String, String>,
    compile: impl FnOnce(&Path, &Path) -> io::Result<process::Output>,
) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    (FLAGS, sources, env::var_os("CXX")).hash(&mut hasher);
    let name = format!("{}-{:016x}", name_of(unit), hasher.finish());
    let folder = output_folder();
    let made = folder.join(format!("{name}.{extension}"));
    if made.exists() {
        return Ok(made);
    }
    let scratch = folder.join(format!(
        "{name}.{}.{:?}",
        process::id(),
        thread::current().id()
    ));
    let failed = |e: io::Error| format!("{}: {e}", scratch.display());
    fs::create_dir_all(&scratch).map_err(failed)?;
    for (name, text) in sources.iter().filter(|(_, text)| !text.is_empty()) {
        fs::write(scratch.join(name), text).map_err(failed)?;
    }
    let partial = scratch.join("made");
    run(compile(&partial, &scratch), &name)?;
    fs::rename(&partial, &made).map_err(failed)?;
    fs::remove_dir_all(&scratch).map_err(failed)?;
    Ok(made)
}

fn run(output: io::Result<process::Output>, what: &str) -> Result<(), String> {
    let output = output.map_err(|error| {
        format!(
            "the tests of the CUDA kernels run them on the CPU, compiled by g++, which does not \
             start ({error}); install it (Debian: apt-get install g++) or name another compiler in CXX"
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{what} does not compile:\n{}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

fn name_of(unit: &Path) -> String {
    unit.file_name()
        .expect("a file")
        .to_string_lossy()
        .into_owned()
}

/// Beside the folder of the running test.
fn output_folder() -> PathBuf {
    let test = env::current_exe().expect("a running program has a path");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("target/profile/deps/test");
    profile.join("emulator")
}

/// `work` on every item, on as many threads as there are cores.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(share)
            .map(|chunk| scope.spawn(|| chunk.iter().map(&work).collect::<Result<Vec<R>, _>>()))
            .collect();
        let mut results = Vec::with_capacity(items.len());
        for thread in threads {
            results.extend(thread.join().expect("a compiling thread does not panic")?);
        }
        Ok(results)
    })
}
