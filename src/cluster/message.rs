//! What processes say to each other beside the dataflow, as JSON behind its length.
//!
//! JSON, because it must be understood between programs of different versions, so that they can tell
//! that they are.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Place;

/// The most bytes of a message: a plan with the weights of a million skills fits.
const BYTES_MAX: u32 = 64 << 20;

/// What all processes must have in common besides the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Workers of each process.
    pub workers: usize,
    /// The rules, as text.
    pub rules: String,
}

/// The first message on a connection.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum First {
    /// A member's, on its line.
    Member(Hello),
    /// Of a process with a higher number, on a link of the dataflow with this nonce.
    Link { nonce: u64, process: usize },
}

/// Who a member is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub process: usize,
    version: String,
    addresses: Vec<String>,
    key: String,
    #[serde(flatten)]
    agreement: Agreement,
}

/// Process 0's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Welcome,
    Refused(String),
}

/// What is said on a line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Message {
    /// I am here.
    Ping,
    /// From process 0: a dataflow begins. Its links bear this nonce; the plan says what it is.
    Run { nonce: u64, plan: String },
    /// My part of the dataflow has come to its end.
    Done,
    /// From a member: it was asked to end.
    Stop,
    /// I have failed.
    Failed(String),
    /// From process 0: there is no further dataflow.
    End,
}

impl Hello {
    pub fn new(place: &Place, agreement: &Agreement) -> Self {
        Hello {
            process: place.process,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            addresses: place.addresses.clone(),
            key: place.key.clone(),
            agreement: agreement.clone(),
        }
    }

    /// Why process 0, who would say `ours`, cannot work with this member; `None` if it can.
    pub fn differs(&self, ours: &Hello) -> Option<String> {
        if self.version != ours.version {
            return Some(differ("riffle", &self.version, &ours.version));
        }
        if self.addresses != ours.addresses {
            let texts = [self, ours].map(|it| it.addresses.join(", "));
            return Some(differ("a cluster of", &texts[0], &texts[1]));
        }
        if self.key != ours.key {
            return Some("it belongs to another cluster at the same addresses".to_owned());
        }
        if !(1..self.addresses.len()).contains(&self.process) {
            return Some(format!("there is no member {}", self.process));
        }
        let (its, our) = (&self.agreement, &ours.agreement);
        if its.workers != our.workers {
            let texts = [its, our].map(|it| it.workers.to_string());
            return Some(differ("curate.workers =", &texts[0], &texts[1]));
        }
        (its.rules != our.rules).then(|| differ("these rules:", &its.rules, &our.rules))
    }
}

fn differ(what: &str, its: &str, ours: &str) -> String {
    format!("it has {what} {its}, and process 0 {ours}")
}

pub(super) fn send(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).ok().filter(|it| *it <= BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("the message is too long"))?;
    // One write, so that a message travels in as few packets as it can.
    to.write_all(&[&length.to_be_bytes(), &json[..]].concat())
}

pub(super) fn receive<M: DeserializeOwned>(mut from: impl Read) -> io::Result<M> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no message of a cluster",
        ));
    }
    // Grows as bytes come: who only says that many will follow takes no memory.
    let mut json = Vec::new();
    from.take(length.into()).read_to_end(&mut json)?;
    if json.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(process: usize) -> Hello {
        let place = Place {
            process,
            addresses: vec!["a:1".to_owned(), "b:1".to_owned()],
            key: "k".to_owned(),
        };
        let agreement = Agreement {
            workers: 2,
            rules: "[]".to_owned(),
        };
        Hello::new(&place, &agreement)
    }

    #[test]
    fn messages_come_back_from_their_bytes_and_others_are_errors() {
        let message = Message::Run {
            nonce: u64::MAX,
            plan: "{}".to_owned(),
        };
        let mut bytes = Vec::new();
        send(&mut bytes, &message).unwrap();
        send(&mut bytes, &Message::Ping).unwrap();
        let mut from = &bytes[..];
        assert_eq!(receive::<Message>(&mut from).unwrap(), message);
        assert_eq!(receive::<Message>(&mut from).unwrap(), Message::Ping);
        for length in 0..bytes.len() - 1 {
            let mut cut = &bytes[..length];
            let both = (receive::<Message>(&mut cut), receive::<Message>(&mut cut));
            assert!(both.1.is_err(), "{length}");
        }
        for other in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            &[0, 0, 0, 2, b'{', b'}'],
            &[0xff; 64],
        ] {
            assert!(receive::<First>(other).is_err());
        }
    }

    #[test]
    fn a_member_that_differs_is_told_in_what() {
        let ours = hello(0);
        assert_eq!(hello(1).differs(&ours), None);
        type Change = fn(&mut Hello);
        let differing: [(Change, &str); 6] = [
            (|it| it.version = "9".to_owned(), "riffle 9, and process 0 "),
            (
                |it| it.addresses.truncate(1),
                "a cluster of a:1, and process 0 a:1, b:1",
            ),
            (|it| it.key.clear(), "another cluster"),
            (|it| it.process = 2, "no member 2"),
            (
                |it| it.agreement.workers = 1,
                "curate.workers = 1, and process 0 2",
            ),
            (
                |it| it.agreement.rules.clear(),
                "these rules: , and process 0 []",
            ),
        ];
        for (change, expected) in differing {
            let mut member = hello(1);
            change(&mut member);
            let said = member.differs(&ours).unwrap();
            assert!(said.contains(expected), "{said}");
        }
        assert!(hello(0).differs(&ours).is_some());
    }
}
