//! `riffle verify`: compares what is published with what a batch job would publish.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;

use super::args::Global;
use super::failure::Failure;
use super::stop_flag;
use crate::config::Config;
use crate::engine::{EngineError, Steps, Stores, configured_skills, tell_while};
use crate::verify::{Verify, verify};

const EXAMPLES: &str = "\
Examples:
    riffle verify                       the local logs under ./riffle-data
    riffle -c riffle.toml verify        while the engine runs, or after it
    riffle verify --json | jq .missing

The scored log is read again up to curate's last commit, and the rules of that commit are applied to
all of it at once; the documents that this keeps are compared with what the curated log publishes as
of the same commit. Nothing is written, and no writer is disturbed.

missing: should be published and is not; extra: is published and should not be; stale: is published
with another content; doubled: is published in two partitions. Content is the document with its
perplexity, tokens, quality and skill, not what depends on when it was admitted.

Exit codes: 0 equal, 65 not equal, 69 nothing has been committed yet.";

/// How to report.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct VerifyArgs {
    /// Print the report as a JSON object
    #[arg(long)]
    pub json: bool,
}

/// Verifies, and prints the report.
pub(super) fn run(global: &Global, args: &VerifyArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let what = of(&config, &Stores::new(&config))?;
    let report = tell_while(&*what.steps, || verify(&what))?;
    let mut out = io::stdout().lock();
    if args.json {
        let json = serde_json::to_string(&report).expect("text and numbers become JSON");
        writeln!(out, "{json}")?;
    } else {
        write!(out, "{report}")?;
    }
    match report.equal {
        true => Ok(()),
        false => Err(Failure::ReportedDifference),
    }
}

fn of(config: &Config, stores: &Stores<'_>) -> Result<Verify, Failure> {
    Ok(Verify {
        // Not by the mirror, which is the running curator's.
        scored_store: stores.of(config.scored.log)?,
        scored: config.scored.topic.clone(),
        curated_store: stores.of(config.curated.log)?,
        curated: config.curated.topic.clone(),
        statistics: config.curated.statistics_topic.clone(),
        mixture: config.mixture.topic.clone(),
        stages: config.select.clone(),
        sketch: config.sketch.clone(),
        skills: configured_skills(config).map_err(EngineError::from)?,
        workers: config.curate.workers.into(),
        stop: stop_flag()?,
        steps: Arc::new(Steps::default()),
    })
}
