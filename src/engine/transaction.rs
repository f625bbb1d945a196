//! Commits an epoch, and does it again when the store aborts it.

use std::time::Duration;

use super::EngineError;
use crate::log::{self, Writer};

/// How long to wait before an epoch is tried again after an error that aborts its transaction.
const RETRY: Duration = Duration::from_millis(500);

/// What an epoch is appended to.
pub(crate) trait Transaction {
    /// Drops all records appended since the last commit.
    fn abort(&mut self) -> log::Result<()>;
}

impl Transaction for dyn Writer {
    fn abort(&mut self) -> log::Result<()> {
        Writer::abort(self)
    }
}

/// Calls `append`, which appends an epoch's records and commits them, until it succeeds.
///
/// Between two tries the transaction is aborted. An epoch is tried for as long as its errors may
/// pass by themselves: a broker that is down for a night is waited for.
///
/// # Errors
/// What `append` says, when trying again would not help.
pub(crate) fn commit_epoch<W: Transaction + ?Sized>(
    writer: &mut W,
    epoch: u64,
    mut append: impl FnMut(&mut W) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    loop {
        match append(writer) {
            Err(EngineError::Log(error)) if error.may_pass() => {
                tracing::warn!(epoch, %error, "the epoch's transaction is aborted and tried again");
                std::thread::sleep(RETRY);
                writer.abort()?;
            }
            done => return done,
        }
    }
}
