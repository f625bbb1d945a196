//! Reads files on a thread of its own and hands over what becomes of them.
//!
//! So decompressing and splitting go on while the log commits, and a standard input that gives
//! nothing holds up neither a commit nor Ctrl-C.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, SendError, Sender, bounded};

use super::entry::{Entry, Kind, entry_of_line, reject};
use super::format::{Content, Format};
use super::lines::{Done, Line, Lines};
use super::plan::File;
use super::text::{self, TextError};
use super::{Failure, FeedOptions};
use crate::records::DocumentError;

/// Batches on their way. One is as large as what is read at a time, or as its last line, which may
/// have begun earlier: at worst as many documents of the largest size are held.
const BATCHES_MAX: usize = 4;

/// How much of a file is looked at to see what it holds.
const HEAD_BYTES: usize = 64 << 10;

/// How files are read.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) format: Format,
    pub(crate) source: String,
    pub(crate) document_bytes_max: usize,
    pub(crate) window_log_max: u32,
}

impl From<&FeedOptions> for Rules {
    fn from(options: &FeedOptions) -> Self {
        Rules {
            format: options.format,
            source: options.source.clone(),
            document_bytes_max: options.document_bytes_max,
            window_log_max: options.window_log_max,
        }
    }
}

/// What happens as the files are read, in order.
pub(crate) enum Event {
    /// The file of this index comes next, of which so much is done already.
    File(usize, Done),
    /// Entries of the file, and what is done of it with them.
    Entries(Vec<Entry>, Done),
    /// The file has no bytes.
    Empty,
    /// The file, found in a folder, is no text.
    Binary,
    /// The file could not be read to its end.
    Failed(Failure),
    /// All files have been read.
    End,
}

/// Files being read.
pub(crate) struct Reading {
    /// What happens; it ends after [`Event::End`], or without it when the thread panicked.
    pub(crate) events: Receiver<Event>,
    thread: JoinHandle<()>,
    bytes: Arc<AtomicU64>,
}

impl Reading {
    /// Starts to read `files` from the one of index `first` on, without the part of it that is
    /// `done`. Dropping the result ends the thread as soon as it has something to hand over.
    pub(crate) fn start(
        files: Vec<File>,
        first: usize,
        done: Done,
        rules: Rules,
    ) -> io::Result<Reading> {
        let (sender, events) = bounded(BATCHES_MAX);
        let bytes = Arc::new(AtomicU64::new(0));
        let reader = Reader {
            events: sender,
            bytes: bytes.clone(),
            rules,
        };
        let thread = std::thread::Builder::new()
            .name("riffle-feed".into())
            // Whoever no longer listens has stopped.
            .spawn(move || reader.read_all(&files, first, done).unwrap_or_default())?;
        Ok(Reading {
            events,
            thread,
            bytes,
        })
    }

    /// Bytes read so far, as the files hold them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Passes on the panic with which the thread ended.
    pub(crate) fn panic(self) -> ! {
        match self.thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a reader that does not panic says that it ends"),
        }
    }
}

type Sent = Result<(), SendError<Event>>;

struct Reader {
    events: Sender<Event>,
    bytes: Arc<AtomicU64>,
    rules: Rules,
}

impl Reader {
    fn read_all(&self, files: &[File], first: usize, mut done: Done) -> Sent {
        for (index, file) in files.iter().enumerate().skip(first) {
            self.events.send(Event::File(index, done))?;
            self.read_file(file, done)?;
            done = Done::default();
        }
        self.events.send(Event::End)
    }

    fn read_file(&self, file: &File, done: Done) -> Sent {
        let mut lines = match self.open(file) {
            Ok(lines) => lines,
            Err(error) => return self.failed(file, &error),
        };
        // A pipe may give its next byte late: only a byte order mark is waited for.
        let head_bytes = if file.is_pipe() { 3 } else { HEAD_BYTES };
        let head = match lines.head(head_bytes) {
            Ok([]) => return self.events.send(Event::Empty),
            Ok(head) => head,
            Err(error) => return self.failed(file, &error),
        };
        let content = self.rules.format.content(&file.path, file.is_pipe(), head);
        match content {
            Content::Lines => self.read_lines(file, lines, done),
            Content::Text if done.lines > 0 => Ok(()),
            Content::Text => self.read_text(file, lines),
            Content::Binary => self.binary(file, &"is binary: it holds a zero byte"),
        }
    }

