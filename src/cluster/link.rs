//! A connection between two processes, as timely uses it for one dataflow.
//!
//! Timely's threads panic at an error of a connection, or at an end that was not announced. So here
//! neither is told to them: it is reported, nothing more is read or written, and the dataflow ends
//! by the report.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use timely::communication::allocator::zero_copy::stream::Stream;

use super::ClusterError;
use super::frames::Frames;
use super::line::reason;
use crate::dataflow::Threads;

pub(super) struct Link {
    process: usize,
    socket: TcpStream,
    threads: Threads,
    traffic: Arc<Traffic>,
    /// What has been read.
    frames: Frames,
    is_broken: bool,
}

/// Bytes that went over all links of a process.
#[derive(Default)]
pub(super) struct Traffic {
    pub sent: AtomicU64,
    pub received: AtomicU64,
}

impl Link {
    pub fn new(process: usize, socket: TcpStream, threads: Threads, traffic: Arc<Traffic>) -> Self {
        Link {
            process,
            socket,
            threads,
            traffic,
            frames: Frames::default(),
            is_broken: false,
        }
    }

    fn report(&self, reason: String) {
        let process = self.process;
        let lost = ClusterError::Lost { process, reason };
        self.threads.report(lost.into());
    }

    /// Reports why there is nothing more to read. Never returns: the thread that reads would panic.
    fn end(&self, reason: String) -> ! {
        self.report(reason);
        loop {
            thread::park();
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(buffer) {
                Ok(0) if self.frames.are_over() => return Ok(0),
                Ok(0) => self.end(reason(&io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => {
                    self.frames.follow(&buffer[..read]);
                    self.traffic
                        .received
                        .fetch_add(read as u64, Ordering::Relaxed);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.end(reason(&error)),
            }
        }
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
                    self.traffic.sent.fetch_add(bytes as u64, Ordering::Relaxed);
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
            traffic: Arc::clone(&self.traffic),
            frames: self.frames.clone(),
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
