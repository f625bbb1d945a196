//! Curate: keeps the curated set a function of everything scored so far, and publishes its changes.
//!
//! Stateful, deterministic, without a model. [`dataflow`] is the picture; [`curate()`] runs it.

mod changes;
mod coded;
mod crew;
mod crossing;
mod document;
mod drawn;
mod facts;
mod groups;
mod mixture;
mod outputs;
mod publish;
mod received;
mod replay;
mod restart;
mod rules;
mod run;
mod settings;
mod skills;
mod snapshot;
mod source;
mod stages;
mod statistics;

use operators::{Change, Upsert, Usage, latest};
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Concat, ConnectLoop, Feedback};
use timely::dataflow::{Scope, StreamVec};

use crate::dataflow::{Batches, Pool, Sending, Threads, log_source, offload};
use crate::engine::EngineError;
use crossing::cross;
use document::Document;
use publish::Outcome;
use received::{Received, apart};

pub(crate) use changes::curated_document;
pub(crate) use crew::{Crew, Plan};
pub use crew::{Part, take_part};
pub(crate) use facts::document_hash;
pub(crate) use groups::{Groups, group_of};
pub(crate) use outputs::{last_progress, writer_of};
pub(crate) use replay::Replay;
pub(crate) use rules::Rules;
pub use rules::{Mixing, Skills};
pub use run::{Curate, MixtureTopics, curate};
pub use snapshot::{Kept, Schedule, Snapshots, kept};
#[cfg(feature = "fuzzing")]
pub(crate) use {rules::rules_of_progress, snapshot::fuzzing as snapshots};

/// What one worker's part of the dataflow is made of.
struct Parts<'a, F> {
    /// The number of the first epoch.
    first: u64,
    /// Reads the logs; on one worker.
    read: Option<F>,
    /// What is kept.
    rules: &'a Rules,
    /// Whether workers are in several processes.
    is_cluster: bool,
    /// Publishes epochs; on the first worker.
    publisher: Option<Pool<Outcome, ()>>,
    /// The threads behind the source and the publisher.
    threads: &'a Threads,
}

/// Scored records in, changes of the curated set out, an epoch at a time.
fn dataflow<D: Document, F>(scope: Scope<'_, u64>, parts: Parts<'_, F>)
where
    F: FnOnce(Sending<Received<D>>) -> Result<(), EngineError> + Send + 'static,
{
    let (handle, durable) = scope.feedback(1);
    let (received, marks) = log_source(scope, parts.first, durable, parts.read, parts.threads);
    let (scored, reports) = apart(received);
    let live = live(scored, parts.rules, parts.is_cluster);
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

/// The latest version of each document, on the worker that holds it.
fn live<'s, D: Document>(
    scored: StreamVec<'s, u64, Upsert<D>>,
    rules: &Rules,
    is_cluster: bool,
) -> StreamVec<'s, u64, Change<D>> {
    let unobserved = |_epoch, _usage: &dyn Usage| ();
    if is_cluster && rules.groups.are_used() {
        return latest(cross(scored, &rules.groups), Pipeline, unobserved);
    }
    let by_id = Exchange::new(|upsert: &Upsert<D>| upsert.id.halves()[0]);
    latest(scored, by_id, unobserved)
}
