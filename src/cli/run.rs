//! Arguments of `run`, `score` and `curate`.

use clap::Args;

const EXAMPLES: &str = "\
Examples:
    riffle run                          go on for ever, with the local logs under ./riffle-data
    riffle run --until-end              stop at the present end of the logs
    riffle run --until-end --json       and print the summary as JSON
    riffle score -c riffle.toml         only score; riffle curate runs elsewhere";

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
