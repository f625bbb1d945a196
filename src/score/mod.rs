//! Score: measures each document once, and keeps what it found in the scored log.
//!
//! Stateless but for its place in the documents log. Documents are tokenized on threads of their
//! own, packed by token budget and measured on the thread that owns the models: the reference model
//! and, where one is configured, the text encoder. An epoch's records are appended in input order,
//! takedowns among them, so that the last version of an id is the last in its scored partition too.
//! [`dataflow`] is the picture; [`score()`] runs it.

mod commit;
mod embedder;
mod measure;
mod member;
mod output;
mod pending;
mod prepare;
mod run;
mod work;

use timely::dataflow::Scope;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Concat, ConnectLoop, Feedback};

use crate::dataflow::{Batches, Pool, Sending, Threads, log_source, offload};
use crate::engine::EngineError;
use crate::log::Received;
use commit::Outcome;
use pending::Prepared;

pub use embedder::Embedder;
pub use run::{Score, Scorer, score};
pub(crate) use run::{committed, writer_of};

/// What the dataflow is made of.
struct Parts<'a, F> {
    /// The number of the first epoch.
    first: u64,
    /// Reads the documents log.
    read: F,
    /// Parses and tokenizes.
    prepare: Pool<Received, Prepared>,
    /// Runs the models; absent where a field of the document gives the score and none embeds.
    measure: Option<Pool<Prepared, Prepared>>,
    /// Tokens at which a batch is handed to the models.
    batch_tokens: usize,
    /// Appends to the scored log.
    commit: Pool<Outcome, ()>,
    /// The threads behind the source and the pools.
    threads: &'a Threads,
}

/// Bytes of documents that one thread prepares at a time.
const PREPARE_BYTES: usize = 256 << 10;

/// Documents in, scored records out, an epoch at a time.
fn dataflow<F>(scope: Scope<'_, u64>, parts: Parts<'_, F>)
where
    F: FnOnce(Sending<Received>) -> Result<(), EngineError> + Send + 'static,
{
    let (handle, durable) = scope.feedback(1);
    let (documents, marks) =
        log_source(scope, parts.first, durable, Some(parts.read), parts.threads);
    let by_bytes = Batches {
        cost: bytes,
        cost_max: PREPARE_BYTES,
        whole_epochs: false,
    };
    let mut scored = offload(
        documents,
        Pipeline,
        "Prepare",
        by_bytes,
        Some(parts.prepare),
    );
    if let Some(models) = parts.measure {
        let cost_max = parts.batch_tokens;
        let by_tokens = Batches {
            cost: Prepared::tokens,
            cost_max,
            whole_epochs: false,
        };
        scored = offload(scored, Pipeline, "Measure", by_tokens, Some(models));
    }
    let epochs = scored
        .map(Outcome::Document)
        .concat(marks.map(Outcome::Mark));
    offload(
        epochs,
        Pipeline,
        "Commit",
        Batches::epoch(),
        Some(parts.commit),
    )
    .connect_loop(handle);
}

fn bytes(received: &Received) -> usize {
    received.record.value.as_ref().map_or(0, Vec::len) + 1
}
