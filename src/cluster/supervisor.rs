//! Keeps the processes of a cluster running: when one ends before its time, all are started again.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::TICK;
use super::lifeline::Watched;

/// How long processes may take to notice that another has ended, and to end too.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait before the first further start; after each that commits nothing, twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// Starts in a row without a commit, after which it is of no use to try again.
const VAIN_STARTS_MAX: u32 = 6;
/// A process that is shut out sooner than this, as the one before it was, has a rival that is started
/// again too. A broker shuts a writer out as well when its transaction stays open for a minute, as
/// over an outage: that passes with the next start, and does not come so soon.
const RIVAL_TIME: Duration = Duration::from_secs(60);

/// What is supervised.
pub trait Processes {
    /// The commands of one start, by the numbers of their processes.
    ///
    /// # Errors
    /// When there can be none.
    fn commands(&mut self) -> io::Result<Vec<(usize, Command)>>;

    /// Whether a process that ended with this code would end so again.
    fn is_final(&self, code: i32) -> bool;

    /// Whether a process that ended with this code waits for something outside, which may take any
    /// time.
    fn waits(&self, code: i32) -> bool;

    /// Whether a process ended with this code because another did.
    fn is_consequence(&self, code: i32) -> bool;

    /// Whether a process ended with this code because it may not write any more: most likely another
    /// one does, which no supervisor here has started.
    fn is_shut_out(&self, code: i32) -> bool;
}

