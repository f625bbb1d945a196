//! Documents out of files, into a draw.

use std::path::PathBuf;

use kernels::EncoderTokenizer;

use super::Drawn;
use crate::feed::{Entry, Event, FeedOptions, Kind, Plan, Reading};
use crate::records::Document;

/// What was met in the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Documents, each version counted.
    pub documents: u64,
    /// Lines and documents that cannot be used.
    pub unusable: u64,
    /// Files that could not be read, each with the reason.
    pub failures: Vec<String>,
}

/// Draws from the documents of files and folders, as `riffle feed` reads them: JSON lines or text,
/// compressed or not. Of a document the encoder's first tokens are kept and not its text.
///
/// # Errors
/// If the thread that reads cannot be started.
pub fn draw(
    paths: &[PathBuf],
    options: &FeedOptions,
    tokenizer: &EncoderTokenizer,
    drawn: &mut Drawn<Vec<u32>>,
) -> std::io::Result<Found> {
    let Plan {
        files, failures, ..
    } = Plan::new(paths);
    let mut found = Found::default();
    found
        .failures
        .extend(failures.iter().map(ToString::to_string));
    if files.is_empty() {
        return Ok(found);
    }
    let reading = Reading::start(files, 0, Default::default(), options.into())?;
    while let Ok(event) = reading.events.recv() {
        match event {
            Event::Entries(entries, _) => {
                for entry in &entries {
                    let usable = take(entry, options.document_bytes_max, tokenizer, drawn);
                    found.documents += u64::from(usable && entry.kind == Kind::Document);
                    found.unusable += u64::from(!usable);
                }
            }
            Event::Failed(failure) => found.failures.push(failure.to_string()),
            Event::File(..) | Event::Empty | Event::Binary => {}
            Event::End => return Ok(found),
        }
    }
    reading.panic()
}

/// Draws from one entry of a file; `false` when it cannot be used.
fn take(
    entry: &Entry,
    bytes_max: usize,
    tokenizer: &EncoderTokenizer,
    drawn: &mut Drawn<Vec<u32>>,
) -> bool {
    let Entry { kind, record, .. } = entry;
    match (kind, &record.key, &record.value) {
        (Kind::Takedown, Some(id), _) => {
            drawn.remove(&String::from_utf8_lossy(id));
            true
        }
        (Kind::Document, _, Some(value)) => match Document::parse(value, bytes_max) {
            Ok(document) => {
                let tokens = || tokenizer.encode(&document.text).ok();
                drawn.offer(&document.id, || tokens().map(|encoded| encoded.ids));
                true
            }
            Err(_) => false,
        },
        _ => false,
    }
}
