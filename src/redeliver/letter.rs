//! A dead letter, and what can become of it.

use super::Redeliver;
use crate::log::{Position, Received, Record};
use crate::records::{CUT_FROM, Document};

/// A dead letter.
pub struct Letter {
    /// Where it stands in its log.
    pub place: Position,
    /// As it stands there.
    pub record: Record,
}

/// A letter that can be a document: where it stood in the documents log. Its key is the id.
#[derive(Clone, Copy)]
pub struct Stood(pub Position);

/// What becomes of a letter.
pub enum Verdict {
    /// It is delivered again.
    Deliver(Stood),
    /// A newer version of the document has come, or a takedown; for good.
    Superseded,
    /// It was delivered again before; for good.
    Delivered,
    /// It has no key, so it names no document; for good.
    NoKey,
    /// Only its beginning is kept; for good.
    Cut,
    /// The documents log no longer tells what came after it; for good.
    Forgotten,
    /// It would be a dead letter again, for this reason; for now.
    Unusable(String),
    /// It is not asked for, or is of another documents log; for now.
    Left,
}

impl Letter {
    /// The letter that was received.
    pub fn new(Received { position, record }: Received) -> Self {
        Letter {
            place: position,
            record,
        }
    }

    /// What its own words make of it.
    pub fn verdict(&self, redeliver: &Redeliver) -> Verdict {
        let reason = self.header("reason").unwrap_or_default();
        let asked = redeliver.reason.as_deref();
        let stood = self.stood();
        if asked.is_some_and(|text| !reason.contains(text))
            || self.header("topic").as_deref() != Some(&redeliver.documents)
        {
            return Verdict::Left;
        }
        let Some(key) = self.key() else {
            return Verdict::NoKey;
        };
        if self.header(CUT_FROM).is_some() {
            return Verdict::Cut;
        }
        let value = self.record.value.as_deref().unwrap_or_default();
        match (Document::parse(value, redeliver.document_bytes_max), stood) {
            (Err(error), _) => Verdict::Unusable(error.to_string()),
            (Ok(document), _) if document.id.as_bytes() != key => Verdict::Unusable(reason),
            (Ok(_), None) => Verdict::Unusable("it does not say where it stood".to_owned()),
            (Ok(_), Some(stood)) => Verdict::Deliver(Stood(stood)),
        }
    }

    /// The id of its document.
    pub fn key(&self) -> Option<&[u8]> {
        self.record.key.as_deref().filter(|key| !key.is_empty())
    }

    /// Where it stood in the documents log.
    fn stood(&self) -> Option<Position> {
        let partition = self.header("partition")?.parse().ok()?;
        let offset: u64 = self.header("offset")?.parse().ok()?;
        (offset >> 48 == 0).then(|| Position::new(partition, offset))
    }

    /// The value of a header, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let headers = &self.record.headers;
        let (_, value) = headers.iter().find(|(header, _)| header == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}
