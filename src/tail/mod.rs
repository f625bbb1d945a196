//! Prints the records of a log: as JSON for programs, or as a line each for a person.

mod human;
mod json;
mod start;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use start::{ParseStartError, Start};

use crate::log::{LogError, Offsets, Received, Store};
use crate::records::ScoredError;

/// How long the tail waits for records before it looks at the stop flag.
const TICK: Duration = Duration::from_millis(100);

/// What a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Documents as they came in.
    Documents,
    /// Scored records.
    Scored,
    /// Changes of the curated set.
    Curated,
    /// Statistics, one record an epoch.
    Statistics,
    /// The mixture of skills, whenever it changes.
    Mixture,
    /// What trainers reported of their losses.
    Losses,
    /// Records that could not be scored, with the reason.
    DeadLetters,
    /// Records of the losses that are no reports, with the reason.
    LossesDeadLetters,
}

/// What is printed, and how.
#[derive(Clone, Debug, Default)]
pub struct TailOptions {
    /// One JSON object a line instead of a line for a person.
    pub json: bool,
    /// Where to begin.
    pub start: Start,
    /// Ends at the log's present end, and otherwise never.
    pub until_end: bool,
    /// Ends after so many records.
    pub count: Option<u64>,
    /// Colours for a terminal; without effect on JSON.
    pub color: bool,
}

/// What was printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailSummary {
    /// Records printed.
    pub printed: u64,
    /// Records that are not of the log's form. Each was warned of and passed over.
    pub undecoded: u64,
}

/// Why a tail ended early.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The output takes no more, for another reason than that its reader has gone.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Why a record is not printed.
#[derive(Debug, thiserror::Error)]
enum Undecoded {
    #[error("the record has no value")]
    NoValue,
    #[error("the record has no key that is UTF-8")]
    Key,
    #[error("it was rejected when it was fed: {0}")]
    Rejected(String),
    #[error(transparent)]
    Document(#[from] crate::records::DocumentError),
    #[error(transparent)]
    Scored(#[from] ScoredError),
    #[error("invalid JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Writes the records of `log` to `out`, and says how many.
///
/// With `json`, documents come as they are, and takedowns as `{"id": …, "deleted": true}`: what
/// `feed` takes in. All other records gain their place in the log, "position": "PARTITION:OFFSET";
/// curated documents in their object `riffle`, which `feed` takes in and `score` leaves out. It ends at the log's present end, after a
/// count of records, or when `stop` is set, as the options say, and without an error when the
/// output's reader has gone. Records of another form are passed over with a warning.
///
/// # Errors
/// [`TailError`] when the log or the output fails.
pub fn tail(
    store: &dyn Store,
    log: &str,
    kind: Kind,
    options: &TailOptions,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> Result<TailSummary, TailError> {
    let mut summary = TailSummary::default();
    match print(store, log, kind, options, stop, out, &mut summary) {
        Err(TailError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(summary),
        result => result.map(|()| summary),
    }
}

fn print(
    store: &dyn Store,
    log: &str,
    kind: Kind,
    options: &TailOptions,
    stop: &AtomicBool,
    out: &mut dyn Write,
    summary: &mut TailSummary,
) -> Result<(), TailError> {
    let ends = store.ends(log)?;
    let mut reader = store.reader(log, &options.start.offsets(&ends))?;
    let mut line = Vec::new();
    let enough = |summary: &TailSummary| options.count.is_some_and(|max| summary.printed >= max);
    while !enough(summary) && !stop.load(Ordering::Relaxed) {
        if options.until_end && reader.offsets().reaches(&ends) {
            break;
        }
        for received in reader.poll(TICK)? {
            if options.until_end && is_past(&received, &ends) {
                continue;
            }
            line.clear();
            match format(kind, &received, options, &mut line) {
                Ok(()) => {
                    line.push(b'\n');
                    out.write_all(&line)?;
                    summary.printed += 1;
                }
                Err(error) => {
                    tracing::warn!(log, position = %received.position, %error, "record passed over");
                    summary.undecoded += 1;
                }
            }
            if enough(summary) {
                break;
            }
        }
        out.flush()?;
    }
    Ok(())
}

fn format(
    kind: Kind,
    received: &Received,
    options: &TailOptions,
    line: &mut Vec<u8>,
) -> Result<(), Undecoded> {
    if options.json {
        json::write(kind, received, line)
    } else {
        human::write(kind, received, options.color, line)
    }
}

/// Whether the record came after the end that was asked for.
fn is_past(received: &Received, ends: &Offsets) -> bool {
    let partition = usize::from(received.position.partition());
    let end = ends.0.get(partition).copied().unwrap_or(0);
    received.position.offset() >= end
}
