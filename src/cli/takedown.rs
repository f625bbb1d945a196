//! `riffle takedown`: takes documents down, and tells how far that has come.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};

use clap::Args;

use super::args::Global;
use super::failure::Failure;
use super::stop_flag;
use crate::config::{Config, LogKind};
use crate::engine::Stores;
use crate::takedown::{Takedown, takedown};

const EXAMPLES: &str = "\
Examples:
    riffle takedown page-17 page-18             append the takedowns
    riffle takedown --wait - < ids.txt          ids of a file, one a line; end when all is complete
    riffle takedown --status page-17            how far it has come, without appending

A takedown is complete when score has passed it on, curate has committed it (the curated topic has a
tombstone, or never had the document), the statistics are of a corpus without the document, and no
snapshot under local.dir has it: curate makes the next one after curate.snapshot_interval_s at the
latest. It can be asked for on any machine, but sees the snapshots of its own alone.
Consumers of the curated topic must follow its tombstones.

What remains, and is no part of the corpus any more: the documents log, the scored log and the dead
letters keep the document's bytes until their retention removes them, and local logs have none; the
curated topic keeps them until it is compacted; the mirror of a scored topic on Kafka, under
local.dir, until newer records take its place.";

/// What to take down.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TakedownArgs {
    /// Ids of documents; - reads them from standard input, one a line
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Wait until the takedowns have come through all stages; the engine must be running
    #[arg(long)]
    pub wait: bool,
    /// Append nothing: only tell how far earlier takedowns have come
    #[arg(long)]
    pub status: bool,
    /// Print the report as a JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Takes down, waits if asked to, and reports.
pub(super) fn run(global: &Global, args: &TakedownArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let stores = Stores::new(&config);
    let what = Takedown {
        ids: ids(&args.ids)?,
        documents_store: stores.of(config.documents.log)?,
        documents: config.documents.topic.clone(),
        // Not by the mirror, which is the running curator's.
        scored_store: stores.of(config.scored.log)?,
        scored: config.scored.topic.clone(),
        curated_store: stores.of(config.curated.log)?,
        curated: config.curated.topic.clone(),
        statistics: config.curated.statistics_topic.clone(),
        snapshots: config.snapshots_dir(),
        status: args.status,
        wait: args.wait,
        stop: stop_flag()?,
    };
    let report = takedown(&what, &mut |report| {
        tracing::info!("{}", report.in_a_line())
    })?;
    let mut out = io::stdout().lock();
    if args.json {
        let json = serde_json::to_string(&report).expect("text becomes JSON");
        writeln!(out, "{json}")?;
    } else {
        write!(out, "{report}")?;
    }
    if global.quiet == 0 && !args.status {
        writeln!(io::stderr(), "{}", remains(&config))?;
    }
    match args.wait && !report.complete {
        true => Err(Failure::Reported),
        false => Ok(()),
    }
}

/// The ids that are named, and those of standard input.
fn ids(named: &[String]) -> Result<BTreeSet<String>, Failure> {
    let mut ids = BTreeSet::new();
    for id in named {
        if id == "-" {
            for line in io::stdin().lock().lines() {
                let failed = |error| Failure::Failed(format!("standard input: {error}").into());
                ids.insert(line.map_err(failed)?);
            }
        } else {
            ids.insert(id.clone());
        }
    }
    // A blank line; no document is called so.
    ids.remove("");
    match ids.is_empty() {
        true => Err(Failure::Usage("there is no id to take down".into())),
        false => Ok(ids),
    }
}

/// Where bytes of a document still lie that was taken down.
fn remains(config: &Config) -> String {
    let until = |kind: LogKind| match kind {
        LogKind::Local => "for good, as a local log",
        LogKind::Kafka => "until its retention",
    };
    let (documents, scored) = (&config.documents, &config.scored);
    let mut text = format!(
        "bytes of these documents may still lie in log {} ({}) and in logs {} and {} ({})",
        documents.topic,
        until(documents.log),
        scored.topic,
        scored.dead_letters_topic,
        until(scored.log)
    );
    let curated = match config.curated.log {
        LogKind::Local => "for good, as a local log",
        LogKind::Kafka => "until it is compacted",
    };
    text += &format!(", and in log {} ({curated})", config.curated.topic);
    if scored.log == LogKind::Kafka && scored.mirror_bytes_max > 0 {
        let mirror = config.mirror_dir();
        text += &format!(
            ", and in {} until newer records take its place",
            mirror.display()
        );
    }
    text
}
