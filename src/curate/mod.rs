//! Curate: keeps the curated set a function of everything scored so far, and publishes its changes.
//!
//! Stateful, deterministic, without a model. [`dataflow`] is the picture; [`Curator`] runs it.

mod changes;
mod coded;
mod document;
mod drawn;
mod facts;
mod groups;
mod mixture;
mod publish;
mod rules;
mod run;
mod settings;
mod skills;
mod stages;
mod statistics;

use operators::{Upsert, Usage, latest};
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::core::OkErr;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Concat, ConnectLoop, Feedback};

use crate::dataflow::{Batches, Pool, Sending, Threads, log_source, offload};
use crate::engine::EngineError;
use document::Document;
use mixture::Reported;
use publish::Outcome;
use rules::Rules;

#[cfg(feature = "fuzzing")]
pub(crate) use rules::rules_of_progress;
pub use rules::{Mixing, Skills};
pub use run::{Curate, MixtureTopics, curate};

/// What one worker's part of the dataflow is made of.
struct Parts<'a, F> {
    /// The number of the first epoch.
    first: u64,
    /// Reads the logs; on one worker.
    read: Option<F>,
    /// What is kept.
    rules: &'a Rules,
    /// Publishes epochs; on the first worker.
    publisher: Option<Pool<Outcome, ()>>,
    /// The threads behind the source and the publisher.
    threads: &'a Threads,
}

/// What the source reads: a scored record, or what a trainer reports.
#[derive(Clone)]
enum Received<D> {
    /// Of the scored log.
    Document(Upsert<D>),
    /// Of the log of losses.
    Report(Reported),
}

impl<D> Received<D> {
    fn part(self) -> Result<Upsert<D>, Reported> {
        match self {
            Received::Document(upsert) => Ok(upsert),
            Received::Report(report) => Err(report),
        }
    }
}

/// Scored records in, changes of the curated set out, an epoch at a time.
fn dataflow<D: Document, F>(scope: Scope<'_, u64>, parts: Parts<'_, F>)
where
    F: FnOnce(Sending<Received<D>>) -> Result<(), EngineError> + Send + 'static,
{
    let (handle, durable) = scope.feedback(1);
    let (received, marks) = log_source(scope, parts.first, durable, parts.read, parts.threads);
    let (scored, reports) = received.ok_err(Received::part);
    let by_id = Exchange::new(|upsert: &Upsert<D>| upsert.id.halves()[0]);
    let live = latest(scored, by_id, |_epoch, _usage: &dyn Usage| ());
    let curated = D::keep(live, reports, parts.rules, parts.first);
    let epochs = curated.concat(marks.map(Outcome::Mark));
    let to_first = Exchange::new(|_: &Outcome| 0);
    offload(
        epochs,
        to_first,
        "Publish",
        Batches::epoch(),
        parts.publisher,
    )
    .connect_loop(handle);
}
