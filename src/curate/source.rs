//! The source's thread: a snapshot, the scored log and the log of losses, as what the dataflow takes.

use std::sync::Arc;

use mixtures::Report;
use operators::Upsert;

use super::document::Document;
use super::facts::{FactsError, Reading, upsert};
use super::groups::Groups;
use super::mixture::Reported;
use super::received;
use super::snapshot::{Form, Snapshot, Tee, restore};
use crate::dataflow::{Epoch, EpochReader, Sending};
use crate::engine::{Counters, EngineError};
use crate::log::{Offsets, Received};
use crate::records::{cut, dead_letter};

/// What is kept of a record of the log of losses that is no report. A report is short, and what is
/// none may be anything.
const LETTER_BYTES_MAX: usize = 64 << 10;

/// What the source's thread works with.
pub struct ScoredInput {
    /// Reads the scored log, and with it the log of losses.
    pub reader: EpochReader,
    /// What is counted on the way.
    pub counters: Arc<Counters>,
    /// What is sent in the place of the log up to where the reader's replay begins.
    pub snapshot: Option<Snapshot>,
    /// What makes the next ones.
    pub tee: Option<Tee>,
}

/// The source's thread: the snapshot, scored records as upserts, then reports; what is none of ours
/// is passed over.
pub fn read<D: Document>(
    input: ScoredInput,
    reading: Reading,
    form: Form,
) -> impl FnOnce(Sending<received::Received<D>>) -> Result<(), EngineError> + Send {
    move |mut sending| {
        let ScoredInput {
            mut reader,
            counters,
            snapshot,
            tee,
        } = input;
        let is_over = || reader.is_over();
        let Some(begun) = begin(snapshot, &form, &reading.groups, &sending, is_over) else {
            return Ok(());
        };
        if begun.is_none() {
            reader.inputs[0].known = Offsets::start(reader.inputs[0].from.0.len() as u16);
        }
        if let Some(mut tee) = tee {
            begun.into_iter().for_each(|base| tee.begin_with(base));
            sending = sending.followed_by(Box::new(tee));
        }
        let logs: Vec<String> = reader.inputs.iter().map(|it| it.log.clone()).collect();
        reader.run(&sending, |index, received: Received| {
            let (log, position) = (&logs[index], received.position);
            if index > 0 {
                let report = received::Received::Report(report(log, received));
                return Ok(Some(report));
            }
            Counters::add(&counters.scored_read, 1);
            match upsert(&received, &reading) {
                Ok(upsert) => Ok(Some(received::Received::Document(upsert))),
                // To pass it over would pass over all: the log was scored with other settings.
                Err(FactsError::Sketch { found, wanted }) => Err(EngineError::Codes {
                    log: log.clone(),
                    position,
                    found,
                    wanted,
                }),
                Err(error) => {
                    tracing::warn!(log, %position, %error, "a record is passed over");
                    Ok(None)
                }
            }
        })
    }
}

/// Sends the snapshot; gives it back if all of it was sent, `None` in the place of all if reading is
/// over.
///
/// Where it does not read to its end, what was sent are documents as they once were: the whole log,
/// read behind them in the same epoch, leaves of them what is live.
fn begin<D: Document>(
    snapshot: Option<Snapshot>,
    form: &Form,
    groups: &Groups,
    sending: &Sending<received::Received<D>>,
    is_over: impl Fn() -> bool,
) -> Option<Option<Snapshot>> {
    let Some(snapshot) = snapshot else {
        return Some(None);
    };
    let send = |documents: Vec<Upsert<D>>| {
        let documents = documents.into_iter().map(received::Received::Document);
        !is_over() && sending.send(Epoch::Records(documents.collect()))
    };
    match restore(&snapshot, form, groups, send) {
        Ok(true) => Some(Some(snapshot)),
        Ok(false) => None,
        Err(error) => {
            tracing::warn!(%error, "a snapshot does not read; reading the whole scored log again");
            Some(None)
        }
    }
}

/// What a record of the log of losses reports, or its dead letter.
fn report(log: &str, received: Received) -> Reported {
    let Received { position, record } = received;
    let report = match (&record.value, &record.key) {
        (Some(value), _) => Report::parse(value),
        (None, key) => Report::parse_tombstone(key.as_deref().unwrap_or_default()),
    };
    report.map_err(|error| {
        tracing::warn!(log, %position, %error, "a record goes to the dead letters of the losses");
        let mut letter = dead_letter(record, &error.to_string(), log, position);
        cut(&mut letter, LETTER_BYTES_MAX);
        letter
    })
}
