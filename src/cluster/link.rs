//! A connection between two processes, as timely uses it for one dataflow.
//!
//! Timely's threads panic at an error of a connection. So here an error is none: it is reported,
//! nothing more is read or written, and the dataflow ends by the report.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use timely::communication::allocator::zero_copy::stream::Stream;

use super::line::reason;
use super::{ClusterError, TICK};
use crate::dataflow::Threads;

/// How long the other process may be at the dataflow's end before this one. Should the other have
/// been killed, process 0 hears of it at once; this is for when all but the link is in order.
const AHEAD_MAX: Duration = Duration::from_secs(20);

pub(super) struct Link {
    process: usize,
    socket: TcpStream,
    threads: Threads,
    state: Arc<State>,
    is_broken: bool,
}

/// What all links of a process have in common.
#[derive(Default)]
pub(super) struct State {
    /// Set when this process's workers have come to the end.
    pub over: AtomicBool,
    /// Bytes that have gone out and come in.
    pub sent: AtomicU64,
    pub received: AtomicU64,
}

impl Link {
    pub fn new(process: usize, socket: TcpStream, threads: Threads, state: Arc<State>) -> Self {
        Link {
            process,
            socket,
            threads,
            state,
            is_broken: false,
        }
    }

    fn report(&self, reason: String) {
        let process = self.process;
        let lost = ClusterError::Lost { process, reason };
        self.threads.report(lost.into());
    }

    /// Waits for this process's workers to come to the end that the other's have reached. If they
    /// do not, this never returns: the thread that reads must not, for it would panic.
    fn wait_for_the_end(&self) {
        let since = Instant::now();
        while !self.state.over.load(Ordering::Acquire) {
            if since.elapsed() > AHEAD_MAX && !self.threads.failed() {
                self.report("it has closed a connection".to_owned());
            }
            if self.threads.failed() {
                loop {
                    thread::park();
                }
            }
            thread::sleep(TICK);
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => break,
                Ok(read) => {
                    self.state
                        .received
                        .fetch_add(read as u64, Ordering::Relaxed);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if !self.state.over.load(Ordering::Acquire) {
                        self.report(reason(&error));
                    }
                    break;
                }
            }
        }
        self.wait_for_the_end();
        Ok(0)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_broken {
            match self.socket.write(bytes) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    self.is_broken = true;
                    self.report(reason(&error));
                }
                // Whoever writes all of something tries an interrupted write again.
                written => {
                    let bytes = *written.as_ref().unwrap_or(&0);
                    self.state.sent.fetch_add(bytes as u64, Ordering::Relaxed);
                    return written;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Link {
            process: self.process,
            socket: self.socket.try_clone()?,
            threads: self.threads.clone(),
            state: Arc::clone(&self.state),
            is_broken: self.is_broken,
        })
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // Of a broken connection there is nothing left to shut down.
        let _ = self.socket.shutdown(how);
        Ok(())
    }
}