    fn open(&self, file: &File) -> io::Result<Lines<Box<dyn io::Read>>> {
        let bytes = self.bytes.clone();
        let stream = super::stream::open(&file.path, self.rules.window_log_max, bytes)?;
        Ok(Lines::new(stream, self.rules.document_bytes_max))
    }

    fn read_lines<R: io::Read>(&self, file: &File, mut lines: Lines<R>, done: Done) -> Sent {
        let name = file.name();
        let mut skipped = skip(&mut lines, done);
        loop {
            let (entries, more) = match skipped {
                Ok(()) => batch(&name, &mut lines),
                Err(error) => (Vec::new(), Err(error)),
            };
            skipped = Ok(());
            if !entries.is_empty() {
                self.events.send(Event::Entries(entries, lines.done()))?;
            }
            match more {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    let failure = Failure::within(&name, lines.done(), &error);
                    return self.events.send(Event::Failed(failure));
                }
            }
        }
    }

    fn read_text<R: io::Read>(&self, file: &File, lines: Lines<R>) -> Sent {
        let (bytes, size) = match lines.rest() {
            Ok(rest) => rest,
            Err(error) => return self.failed(file, &error),
        };
        let limit = self.rules.document_bytes_max;
        let entry = if bytes.is_empty() {
            return self.events.send(Event::Empty);
        } else if size > limit as u64 {
            Ok(text::too_large(file, &bytes, size, limit))
        } else {
            text::document(file, &bytes, &self.rules.source, limit)
        };
        match entry {
            Ok(entry) => {
                let done = Done {
                    lines: 1,
                    bytes: size,
                };
                self.events.send(Event::Entries(vec![entry], done))
            }
            Err(error @ TextError::Binary { .. }) => self.binary(file, &error),
            Err(error @ TextError::Path) => self.failed(file, &error),
        }
    }

    /// A binary file that was asked for by name is a failure; a folder may well hold some.
    fn binary(&self, file: &File, reason: &dyn Display) -> Sent {
        if file.named {
            self.failed(file, reason)
        } else {
            self.events.send(Event::Binary)
        }
    }

    fn failed(&self, file: &File, reason: &dyn Display) -> Sent {
        let failure = Failure::new(&file.name(), reason);
        self.events.send(Event::Failed(failure))
    }
}

/// The entries of the lines up to the next that may have to be waited for, and whether there may
/// be more.
fn batch<R: io::Read>(name: &str, lines: &mut Lines<R>) -> (Vec<Entry>, io::Result<bool>) {
    let mut entries = Vec::new();
    loop {
        let number = lines.count + 1;
        let limit = lines.bytes_max;
        match lines.next() {
            Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {}
            Ok(Some(Line::Whole(line))) => entries.push(entry_of_line(line, name, number)),
            Ok(Some(Line::Long(start, bytes))) => {
                let reason = DocumentError::TooLarge {
                    bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
                    limit,
                };
                let record = reject(start, &reason, format!("{name}:{number}"));
                entries.push(Entry::new(Kind::Reject, record, number));
            }
            Ok(None) => return (entries, Ok(false)),
            Err(error) => return (entries, Err(error)),
        }
        if lines.drained() {
            return (entries, Ok(true));
        }
    }
}

/// Passes over the lines that are done.
///
/// # Errors
/// When they do not end where they ended: then the file is another.
fn skip<R: io::Read>(lines: &mut Lines<R>, done: Done) -> io::Result<()> {
    while lines.count < done.lines && lines.next()?.is_some() {}
    if done.lines > 0 && lines.done() != done {
        return Err(io::Error::other(format!(
            "line {} ends elsewhere than it did; feed the file again without --resume",
            done.lines
        )));
    }
    Ok(())
}
