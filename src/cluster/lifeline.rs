//! What joins a process to its supervisor: a socket in the place of standard input.
//!
//! It has no address that could be taken or guessed. When the supervisor ends, however it does, the
//! process learns of it there and ends too; the supervisor hears of the first commit, and so can tell
//! a cluster that gets on from one that fails at the same place again and again.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::TICK;
use crate::engine::Counters;

/// The process's end.
pub struct Lifeline(UnixStream);

/// The supervisor's end.
pub(super) struct Watched {
    socket: UnixStream,
    has_committed: bool,
}

impl Lifeline {
    /// The lifeline that this process was started with.
    ///
    /// # Errors
    /// When standard input is none.
    pub fn of_process() -> io::Result<Self> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.set_read_timeout(Some(TICK))?;
        Ok(Lifeline(socket))
    }

    /// From now on tells the supervisor once anything is committed, and sets `stop` when it has ended.
    pub fn hold(self, counters: Arc<Counters>, stop: Arc<AtomicBool>) {
        let named = thread::Builder::new().name("lifeline".to_owned());
        let started = named.spawn(move || self.held(&counters, &stop));
        started.expect("the operating system can start a thread");
    }

    fn held(mut self, counters: &Counters, stop: &AtomicBool) {
        let mut told = false;
        // A read that times out is as good as a sleep.
        while !matches!(self.0.read(&mut [0]), Ok(0)) {
            // Only once: the supervisor reads it when all have ended, and the socket would fill.
            if !told && Counters::get(&counters.commits) > 0 {
                told = true;
                // Should the supervisor have ended, the next read tells.
                let _ = self.0.write_all(&[1]);
            }
        }
        tracing::warn!("the supervisor has ended: ending too");
        stop.store(true, Ordering::Relaxed);
    }
}

impl Watched {
    /// A new lifeline: the supervisor's end, and the standard input of the process.
    pub fn new() -> io::Result<(Self, Stdio)> {
        let (socket, other) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let watched = Watched {
            socket,
            has_committed: false,
        };
        Ok((watched, Stdio::from(OwnedFd::from(other))))
    }

    /// Whether the process has committed anything since it was started.
    pub fn has_committed(&mut self) -> bool {
        while matches!(self.socket.read(&mut [0; 64]), Ok(1..)) {
            self.has_committed = true;
        }
        self.has_committed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_told_and_the_end_of_the_supervisor_stops() {
        let (mut watched, _) = Watched::new().unwrap();
        let (ours, its) = UnixStream::pair().unwrap();
        watched.socket = ours;
        watched.socket.set_nonblocking(true).unwrap();
        its.set_read_timeout(Some(TICK)).unwrap();
        let (counters, stop) = (
            Arc::new(Counters::default()),
            Arc::new(AtomicBool::new(false)),
        );
        Lifeline(its).hold(Arc::clone(&counters), Arc::clone(&stop));
        thread::sleep(3 * TICK);
        assert!(!watched.has_committed());
        Counters::add(&counters.commits, 7);
        while !watched.has_committed() {
            thread::sleep(TICK);
        }
        assert!(!stop.load(Ordering::Relaxed));
        drop(watched);
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(TICK);
        }
    }
}
