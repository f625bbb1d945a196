//! Process 0, which says what the others run.

use std::hash::{BuildHasher, RandomState};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::accept::accept;
use super::line::Line;
use super::links::{Links, Stopping};
use super::message::{Agreement, Answer, First, Hello, Message, send};
use super::{ClusterError, Place, TICK};

/// Process 0 of a cluster that has met.
pub struct Leader {
    place: Place,
    listener: TcpListener,
    lines: Vec<Arc<Line>>,
    stopping: Stopping,
}

impl Leader {
    /// Waits until every other process is there; `None` when `signal` was set before.
    ///
    /// # Errors
    /// [`ClusterError::Listen`].
    pub fn meet(
        place: Place,
        agreement: &Agreement,
        signal: &Arc<AtomicBool>,
    ) -> Result<Option<Self>, ClusterError> {
        let listener = place.listen()?;
        let mut meeting = Meeting {
            ours: Hello::new(&place, agreement),
            members: place.addresses[1..].iter().map(|_| None).collect(),
        };
        tracing::info!(
            address = place.addresses[0],
            processes = place.addresses.len(),
            "waiting for the processes of the cluster"
        );
        while !meeting.is_complete() {
            if signal.load(Ordering::Relaxed) {
                let here = meeting.members.iter().flatten();
                here.for_each(|line| line.say(&Message::End));
                return Ok(None);
            }
            match accept(&listener) {
                Some((socket, First::Member(hello))) => meeting.hear(socket, &hello),
                // Of an earlier cluster.
                Some((_, First::Link { .. })) => {}
                None => thread::sleep(TICK),
            }
        }
        tracing::info!("the cluster has met");
        Ok(Some(Leader {
            lines: meeting
                .members
                .into_iter()
                .flatten()
                .map(Arc::new)
                .collect(),
            place,
            listener,
            stopping: Stopping::of_leader(signal),
        }))
    }

    /// How many processes there are.
    pub fn processes(&self) -> usize {
        self.place.addresses.len()
    }

    /// Set once any process was asked to end: what a source goes by.
    pub fn stop(&self) -> Arc<AtomicBool> {
        self.stopping.flag()
    }

    /// Begins a dataflow, of which the members learn by this plan.
    ///
    /// # Errors
    /// [`ClusterError`] when a member is lost or has failed.
    pub fn begin(&self, plan: String) -> Result<Links, ClusterError> {
        let nonce = nonce();
        let run = Message::Run { nonce, plan };
        self.lines.iter().for_each(|line| line.say(&run));
        let lines = self.lines.clone();
        Links::make(
            &self.place,
            &self.listener,
            nonce,
            lines,
            self.stopping.clone(),
        )
    }

    /// Tells the members that there is nothing further to run, or why this process has failed.
    pub fn end<E: ToString>(self, failed: Option<&E>) {
        let said = match failed {
            None => Message::End,
            Some(error) => Message::Failed(error.to_string()),
        };
        self.lines.iter().for_each(|line| line.say(&said));
    }
}

/// Those who have come so far.
struct Meeting {
    ours: Hello,
    /// By number, from 1.
    members: Vec<Option<Line>>,
}

impl Meeting {
    /// Whether all are there, after those who have left again are forgotten.
    fn is_complete(&mut self) -> bool {
        for member in &mut self.members {
            if let Some(Err(error)) = member.as_ref().map(Line::check) {
                tracing::warn!(%error, "waiting for it to come again");
                *member = None;
            }
        }
        self.members.iter().all(Option::is_some)
    }

    fn hear(&mut self, socket: TcpStream, hello: &Hello) {
        let process = hello.process;
        if let Some(said) = hello.differs(&self.ours) {
            tracing::warn!(process, "refused: {said}");
            let _ = send(&socket, &Answer::Refused(said));
            return;
        }
        let welcomed = send(&socket, &Answer::Welcome);
        match welcomed.and_then(|()| Line::new(process, socket)) {
            Ok(line) => {
                tracing::info!(process, "has joined the cluster");
                // A process that was started anew comes in the place of the one before.
                if let Some(before) = self.members[process - 1].replace(line) {
                    before.say(&Message::Failed(format!(
                        "another process {process} has come"
                    )));
                }
            }
            Err(error) => tracing::warn!(process, %error, "has not joined the cluster"),
        }
    }
}

/// A number that no other dataflow has, so that links of one are not taken for another's.
fn nonce() -> u64 {
    // Seeded by the operating system, and another for each.
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::{Member, free_addresses};
    use super::*;

    fn agreement() -> Agreement {
        Agreement {
            workers: 1,
            rules: "[]".to_owned(),
        }
    }

    fn place(addresses: &[String], process: usize) -> Place {
        Place {
            process,
            addresses: addresses.to_vec(),
            key: String::new(),
        }
    }

    #[test]
    fn a_meeting_is_not_disturbed_by_others_and_a_process_that_comes_again_is_taken_in() {
        let addresses = free_addresses(3).unwrap();
        let signal = Arc::new(AtomicBool::new(false));
        let leading = {
            let (place, signal) = (place(&addresses, 0), Arc::clone(&signal));
            thread::spawn(move || Leader::meet(place, &agreement(), &signal))
        };
        let join = |process| Member::join(place(&addresses, process), &agreement(), &signal);
        // One that leaves again, one that scans ports, one that says nothing and stays a while.
        drop(join(1).unwrap().unwrap());
        let mut scanner = TcpStream::connect(&addresses[0]).unwrap();
        scanner.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let silent = TcpStream::connect(&addresses[0]).unwrap();
        let members = thread::scope(|scope| {
            let joining = [1, 2].map(|process| scope.spawn(move || join(process)));
            joining.map(|it| it.join().unwrap().unwrap().unwrap())
        });
        let leader = leading.join().unwrap().unwrap().unwrap();
        drop((scanner, silent));
        let said = thread::scope(|scope| {
            let next = |member| scope.spawn(move || Member::next(member).unwrap().unwrap().0);
            let members = members.each_ref().map(next);
            leader.begin("a plan".to_owned()).unwrap();
            members.map(|it| it.join().unwrap())
        });
        assert_eq!(said, ["a plan", "a plan"]);
        leader.end(None::<&String>);
        assert!(members.iter().all(|it| it.next().unwrap().is_none()));
    }
}
