//! Compares what should be published, document by document, with what is.

use super::content::content;
use super::digest::{SetDigest, digest};
use super::published::{Published, Standing};
use super::report::{Difference, EXAMPLES_MAX, Example, Report};
use super::{Verify, VerifyError};
use crate::curate::{Groups, curated_document};
use crate::engine::EngineError;
use crate::log::{Offsets, Position, Received, scan};
use crate::records::Scored;

/// What should be published.
pub struct Batch<'a> {
    /// Where the scored records of the kept documents stand; ascending.
    pub kept: &'a [Position],
    /// What names their skills.
    pub groups: &'a Groups,
    /// How far the scored log had been read.
    pub offsets: &'a Offsets,
}

/// The report on the documents: what is missing, extra, stale and doubled.
pub fn compare(
    verify: &Verify,
    batch: &Batch<'_>,
    published: Published,
) -> Result<Report, VerifyError> {
    let mut report = Report::default();
    let (documents, digest) = published.sum();
    report.published.documents = documents;
    report.published.digest = digest;
    report.curated_records = published.records;
    let mut comparison = Comparison {
        published,
        expected: SetDigest::default(),
        read: 0,
        report,
    };
    comparison.read_expected(verify, batch)?;
    let mut report = comparison.report;
    report.expected.digest = comparison.expected;
    let left = comparison.published.left();
    tell(verify, &mut report, Difference::Extra, &left)?;
    let doubled = comparison.published.doubled();
    tell(verify, &mut report, Difference::Doubled, &doubled)?;
    Ok(report)
}

struct Comparison {
    /// What is published and has not been met among the expected.
    published: Published,
    expected: SetDigest,
    /// Kept documents met so far.
    read: usize,
    report: Report,
}

impl Comparison {
    /// Reads the kept documents' scored records back, all in passing: of the log's records about
    /// half are of kept documents, and single ones take a Kafka broker a millisecond each.
    fn read_expected(&mut self, verify: &Verify, batch: &Batch<'_>) -> Result<(), VerifyError> {
        let (store, log) = (verify.scored_store.as_ref(), &verify.scored);
        let start = Offsets::start(batch.offsets.0.len() as u16);
        let done = scan(store, log, [&start, batch.offsets], &verify.stop, |it| {
            verify.steps.read();
            match batch.kept.binary_search(&it.position) {
                Ok(_) => self.take(&it, batch.groups),
                Err(_) => Ok(()),
            }
        })?;
        if !done {
            return Err(VerifyError::Stopped);
        }
        if self.read < batch.kept.len() {
            let log = log.clone();
            return Err(EngineError::LogShrank { log }.into());
        }
        Ok(())
    }

    fn take(&mut self, received: &Received, groups: &Groups) -> Result<(), VerifyError> {
        self.read += 1;
        let key = received.record.key.as_deref().unwrap_or_default();
        let value = received.record.value.as_deref().unwrap_or_default();
        let scored = Scored::decode(value).map_err(EngineError::Scored)?;
        // As of any epoch: the content does not depend on it.
        let should_be = content(&curated_document(&scored, groups, None, 0), Some(0));
        let id = digest(key);
        let found = self.published.remove(&id);
        if found.is_none() && self.published.has_later(&id) {
            self.report.superseded += 1;
            return Ok(());
        }
        self.report.expected.documents += 1;
        self.expected.add(&id, &should_be);
        let example = |curated| Example {
            id: Some(String::from_utf8_lossy(key).into_owned()),
            scored: Some(received.position),
            curated,
        };
        match found {
            Some(Standing { content, .. }) if content == should_be => {}
            Some(Standing { position, .. }) => self
                .report
                .note(Difference::Stale, || example(Some(position))),
            None => self.report.note(Difference::Missing, || example(None)),
        }
        Ok(())
    }
}

/// Notes differences of curated records at these places. Only their hashes are known: the first few
/// are read again for their ids.
fn tell(
    verify: &Verify,
    report: &mut Report,
    difference: Difference,
    places: &[Position],
) -> Result<(), VerifyError> {
    let first = &places[..places.len().min(EXAMPLES_MAX)];
    let mut fetcher = verify.curated_store.fetcher(&verify.curated)?;
    fetcher.fetch(first, &mut |position, record| {
        let id = record
            .key
            .map(|key| String::from_utf8_lossy(&key).into_owned());
        report.note(difference, || Example {
            id,
            scored: None,
            curated: Some(position),
        });
    })?;
    report.count(difference, (places.len() - first.len()) as u64);
    Ok(())
}
