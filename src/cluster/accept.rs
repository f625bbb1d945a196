//! The connections that come in, each with the first thing it says.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::message::{First, receive};

/// How long who connects may take to say who it is. The others wait meanwhile.
const FIRST_MAX: Duration = Duration::from_secs(2);

/// The next connection that waits and says what a process of a cluster says, if any waits.
///
/// Whoever else connects, such as a scanner of ports, is turned away.
pub(super) fn accept(listener: &TcpListener) -> Option<(TcpStream, First)> {
    loop {
        let (socket, from) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => {
                // Such as a connection that was given up, or too many open files: it may pass.
                tracing::debug!(%error, "no connection accepted");
                return None;
            }
        };
        match first(&socket) {
            Ok(first) => return Some((socket, first)),
            Err(error) => tracing::debug!(%from, %error, "a connection is turned away"),
        }
    }
}

fn first(socket: &TcpStream) -> io::Result<First> {
    // On some systems an accepted socket is like its listener.
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(FIRST_MAX))?;
    let first = receive(socket)?;
    socket.set_read_timeout(None)?;
    Ok(first)
}
