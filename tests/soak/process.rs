//! A process of the engine, to be signalled and watched.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::site::{Site, children_of};

/// A process, killed when it is dropped.
pub struct Process {
    child: Child,
    said: PathBuf,
    /// When it was started.
    pub started: Instant,
    /// What the test has done to it, if that ends it.
    pub doom: Option<Doom>,
}

/// What ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// kill -9.
    Killed,
    /// SIGTERM: it commits what it has, and ends well.
    Terminated,
    /// SIGTERM, and kill -9 of one of its processes before it had ended.
    Bereft,
    /// Another has taken its place, or its transaction was given up by the broker.
    Fenced,
}

impl Process {
    /// Starts the binary; what it says goes into a file of the site, behind what is there.
    pub fn start(site: &Site, said: &str, args: &[&str]) -> Self {
        let said = site.path(said);
        Process {
            child: site.spawn_into(&said, args),
            said,
            started: Instant::now(),
            doom: None,
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, which the process may not live to get.
    pub fn signal(&self, signal: &str) {
        signal_to(self.child.id(), signal);
    }

    /// The processes that it has started.
    pub fn children(&self) -> Vec<u32> {
        children_of(self.child.id())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// How it ended, waiting for it.
    ///
    /// # Panics
    /// If it goes on for longer.
    pub fn end_within(&mut self, patience: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                start.elapsed() < patience,
                "it goes on: {}",
                self.last_words()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The most memory that it and its children have taken, in bytes.
    pub fn memory_peak(&self) -> u64 {
        let all = self.children().into_iter().chain([self.child.id()]);
        all.filter_map(memory_peak).max().unwrap_or(0)
    }

    /// All that it has said, with its predecessors.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.said).unwrap()).into_owned()
    }

    /// The last lines that it said.
    pub fn last_words(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Whether it ended as what was done to it explains.
    pub fn ended_well(&self, status: ExitStatus) -> bool {
        let said_last = |text: &str| self.last_words().contains(text);
        match self.doom {
            Some(Doom::Killed) => status.signal() == Some(9),
            Some(Doom::Terminated) => status.success(),
            Some(Doom::Bereft) => status.success() || said_last("while it was asked to end"),
            Some(Doom::Fenced) => status.code() == Some(77) && said_last("has taken over"),
            None => false,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that may be gone.
pub fn signal_to(id: u32, signal: &str) {
    let args = [format!("-{signal}"), id.to_string()];
    let sent = Command::new("kill").args(args).output();
    sent.expect("kill is there");
}

/// The most memory that a process has taken, in bytes, while it is there.
fn memory_peak(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().unwrap();
    Some(kib << 10)
}
