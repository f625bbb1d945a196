//! The kernels' tests catch every planted bug.
//!
//! Each bug is a run of this test program of its own, which compiles the kernels with the bug in
//! place and runs the tests that the list names: they must fail. Nothing is learnt from a bug that
//! does not compile or no longer fits the source, so those fail here.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::planted::{self, Bug, VARIABLE};
use super::source;

/// How long a bug's tests may run; an endless loop is no way to be caught.
const LIMIT: Duration = Duration::from_secs(120);

/// Bugs tried at a time: a compiler takes a core and a few hundred megabytes.
const AT_A_TIME: usize = 2;

#[test]
fn every_planted_bug_fits_its_source_in_one_place() {
    let bugs = planted::list().expect("lists of the right form");
    let stale: Vec<String> = bugs.iter().filter_map(misfit).collect();
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

fn misfit(bug: &Bug) -> Option<String> {
    let path = source::cuda_folder().join(&bug.file);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
    text.and_then(|text| bug.planted(&text)).err()
}

#[test]
fn fault_every_planted_bug_is_caught() {
    if env::var_os(VARIABLE).is_some() {
        return; // this is a bug's own run
    }
    let bugs = Mutex::new(
        planted::list()
            .expect("lists of the right form")
            .into_iter(),
    );
    let missed = Mutex::new(Vec::new());
    let next = || bugs.lock().expect("no test panics here").next();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(bug) = next() {
                    let verdict = try_bug(&bug);
                    if let Err(why) = verdict {
                        missed
                            .lock()
                            .expect("no test panics here")
                            .push(format!("{}: {why}", bug.name));
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().expect("no test panics here");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Runs the tests that must fail with a bug.
fn try_bug(bug: &Bug) -> Result<(), String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let started = Instant::now();
    let mut child = Command::new(program)
        .args([&bug.tests, "--test-threads=2"])
        .env(VARIABLE, &bug.name)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut stdout = child.stdout.take().expect("a pipe");
    let reader = thread::spawn(move || {
        let mut output = String::new();
        stdout.read_to_string(&mut output).map(|_| output)
    });
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if started.elapsed() > LIMIT {
            child.kill().map_err(|error| error.to_string())?;
            child.wait().map_err(|error| error.to_string())?;
            return Err(format!("its tests still run after {LIMIT:?}"));
        }
        thread::sleep(Duration::from_millis(20));
    };
    let output = reader
        .join()
        .expect("reading does not panic")
        .map_err(|error| error.to_string())?;
    println!(
        "{}: {:.1} s, {}",
        bug.name,
        started.elapsed().as_secs_f32(),
        reason(&output)
    );
    for sign in [
        "running 0 tests",
        "does not compile",
        "stands in",
        "is called",
    ] {
        if output.contains(sign) {
            return Err(output);
        }
    }
    match status.success() {
        true => Err(format!("tests {:?} pass with it", bug.tests)),
        false => Ok(()),
    }
}

/// The first line that a failed test says.
fn reason(output: &str) -> &str {
    let mut lines = output
        .lines()
        .skip_while(|line| !line.contains("panicked at"));
    lines.nth(1).unwrap_or("no test failed")
}
