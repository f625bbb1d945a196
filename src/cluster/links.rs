//! The links of one dataflow, from when it begins until all processes are through.

use std::io;
use std::mem;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::{
    CommsGuard, initialize_networking_from_sockets,
};
use timely::communication::{AllocatorBuilder, Hooks};

use super::accept::accept;
use super::line::{Line, Next};
use super::link::{Link, Traffic};
use super::message::{First, Message, send};
use super::{ClusterError, Place, SILENCE_MAX, TICK};
use crate::dataflow::Threads;
use crate::engine::EngineError;

/// How long a process may take to make a link that another waits for.
const LINK_MAX: Duration = Duration::from_secs(60);

/// A connection to each other process, for one dataflow.
pub struct Links {
    process: usize,
    /// By process; none to itself.
    sockets: Vec<Option<TcpStream>>,
    lines: Vec<Arc<Line>>,
    stopping: Stopping,
}

/// What passes on that a process was asked to end: a signal of this one, or a word of another.
#[derive(Clone)]
pub(super) struct Stopping {
    signal: Arc<AtomicBool>,
    /// For process 0, that any was asked; for a member, that process 0 knows.
    stop: Arc<AtomicBool>,
    leads: bool,
}

impl Stopping {
    pub fn of_leader(signal: &Arc<AtomicBool>) -> Self {
        Stopping {
            signal: Arc::clone(signal),
            stop: Arc::default(),
            leads: true,
        }
    }

    pub fn of_member(signal: &Arc<AtomicBool>) -> Self {
        Stopping {
            leads: false,
            ..Stopping::of_leader(signal)
        }
    }

    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Looks whether there is something to pass on.
    pub fn look(&self, line: &Line) {
        let asked = self.signal.load(Ordering::Relaxed) || line.is_asked_to_stop();
        if asked && !self.stop.swap(true, Ordering::Relaxed) && !self.leads {
            line.say(&Message::Stop);
        }
    }
}

impl Links {
    /// Connects to the processes before this one, and waits for those behind it.
    pub(super) fn make(
        place: &Place,
        listener: &TcpListener,
        nonce: u64,
        lines: Vec<Arc<Line>>,
        stopping: Stopping,
    ) -> Result<Self, ClusterError> {
        let mut making = Making {
            sockets: place.addresses.iter().map(|_| None).collect(),
            lines: &lines,
            since: Instant::now(),
        };
        let first = First::Link {
            nonce,
            process: place.process,
        };
        for (process, address) in place.addresses[..place.process].iter().enumerate() {
            making.connect(process, address, &first)?;
        }
        making.accept(place.process, nonce, listener)?;
        Ok(Links {
            process: place.process,
            sockets: making.sockets,
            lines,
            stopping,
        })
    }

    /// Starts what serves the links while so many workers of this process run: the ends that the
    /// workers need, and what is to be done when they are through.
    ///
    /// # Errors
    /// [`ClusterError::Connection`].
    pub fn start(
        self,
        workers: usize,
        threads: &Threads,
    ) -> Result<(Vec<AllocatorBuilder>, Running), ClusterError> {
        let traffic = Arc::new(Traffic::default());
        let process = self.process;
        let failed = |source| ClusterError::Connection { process, source };
        let link = |(process, socket): (usize, Option<TcpStream>)| {
            let link = |socket| Link::new(process, socket, threads.clone(), Arc::clone(&traffic));
            socket.map(link)
        };
        let links = self.sockets.into_iter().enumerate().map(link).collect();
        let hooks = Hooks::default();
        let inside = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), None);
        let (builders, guard) =
            initialize_networking_from_sockets::<Link>(inside, links, process, workers, hooks)
                .map_err(failed)?;
        for line in &self.lines {
            let (line, stopping, threads) =
                (Arc::clone(line), self.stopping.clone(), threads.clone());
            let watching = threads.clone();
            threads.spawn(format!("watch-{}", line.process), move || {
                watch(&line, &stopping, &watching)
            });
        }
        let running = Running {
            lines: self.lines,
            traffic,
            guard,
        };
        Ok((
            builders.into_iter().map(AllocatorBuilder::Tcp).collect(),
            running,
        ))
    }
}

/// Links on the way.
struct Making<'a> {
    sockets: Vec<Option<TcpStream>>,
    lines: &'a [Arc<Line>],
    since: Instant,
}

impl Making<'_> {
    fn connect(
        &mut self,
        process: usize,
        address: &str,
        first: &First,
    ) -> Result<(), ClusterError> {
        self.sockets[process] = Some(loop {
            match connected(address, first) {
                Ok(socket) => break socket,
                Err(error) => {
                    self.wait(process, || format!("no connection to {address}: {error}"))?
                }
            }
        });
        Ok(())
    }

    fn accept(
        &mut self,
        own: usize,
        nonce: u64,
        listener: &TcpListener,
    ) -> Result<(), ClusterError> {
        let behind = own + 1..self.sockets.len();
        while let Some(process) = behind.clone().find(|it| self.sockets[*it].is_none()) {
            match accept(listener) {
                Some((
                    socket,
                    First::Link {
                        nonce: its,
                        process,
                    },
                )) if its == nonce && behind.contains(&process) => {
                    let set = socket.set_nodelay(true);
                    set.map_err(|source| ClusterError::Connection { process, source })?;
                    self.sockets[process] = Some(socket);
                }
                // Of an earlier dataflow, or a process that was started anew: this cluster will
                // hear that the one before it is lost.
                Some(_) => {}
                None => self.wait(process, || "it makes no connection".to_owned())?,
            }
        }
        Ok(())
    }

    fn wait(&self, process: usize, reason: impl Fn() -> String) -> Result<(), ClusterError> {
        self.lines.iter().try_for_each(|line| line.check())?;
        if self.since.elapsed() > LINK_MAX {
            let reason = reason();
            return Err(ClusterError::Lost { process, reason });
        }
        thread::sleep(TICK);
        Ok(())
    }
}

fn connected(address: &str, first: &First) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    send(&socket, first)?;
    Ok(socket)
}

/// Until the other process is through with the dataflow too.
fn watch(line: &Line, stopping: &Stopping, threads: &Threads) -> Result<(), EngineError> {
    while !threads.failed() {
        stopping.look(line);
        match line.next()? {
            Next::Message(Message::Done) => break,
            Next::Message(message) => tracing::debug!(?message, "out of turn"),
            Next::Nothing => {}
        }
    }
    Ok(())
}

/// What serves the links while the workers run.
pub struct Running {
    lines: Vec<Arc<Line>>,
    traffic: Arc<Traffic>,
    guard: CommsGuard,
}

impl Running {
    /// Says that this process's workers are through.
    pub fn workers_are_through(&self) {
        self.lines.iter().for_each(|line| line.say(&Message::Done));
    }

    /// Waits until all has been sent and received; after a failure there is no end of that.
    pub fn end(self, failed: bool) {
        if failed {
            return mem::forget(self.guard);
        }
        let (through, wait) = bounded::<()>(0);
        let guard = self.guard;
        thread::spawn(move || {
            drop(guard);
            drop(through);
        });
        if wait.recv_timeout(SILENCE_MAX) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                "another process has not closed its connections; all it had to say is here"
            );
        }
        let Traffic { sent, received } = &*self.traffic;
        let [sent, received] = [sent, received].map(|bytes| bytes.load(Ordering::Relaxed));
        tracing::debug!(sent, received, "bytes to and from the other processes");
    }
}
