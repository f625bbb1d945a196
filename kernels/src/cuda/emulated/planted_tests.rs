//! The kernels' tests catch every planted bug.
//!
//! Each bug is a run of this test program of its own, which compiles the kernels with the bug in
//! place and runs the tests that the list names: one must fail. Nothing is learnt from a bug that
//! does not compile or no longer fits the source, so those fail here.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::planted::{self, Bug, VARIABLE};
use super::source;

/// How long a bug's tests may run; an endless loop is no way to be caught.
const LIMIT: Duration = Duration::from_secs(300);

/// Bugs tried at a time: a compiler takes a core and a few hundred megabytes.
const AT_A_TIME: usize = 2;

/// What a run says that has not shown anything about the tests.
const NO_VERDICT: &[&str] = &[
    "running 0 tests",
    "does not compile",
    "stands in",
    "is called",
];

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
    let try_all = || {
        while let Some(bug) = next() {
            if let Err(why) = try_bug(&bug) {
                let mut missed = missed.lock().expect("no test panics here");
                missed.push(format!("{}: {why}", bug.name));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(try_all);
        }
    });
    let missed = missed.into_inner().expect("no test panics here");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Runs the tests of which one must fail with a bug, until one does.
fn try_bug(bug: &Bug) -> Result<(), String> {
    let started = Instant::now();
    let mut run = spawn(bug).map_err(|error| error.to_string())?;
    let mut stderr = run.stderr.take().expect("a pipe");
    let said = thread::spawn(move || {
        let mut said = Vec::new();
        stderr.read_to_end(&mut said).map(|_| said)
    });
    let printed = until_a_failure(&mut run, started + LIMIT);
    let ended = run.kill().and_then(|()| run.wait());
    ended.map_err(|error| error.to_string())?;
    let said = said
        .join()
        .expect("reading does not panic")
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&said);
    println!(
        "{}: {:.1} s, {}",
        bug.name,
        started.elapsed().as_secs_f32(),
        reason(&said)
    );
    verdict(bug, &printed?, &said)
}

fn spawn(bug: &Bug) -> std::io::Result<Child> {
    Command::new(env::current_exe()?)
        .args([&bug.tests, "--test-threads=2", "--nocapture"])
        .env(VARIABLE, &bug.name)
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// What the run prints until a test has failed or all have passed.
fn until_a_failure(run: &mut Child, limit: Instant) -> Result<String, String> {
    let stdout = BufReader::new(run.stdout.take().expect("a pipe"));
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = stdout.lines().map_while(Result::ok);
        lines.try_for_each(|line| send.send(line))
    });
    let mut printed = String::new();
    loop {
        match lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
            Ok(line) => printed += &format!("{line}\n"),
            Err(RecvTimeoutError::Disconnected) => return Ok(printed),
            Err(RecvTimeoutError::Timeout) => return Err(format!("runs for {LIMIT:?}")),
        }
        if printed.contains("FAILED") {
            return Ok(printed);
        }
    }
}

fn verdict(bug: &Bug, printed: &str, said: &str) -> Result<(), String> {
    let no_verdict = |sign: &&str| printed.contains(*sign) || said.contains(*sign);
    if NO_VERDICT.iter().any(no_verdict) {
        return Err(format!("{printed}{said}"));
    }
    match printed.contains("FAILED") {
        true => Ok(()),
        false => Err(format!("tests {:?} pass with it", bug.tests)),
    }
}

/// The first line that a failed test says.
fn reason(said: &str) -> &str {
    let mut lines = said
        .lines()
        .skip_while(|line| !line.contains("panicked at"));
    lines.nth(1).unwrap_or("no test failed")
}
