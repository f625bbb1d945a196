//! `riffle feed`: reads files into the documents log.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::args::Global;
use super::failure::Failure;
use super::stop_flag;
use crate::engine::Stores;
use crate::feed::{FeedOptions, Format, feed, progress_on_stderr};

const EXAMPLES: &str = "\
Examples:
    riffle feed crawl.jsonl.zst         one document a line, compressed or not
    riffle feed --source notes notes/   every text and Markdown file is a document
    zcat crawl.jsonl.gz | riffle feed -
    riffle feed --resume crawl.jsonl    go on where an interrupted feed stopped

A line of JSON is {\"id\": …, \"text\": …, \"source\": …, \"metadata\": {…}}; an id seen again replaces the
document, and {\"id\": …, \"deleted\": true} takes it down.";

/// What to feed.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct FeedArgs {
    /// Files and folders to read; - is standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What the files hold; by default as their names say, and JSON lines on standard input
    #[arg(long, value_name = "auto|jsonl|text", default_value = "auto")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub format: Format,
    /// The source field of documents made of text files
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Go on where an interrupted feed of the same paths stopped
    #[arg(long)]
    pub resume: bool,
    /// Print the summary as a JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Feeds, and sums up.
pub(super) fn run(global: &Global, args: &FeedArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let stop = stop_flag()?;
    let store = Stores::new(&config).of(config.documents.log)?;
    let defaults = FeedOptions::default();
    let log = &config.documents.topic;
    let options = FeedOptions {
        // Feeds of other logs on the same Kafka cluster must not fence this one.
        writer: format!("feed-{log}"),
        format: args.format,
        source: args.source.clone().unwrap_or(defaults.source),
        partitions: config.topics.partitions,
        document_bytes_max: config.score.document_bytes_max as usize,
        resume: args.resume,
        ..FeedOptions::default()
    };
    let mut progress = progress_on_stderr();
    let summary = feed(
        store.as_ref(),
        log,
        &args.paths,
        &options,
        &stop,
        progress.as_mut(),
    )?;
    if global.quiet == 0 {
        writeln!(io::stderr(), "{summary}")?;
    }
    if args.json {
        let json = serde_json::to_string(&summary).expect("text and numbers become JSON");
        writeln!(io::stdout(), "{json}")?;
    }
    if summary.is_complete() {
        Ok(())
    } else {
        Err(Failure::Reported)
    }
}
