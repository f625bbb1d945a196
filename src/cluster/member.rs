//! A process that runs what process 0 says.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::line::{Line, Next};
use super::links::{Links, Stopping};
use super::message::{Agreement, Answer, First, Hello, Message, receive, send};
use super::{ClusterError, Place, SILENCE_MAX, TICK};

/// A process of a cluster that is not its first, and has met that one.
pub struct Member {
    place: Place,
    listener: TcpListener,
    line: Arc<Line>,
    stopping: Stopping,
}

impl Member {
    /// Waits until process 0 is there and takes this one in; `None` when `signal` was set before.
    ///
    /// # Errors
    /// [`ClusterError::Listen`], and [`ClusterError::Refused`] when process 0 says why not.
    pub fn join(
        place: Place,
        agreement: &Agreement,
        signal: &Arc<AtomicBool>,
    ) -> Result<Option<Self>, ClusterError> {
        let listener = place.listen()?;
        let hello = First::Member(Hello::new(&place, agreement));
        let (process, address) = (place.process, place.addresses[0].as_str());
        tracing::info!(process, address, "looking for process 0 of the cluster");
        while !signal.load(Ordering::Relaxed) {
            match ask(address, &hello) {
                Ok((socket, Answer::Welcome)) => {
                    let failed = |source| ClusterError::Connection { process: 0, source };
                    let line = Line::new(0, socket).map_err(failed)?;
                    tracing::info!(process, "joined the cluster");
                    return Ok(Some(Member {
                        place,
                        listener,
                        line: Arc::new(line),
                        stopping: Stopping::of_member(signal),
                    }));
                }
                Ok((_, Answer::Refused(said))) => {
                    return Err(ClusterError::Refused { process, said });
                }
                // It is not there yet, or what is there is about to end.
                Err(error) => {
                    tracing::debug!(%error, "process 0 does not answer");
                    thread::sleep(TICK);
                }
            }
        }
        Ok(None)
    }

    /// The next dataflow to take part in, as its plan and links; `None` when there is none.
    ///
    /// # Errors
    /// [`ClusterError`] when process 0 is lost or has failed, or another cannot be reached.
    pub fn next(&self) -> Result<Option<(String, Links)>, ClusterError> {
        loop {
            self.stopping.look(&self.line);
            match self.line.next()? {
                Next::Message(Message::Run { nonce, plan }) => {
                    let lines = vec![Arc::clone(&self.line)];
                    let stopping = self.stopping.clone();
                    let links = Links::make(&self.place, &self.listener, nonce, lines, stopping)?;
                    return Ok(Some((plan, links)));
                }
                Next::Message(Message::End) => return Ok(None),
                Next::Message(message) => tracing::debug!(?message, "out of turn"),
                Next::Nothing => {}
            }
        }
    }

    /// Tells process 0 why this one has failed.
    pub fn fail(self, error: &impl ToString) {
        self.line.say(&Message::Failed(error.to_string()));
    }
}

fn ask(address: &str, hello: &First) -> io::Result<(TcpStream, Answer)> {
    let socket = TcpStream::connect(address)?;
    // Process 0 may be busy with its last dataflow: then it ends, and this connection with it.
    socket.set_read_timeout(Some(SILENCE_MAX))?;
    send(&socket, hello)?;
    let answer = receive(&socket)?;
    Ok((socket, answer))
}