/// Why the supervisor has given up.
#[derive(Debug, thiserror::Error)]
pub enum GaveUp {
    /// A process cannot be started.
    #[error("a process of the cluster cannot be started: {0}")]
    Start(#[from] io::Error),
    /// They end again and again.
    #[error("{text}")]
    Ended {
        /// What happened, for a person.
        text: String,
        /// The exit code of the process that ended first, or 1 if a signal ended it.
        code: u8,
    },
}

/// Starts the processes, and again whenever one has ended before its time, until all end well.
///
/// When `stop` is set, the first of them is asked to end, which ends all of them.
///
/// # Errors
/// [`GaveUp`] when a process ends in a way that starting it again would not change, several starts
/// in a row have not committed anything, or two in a row were shut out by another process: it is
/// left to that one, or both would go on taking turns.
pub fn supervise(processes: &mut impl Processes, stop: &AtomicBool) -> Result<(), GaveUp> {
    let (mut vain_starts, mut backoff) = (0, BACKOFF_MIN);
    let mut was_shut_out = false;
    loop {
        let since = Instant::now();
        let mut running = Running::start(processes)?;
        let Some(ended) = running.wait(processes, stop) else {
            return Ok(());
        };
        let has_committed = running.has_committed();
        drop(running);
        if has_committed {
            (vain_starts, backoff) = (0, BACKOFF_MIN);
        } else if !ended.code.is_some_and(|code| processes.waits(code)) {
            vain_starts += 1;
        }
        if stop.load(Ordering::Relaxed) {
            return Err(ended.gave_up("while it was asked to end"));
        }
        if ended.code.is_some_and(|code| processes.is_final(code)) {
            return Err(ended.gave_up("and would again"));
        }
        let is_shut_out = ended.code.is_some_and(|code| processes.is_shut_out(code));
        if is_shut_out && was_shut_out && since.elapsed() < RIVAL_TIME {
            return Err(ended.gave_up("as the start before, and leaves it to the other process"));
        }
        was_shut_out = is_shut_out;
        if vain_starts == VAIN_STARTS_MAX {
            let vain = format!("and {vain_starts} starts in a row have committed nothing");
            return Err(ended.gave_up(&vain));
        }
        tracing::warn!(
            process = ended.process,
            how = ended.how,
            again_in_ms = backoff.as_millis() as u64,
            "a process of the cluster has ended: starting all again"
        );
        wait_unless(stop, backoff);
        backoff = (2 * backoff).min(BACKOFF_MAX);
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

fn wait_unless(stop: &AtomicBool, how_long: Duration) {
    let since = Instant::now();
    while since.elapsed() < how_long && !stop.load(Ordering::Relaxed) {
        thread::sleep(TICK);
    }
}

/// A process that has ended before its time.
struct Ended {
    process: usize,
    code: Option<i32>,
    how: String,
    said: Option<String>,
}

impl Ended {
    fn gave_up(&self, why: &str) -> GaveUp {
        let said = self
            .said
            .as_ref()
            .map_or_else(String::new, |said| format!(": {said}"));
        GaveUp::Ended {
            text: format!("process {} {}, {why}{said}", self.process, self.how),
            code: self
                .code
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(1),
        }
    }
}

/// The processes of one start; those that are left are killed when it is dropped.
struct Running(Vec<Member>);

struct Member {
    process: usize,
    child: Child,
    lifeline: Watched,
    ended: Option<ExitStatus>,
    /// Whether it was killed here, because another had failed: then it is not the cause.
    was_killed: bool,
    /// The last error that it has printed.
    said: Arc<Mutex<Option<String>>>,
    passing_on: Option<JoinHandle<()>>,
}

impl Running {
    fn start(processes: &mut impl Processes) -> io::Result<Self> {
        let mut running = Running(Vec::new());
        for (process, command) in processes.commands()? {
            running.0.push(Member::start(process, command)?);
        }
        Ok(running)
    }

    /// Waits until all have ended: the one that did before its time, or `None` if none.
    fn wait(&mut self, processes: &impl Processes, stop: &AtomicBool) -> Option<Ended> {
        let (mut asked, mut failed_since) = (0, None);
        while self.are_running() {
            if stop.load(Ordering::Relaxed) {
                asked = self.ask_to_end(asked);
            }
            if self.0.iter().any(Member::has_failed) {
                let since = failed_since.get_or_insert_with(Instant::now);
                if since.elapsed() > GRACE {
                    self.0.iter_mut().for_each(Member::kill);
                }
            }
            thread::sleep(TICK);
        }
        self.0.iter_mut().for_each(Member::hear_all);
        let failed = || self.0.iter().filter(|it| it.has_failed());
        let is_cause = |it: &&Member| !it.code().is_some_and(|code| processes.is_consequence(code));
        failed()
            .find(is_cause)
            .or_else(|| failed().next())
            .map(Member::how)
    }

    /// Whether any still runs, after all have been looked at.
    fn are_running(&mut self) -> bool {
        let running = self.0.iter_mut().map(Member::is_running);
        running.fold(false, |any, this| any | this)
    }

    /// Asks the first to end, and once it has ended, those that have not heard of it; of the
    /// processes so many have been asked before.
    fn ask_to_end(&self, asked: usize) -> usize {
        let all = self.0.len();
        let to_ask = match self.0[0].ended {
            None => 1,
            Some(_) => all,
        };
        self.0[asked.min(to_ask)..to_ask]
            .iter()
            .for_each(Member::ask_to_end);
        asked.max(to_ask)
    }

    fn has_committed(&mut self) -> bool {
        self.0.iter_mut().any(|it| it.lifeline.has_committed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Member::kill);
    }
}

impl Member {
    fn start(process: usize, mut command: Command) -> io::Result<Self> {
        let (lifeline, stdin) = Watched::new()?;
        // A group of its own: Ctrl-C reaches the supervisor alone, which passes it on.
        command.stdin(stdin).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let said = Arc::default();
        let stderr = child.stderr.take().expect("standard error is piped");
        let last = Arc::clone(&said);
        let named = thread::Builder::new().name(format!("stderr-{process}"));
        let passing_on = named.spawn(move || pass_on(process, stderr, &last))?;
        tracing::debug!(process, id = child.id(), "started");
        Ok(Member {
            process,
            child,
            lifeline,
            ended: None,
            was_killed: false,
            said,
            passing_on: Some(passing_on),
        })
    }

    fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.is_none()
    }

    fn has_failed(&self) -> bool {
        !self.was_killed && self.ended.is_some_and(|status| !status.success())
    }

    fn code(&self) -> Option<i32> {
        self.ended.and_then(|status| status.code())
    }

    fn ask_to_end(&self) {
        if self.ended.is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // It fails only when the process has ended.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    fn kill(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            self.was_killed = true;
            self.ended = self.child.wait().ok();
        }
    }

    /// Waits until all is passed on that the process has printed.
    fn hear_all(&mut self) {
        if let Some(passing_on) = self.passing_on.take() {
            let _ = passing_on.join();
        }
    }

    fn how(&self) -> Ended {
        let status = self.ended;
        let how = match status.map(|it| (it.code(), it.signal())) {
            Some((Some(code), _)) => format!("ended with exit code {code}"),
            Some((_, Some(signal))) => format!("was killed by signal {signal}"),
            _ => "ended".to_owned(),
        };
        Ended {
            process: self.process,
            code: self.code(),
            how,
            said: self
                .said
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

/// Passes on what a process prints, a line at a time, behind its number.
fn pass_on(process: usize, stderr: impl io::Read, said: &Mutex<Option<String>>) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        // With standard error closed the exit codes still tell.
        let _ = writeln!(io::stderr(), "[{process}] {line}");
        if let Some((_, error)) = line.split_once("error:") {
            let error = error.trim_start_matches("\x1b[0m").trim().to_owned();
            *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the next of these scripts by a shell at each start, each in processes of its own.
    struct Scripts(Vec<Vec<&'static str>>);

    impl Processes for Scripts {
        fn commands(&mut self) -> io::Result<Vec<(usize, Command)>> {
            let command = |script: &str| {
                let mut command = Command::new("sh");
                command.args(["-c", script]);
                command
            };
            let scripts = self.0.remove(0);
            Ok(scripts.into_iter().map(command).enumerate().collect())
        }

        fn is_final(&self, code: i32) -> bool {
            code == 78
        }

        fn waits(&self, code: i32) -> bool {
            code == 69
        }

        fn is_consequence(&self, code: i32) -> bool {
            code == 75
        }

        fn is_shut_out(&self, code: i32) -> bool {
            code == 77
        }
    }

    fn supervised(scripts: Vec<Vec<&'static str>>) -> (Result<(), GaveUp>, usize) {
        let mut scripts = Scripts(scripts);
        let result = supervise(&mut scripts, &AtomicBool::new(false));
        (result, scripts.0.len())
    }

    #[test]
    fn all_are_started_again_until_all_end_well() {
        let (result, left) = supervised(vec![
            vec!["exit 1", "exec sleep 0.2"],
            vec!["exit 69", "kill -9 $$"],
            vec!["exit 0", "exec sleep 0.1"],
            vec!["exit 9"],
        ]);
        result.unwrap();
        assert_eq!(left, 1);
    }

    #[test]
    fn an_end_that_would_come_again_is_final_and_the_cause_is_told_rather_than_what_came_of_it() {
        let first = "echo 'error: process 1 is lost' >&2; exit 75";
        let second = "sleep 0.1; printf 'info\\nerror: no such key\\n' >&2; exit 78";
        let (result, _) = supervised(vec![vec![first, second]]);
        let error = result.unwrap_err();
        let expected = "process 1 ended with exit code 78, and would again: no such key";
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error, GaveUp::Ended { code: 78, .. }));
    }

    #[test]
    fn who_is_shut_out_twice_in_a_row_leaves_it_to_the_other() {
        let out = || vec!["echo 'error: another has taken over' >&2; exit 77"];
        let (result, left) = supervised(vec![out(), vec!["exit 1"], out(), out(), vec![]]);
        let expected = "process 0 ended with exit code 77, as the start before, and leaves it to \
                        the other process: another has taken over";
        assert_eq!(result.unwrap_err().to_string(), expected);
        assert_eq!(left, 1);
    }

    #[test]
    fn who_does_not_end_with_the_others_is_killed() {
        let (result, _) = supervised(vec![vec!["exec sleep 600", "exit 78"]]);
        assert!(matches!(
            result.unwrap_err(),
            GaveUp::Ended { code: 78, .. }
        ));
    }

    #[test]
    fn who_was_asked_to_end_and_ends_badly_is_not_started_again() {
        let stop = AtomicBool::new(true);
        let mut scripts = Scripts(vec![vec!["exit 3", "exec sleep 600"], vec![]]);
        let error = supervise(&mut scripts, &stop).unwrap_err();
        assert!(
            error.to_string().contains("while it was asked to end"),
            "{error}"
        );
        assert_eq!(scripts.0.len(), 1);
    }
}
