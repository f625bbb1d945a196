//! The line between process 0 and a member, from the moment they have met.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::message::{Message, receive, send};
use super::{ClusterError, PING_EVERY, SILENCE_MAX};

/// One end of a line. A thread listens and one pings for as long as it stands.
pub(super) struct Line {
    /// The process at the other end.
    pub process: usize,
    heard: Arc<Heard>,
    messages: Receiver<Message>,
    socket: Arc<Mutex<TcpStream>>,
    /// Ends the pings when the line is dropped.
    _pinging: Sender<()>,
}

/// What has been heard, besides the messages.
#[derive(Default)]
struct Heard {
    end: OnceLock<End>,
    stop: AtomicBool,
}

/// How the other process ended.
enum End {
    Lost(String),
    Failed(String),
}

/// What comes next on a line.
pub(super) enum Next {
    Message(Message),
    Nothing,
}

impl Line {
    pub fn new(process: usize, socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        socket.set_write_timeout(Some(SILENCE_MAX))?;
        let heard = Arc::new(Heard::default());
        let (sender, messages) = unbounded();
        let listening = (Arc::clone(&heard), socket.try_clone()?);
        let socket = Arc::new(Mutex::new(socket));
        let (pinging, dropped) = unbounded::<()>();
        let pinged = Arc::clone(&socket);
        spawn("listen", process, move || {
            listen(&listening.0, &listening.1, &sender)
        })?;
        spawn("ping", process, move || {
            while dropped.recv_timeout(PING_EVERY) == Err(RecvTimeoutError::Timeout) {
                // Should this fail, the listening thread knows more.
                let _ = say(&pinged, &Message::Ping);
            }
        })?;
        Ok(Line {
            process,
            heard,
            messages,
            socket,
            _pinging: pinging,
        })
    }

    /// Says something. A loss of the other process shows when something is heard.
    pub fn say(&self, message: &Message) {
        if let Err(error) = say(&self.socket, message) {
            tracing::debug!(process = self.process, %error, "not said to the process");
        }
    }

    /// The next message within a tick.
    ///
    /// # Errors
    /// [`ClusterError`] when the other process is lost or has failed, once what it had said before
    /// is heard.
    pub fn next(&self) -> Result<Next, ClusterError> {
        match self.messages.recv_timeout(super::TICK) {
            Ok(message) => Ok(Next::Message(message)),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Nothing),
            Err(RecvTimeoutError::Disconnected) => {
                self.check()?;
                unreachable!("listening ends with the line")
            }
        }
    }

    /// # Errors
    /// [`ClusterError`] when the other process is lost or has failed.
    pub fn check(&self) -> Result<(), ClusterError> {
        let process = self.process;
        match self.heard.end.get() {
            None => Ok(()),
            Some(End::Lost(reason)) => Err(ClusterError::Lost {
                process,
                reason: reason.clone(),
            }),
            Some(End::Failed(said)) => Err(ClusterError::Failed {
                process,
                said: said.clone(),
            }),
        }
    }

    /// Whether the other process was asked to end.
    pub fn is_asked_to_stop(&self) -> bool {
        self.heard.stop.load(Ordering::Relaxed)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // What has been said still arrives. The other end closes its own, which ends the listening.
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = socket.shutdown(Shutdown::Write);
    }
}

fn spawn(name: &str, process: usize, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let named = thread::Builder::new().name(format!("{name}-{process}"));
    named.spawn(body).map(|_| ())
}

fn say(socket: &Mutex<TcpStream>, message: &Message) -> io::Result<()> {
    let socket = socket.lock().unwrap_or_else(PoisonError::into_inner);
    send(&*socket, message)
}

fn listen(heard: &Heard, socket: &TcpStream, messages: &Sender<Message>) {
    let end = loop {
        match receive(socket) {
            Ok(Message::Ping) => {}
            Ok(Message::Stop) => heard.stop.store(true, Ordering::Relaxed),
            Ok(Message::Failed(said)) => break End::Failed(said),
            Ok(message) => {
                if messages.send(message).is_err() {
                    return;
                }
            }
            Err(error) => break End::Lost(reason(&error)),
        }
    };
    let _ = heard.end.set(end);
}

/// What an error of a connection means.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it has ended, or was killed".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("it has said nothing for {} s", SILENCE_MAX.as_secs())
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> [Line; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        [Line::new(1, one).unwrap(), Line::new(0, other).unwrap()]
    }

    fn end(line: &Line) -> ClusterError {
        loop {
            if let Err(error) = line.next() {
                return error;
            }
        }
    }

    #[test]
    fn what_was_said_before_the_end_is_heard_before_it() {
        let [one, other] = pair();
        one.say(&Message::Stop);
        one.say(&Message::Done);
        drop(one);
        while other.check().is_ok() {
            thread::yield_now();
        }
        assert!(other.is_asked_to_stop());
        let Ok(Next::Message(message)) = other.next() else {
            panic!("a message was said");
        };
        assert_eq!(message, Message::Done);
        assert!(matches!(end(&other), ClusterError::Lost { process: 0, .. }));
    }

    #[test]
    fn a_failure_is_told_with_its_reason() {
        let [one, other] = pair();
        one.say(&Message::Failed("disk full".to_owned()));
        let error = end(&other).to_string();
        assert_eq!(error, "process 0 of the cluster has failed: disk full");
    }
}
