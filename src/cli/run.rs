//! `riffle run`, `riffle score` and `riffle curate`: the engine, or one half of it.

use std::io::{self, Write};

use clap::Args;

use super::args::Global;
use super::failure::Failure;
use super::stop_flag;
use crate::config::Loaded;
use crate::engine::{self, Halves, RunOptions, Summary};

const EXAMPLES: &str = "\
Examples:
    riffle run                          go on for ever, with the local logs under ./riffle-data
    riffle run --until-end              stop at the present end of the logs
    riffle run --until-end --json       and print the summary as JSON
    riffle score -c riffle.toml         only score; riffle curate runs elsewhere

The first Ctrl-C finishes the epoch and commits it, the second leaves at once. The next run goes on
from the last commit.";

/// How long to run, and how to end.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct RunArgs {
    /// Stop at the present end of the logs instead of waiting for more
    #[arg(long)]
    pub until_end: bool,
    /// Print the summary as a JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Runs the engine, and sums up.
pub(super) fn run(global: &Global, args: &RunArgs, halves: Halves) -> Result<(), Failure> {
    let loaded = global.load()?;
    let stop = stop_flag()?;
    announce(&loaded);
    let options = RunOptions {
        halves,
        until_end: args.until_end,
    };
    let summary = engine::run(&loaded.config, options, &stop)?;
    sum_up(&summary, args.json)
}

/// Says what runs.
pub(super) fn announce(loaded: &Loaded) {
    let config = &loaded.config;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        configuration = %loaded.file.as_deref().unwrap_or("defaults".as_ref()).display(),
        documents = ?config.documents.log,
        scored = ?config.scored.log,
        curated = ?config.curated.log,
        local_dir = %config.local.dir.display(),
        "riffle"
    );
}

/// Says what was done.
pub(super) fn sum_up(summary: &Summary, as_json: bool) -> Result<(), Failure> {
    tracing::info!("{summary}");
    if as_json {
        let json = serde_json::to_string(summary).expect("numbers can be written as JSON");
        writeln!(io::stdout(), "{json}")?;
    }
    Ok(())
}
