//! Arguments of `feed`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
    pub format: FeedFormat,
    /// The source field of documents made of text files
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Go on where an interrupted feed of the same paths stopped
    #[arg(long)]
    pub resume: bool,
}

/// What input files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FeedFormat {
    /// By the file's name.
    Auto,
    /// A JSON document a line.
    Jsonl,
    /// A document a file.
    Text,
}
