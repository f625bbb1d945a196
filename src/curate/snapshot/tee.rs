//! What the source's thread does for snapshots: it writes entries into buffers and hands them on.

use crossbeam_channel::Sender;

use super::entry;
use super::file::Snapshot;
use crate::curate::Received;
use crate::curate::document::Document;
use crate::dataflow::Follower;
use crate::log::Offsets;

/// Buffers on their way to the thread: time to sort and write a run in, 4 MiB of memory.
pub const QUEUE: usize = 64;
/// A buffer is handed on when it has this many bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// What the thread is told.
pub enum Message {
    /// This snapshot was read in the place of the log before it.
    Base(Snapshot),
    /// Entries of the open epoch, end to end.
    Entries(Vec<u8>),
    /// This epoch ends, with the scored log read up to here.
    End(u64, Offsets),
    /// All epochs below this one are committed.
    Durable(u64),
    /// All epochs are, and there will be no more.
    Finish,
}

/// The source's end of the queue.
pub struct Tee {
    /// `None` when the thread has ended: it has told why.
    messages: Option<Sender<Message>>,
    buffer: Vec<u8>,
    width: usize,
    epoch: u64,
}

impl Tee {
    /// A tee of documents with so many codes, from this epoch on.
    pub fn new(messages: Sender<Message>, rows: u16, first: u64) -> Self {
        Tee {
            messages: Some(messages),
            buffer: Vec::new(),
            width: entry::width(rows),
            epoch: first,
        }
    }

    /// What is sent from now on follows this snapshot.
    pub fn begin_with(&mut self, base: Snapshot) {
        self.tell(Message::Base(base));
    }

    fn tell(&mut self, message: Message) {
        let messages = self.messages.take();
        self.messages = messages.filter(|messages| messages.send(message).is_ok());
    }

    fn hand_on(&mut self) {
        if !self.buffer.is_empty() {
            let buffer = Vec::with_capacity(BUFFER_BYTES + self.width);
            let buffer = std::mem::replace(&mut self.buffer, buffer);
            self.tell(Message::Entries(buffer));
        }
    }
}

impl<D: Document> Follower<Received<D>> for Tee {
    fn records(&mut self, records: &[Received<D>]) {
        if self.messages.is_none() {
            return;
        }
        for record in records {
            if let Received::Document(upsert) = record {
                entry::put(&mut self.buffer, upsert, self.width);
                if self.buffer.len() >= BUFFER_BYTES {
                    self.hand_on();
                }
            }
        }
    }

    fn end(&mut self, offsets: &[Offsets]) {
        self.hand_on();
        self.tell(Message::End(self.epoch, offsets[0].clone()));
        self.epoch += 1;
    }

    fn durable(&mut self, before: u64) {
        self.tell(Message::Durable(before));
    }
}
