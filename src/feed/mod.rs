//! Reads files into a log of documents: JSON lines and text, plain, gzip or zstd.
//!
//! Bad input neither stops a feed nor gets lost. A line that is no document goes into the log as it
//! is, marked with the reason, and becomes a dead letter when it is to be scored; a file that
//! cannot be read is reported, and the others go on. Each commit holds the place in the inputs, so
//! that an interrupted feed can be resumed without a document twice or none at all.

mod entry;
mod format;
mod lines;
mod place;
mod plan;
mod progress;
mod reading;
mod session;
mod stream;
mod summary;
mod text;
mod transaction;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

#[cfg(feature = "fuzzing")]
pub(crate) use entry::entry_of_line;
pub(crate) use entry::{Entry, Head, Kind};
pub use entry::{REJECT_HEADER, SOURCE_HEADER};
pub use format::Format;
#[cfg(feature = "fuzzing")]
pub(crate) use lines::{Line, Lines};
pub use place::ResumeError;
pub(crate) use plan::Plan;
pub use progress::{Progress, progress_on_stderr};
pub(crate) use reading::{Event, Reading};
#[cfg(feature = "fuzzing")]
pub(crate) use stream::open;
pub use summary::{Failure, FeedSummary};

use crate::log::{Layout, LogError, Store};
use place::Place;
use session::Session;
use transaction::Transaction;

/// How a feed reads and commits.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// How files are read.
    pub format: Format,
    /// The `source` of documents made from text files.
    pub source: String,
    /// How many partitions the log gets if it has to be made.
    pub partitions: u16,
    /// The largest document; of a larger one, a reject keeps the beginning.
    pub document_bytes_max: usize,
    /// The base-2 logarithm of the largest window of zstd that is taken. A reader of such a frame
    /// holds as many bytes; `zstd --long` makes larger ones than the default of 27 (128 MiB).
    pub window_log_max: u32,
    /// The writer's name: at most one feed of a name runs, and resumes the last of this name.
    pub writer: String,
    /// Goes on after the last commit of the interrupted feed of the same inputs.
    pub resume: bool,
    /// A commit comes after about as many bytes,
    pub commit_bytes: usize,
    /// or after this time, if there is anything to commit.
    pub commit_interval: Duration,
}

impl Default for FeedOptions {
    fn default() -> Self {
        FeedOptions {
            format: Format::Auto,
            source: "file".into(),
            partitions: 1,
            document_bytes_max: 16 << 20,
            window_log_max: 27,
            writer: "feed".into(),
            resume: false,
            commit_bytes: 8 << 20,
            commit_interval: Duration::from_secs(1),
        }
    }
}

/// Why a feed ended early. What it committed stays in the log.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The log failed.
    #[error("{source}{}", resume_hint(.committed))]
    Log {
        /// Why.
        source: Box<LogError>,
        /// The last place committed in this run, as `path:lines done`.
        committed: Option<String>,
    },
    /// The feed cannot be resumed.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The thread that reads could not be started.
    #[error("cannot start a thread to read with: {0}")]
    Thread(std::io::Error),
}

fn resume_hint(committed: &Option<String>) -> String {
    committed.as_ref().map_or(String::new(), |place| {
        format!("; all up to {place} is in the log, and --resume goes on from there")
    })
}

impl From<LogError> for FeedError {
    fn from(source: LogError) -> Self {
        FeedError::Log {
            source: Box::new(source),
            committed: None,
        }
    }
}

/// Reads the files of `inputs` into `log`, which is made if it is missing, and says what it did.
///
/// An input is a file, a folder, or `-` for standard input. When `stop` is set, what has been read
/// is committed and the summary says where it stopped. A file that cannot be read does not end the
/// feed; it is among the summary's failures, which are told to `progress` as they are met.
///
/// Memory: what one commit holds (`commit_bytes` and a document), twice while it is written, and
/// at most six documents of the largest size on their way from the files.
///
/// # Errors
/// [`FeedError`] when the log fails or the feed cannot be resumed.
pub fn feed(
    store: &dyn Store,
    log: &str,
    inputs: &[PathBuf],
    options: &FeedOptions,
    stop: &AtomicBool,
    progress: &mut dyn Progress,
) -> Result<FeedSummary, FeedError> {
    let layout = Layout {
        partitions: options.partitions,
        compacted: false,
    };
    let partitions = store.create(log, layout)?;
    let writer = store.writer(&options.writer, &[log])?;
    let plan = Plan::new(inputs);
    let start = match options.resume {
        true => Some(Place::resume(writer.position(), &plan.files)?),
        false => None,
    };
    if start.as_ref().is_some_and(Place::is_complete) {
        progress.note("the last feed was complete: there is nothing to resume");
        return Ok(FeedSummary::default());
    }
    let transaction = Transaction::new(log, partitions);
    Session::new(writer, transaction, plan, options).run(start, stop, progress)
}
