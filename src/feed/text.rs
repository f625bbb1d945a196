//! A file of text as one document: its path is the id.

use std::time::SystemTime;

use serde::Serialize;

use super::entry::{Entry, Kind, keyed, reject};
use super::lines::PREFIX_BYTES;
use super::plan::File;
use crate::records::DocumentError;

#[derive(Serialize)]
struct Text<'a> {
    id: &'a str,
    text: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<String>,
}

/// Why a file of text becomes no record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextError {
    /// Another encoding, or no text at all.
    #[error("is not UTF-8 text (byte {byte}); feed reads JSON lines and text, plain, gzip or zstd")]
    Binary {
        /// The first byte that does not fit.
        byte: usize,
    },
    /// No id can be made from the path.
    #[error("the path is not UTF-8, so it cannot be a document's id")]
    Path,
}

/// The entry of a file that holds `bytes`: its document, or a reject when the document would be
/// over the limit.
///
/// # Errors
/// [`TextError`] when the bytes or the path are no UTF-8.
pub(crate) fn document(
    file: &File,
    bytes: &[u8],
    source: &str,
    bytes_max: usize,
) -> Result<Entry, TextError> {
    let text = std::str::from_utf8(bytes).map_err(|error| TextError::Binary {
        byte: error.valid_up_to(),
    })?;
    file.path.to_str().ok_or(TextError::Path)?;
    let id = file.name();
    let document = Text {
        id: &id,
        text,
        source,
        added: file.stamp.map(|(_, modified)| rfc3339(modified)),
    };
    let json = serde_json::to_vec(&document).expect("strings can always be written as JSON");
    if json.len() > bytes_max {
        return Ok(too_large(file, bytes, json.len() as u64, bytes_max));
    }
    Ok(Entry::new(Kind::Document, keyed(id.into(), Some(json)), 1))
}

/// The reject of a file that is too large to be a document, with its beginning.
pub(crate) fn too_large(file: &File, start: &[u8], bytes: u64, limit: usize) -> Entry {
    let reason = DocumentError::TooLarge {
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        limit,
    };
    let start = &start[..PREFIX_BYTES.min(start.len())];
    let record = reject(start, &reason, format!("{}:1", file.name()));
    Entry::new(Kind::Reject, record, 1)
}

/// Times before 1970 and after 9999 have no such form and become the nearest that has.
fn rfc3339(time: SystemTime) -> String {
    let earliest = SystemTime::UNIX_EPOCH;
    let latest = earliest + std::time::Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(time.clamp(earliest, latest)).to_string()
}
