//! `riffle redeliver`: feeds dead letters again after a fix.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;

use super::args::Global;
use super::failure::Failure;
use super::stop_flag;
use crate::engine::{Steps, Stores, tell_while};
use crate::redeliver::{Redeliver, redeliver};

const EXAMPLES: &str = "\
Examples:
    riffle redeliver --dry-run                          say what would be done
    riffle --set score.document_bytes_max=67108864 redeliver
    riffle redeliver --reason 'is missing or no number' only those whose reason holds this text
    riffle tail dead-letters --until-end --json         the letters, with reason and place

The original bytes go into the documents log again, each dead letter once, however often this is
called. Passed over, and counted, are letters of documents of which a newer version or a takedown
has come; those without a key and those kept only in part, which must be fed again from where they
came; and those that are still no documents, or larger than score.document_bytes_max, which are
looked at again the next time. riffle run then scores what was fed.

On Kafka, other producers should not write while this runs: a version that comes in the moment of
the commit is hidden by the older one. Should that happen, it is said, and the exit code is 1.";

/// Which letters, and how to report.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct RedeliverArgs {
    /// Only letters whose reason holds this text
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Print the summary as a JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Feeds the letters again, and sums up.
pub(super) fn run(global: &Global, args: &RedeliverArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let stores = Stores::new(&config);
    let what = Redeliver {
        documents_store: stores.of(config.documents.log)?,
        documents: config.documents.topic.clone(),
        letters_store: stores.of(config.scored.log)?,
        letters: config.scored.dead_letters_topic.clone(),
        document_bytes_max: config.score.document_bytes_max as usize,
        reason: args.reason.clone(),
        dry_run: args.dry_run,
        stop: stop_flag()?,
        steps: Arc::new(Steps::default()),
    };
    let summary = tell_while(&*what.steps, || redeliver(&what))?;
    if global.quiet == 0 {
        write!(io::stderr(), "{summary}")?;
    }
    if args.json {
        let json = serde_json::to_string(&summary).expect("text and numbers become JSON");
        writeln!(io::stdout(), "{json}")?;
    }
    match summary.overtaken.is_empty() {
        true => Ok(()),
        false => Err(Failure::Reported),
    }
}
