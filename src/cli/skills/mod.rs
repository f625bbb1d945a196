//! `riffle skills`: what skills are, how they help each other, and the mixture that follows.

mod fit;
mod graph;
mod mixture;

use std::fmt::Display;
use std::io::Read;
use std::path::Path;

use clap::Subcommand;
use mixtures::Graph;

use super::args::Global;
use super::failure::Failure;

/// Largest file that is read whole: a graph of the most edges has some 300 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What to do about skills.
#[derive(Debug, Subcommand)]
pub enum SkillsCommand {
    /// Find skills in a sample of documents, by k-means over their embeddings
    Fit(fit::FitArgs),
    /// Learn how skills help each other from measured loss curves, and print the graph
    Graph(graph::GraphArgs),
    /// Print the mixture that follows from a graph and reported losses
    Mixture(mixture::MixtureArgs),
}

/// Does it.
pub(super) fn run(global: &Global, command: &SkillsCommand) -> Result<(), Failure> {
    match command {
        SkillsCommand::Fit(args) => fit::run(global, args),
        SkillsCommand::Graph(args) => graph::run(args),
        SkillsCommand::Mixture(args) => mixture::run(global, args),
    }
}

/// The text of a file, or of standard input for `-`.
fn text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        limited(std::io::stdin().lock(), &mut text)
    } else {
        std::fs::File::open(path).and_then(|file| limited(file, &mut text))
    };
    read.map_err(|error| about(path, &error))?;
    Ok(text)
}

fn limited(file: impl Read, text: &mut String) -> std::io::Result<()> {
    let bytes = file.take(FILE_BYTES_MAX + 1).read_to_string(text)?;
    if bytes as u64 > FILE_BYTES_MAX {
        let message = format!("the file has more than {FILE_BYTES_MAX} bytes");
        return Err(std::io::Error::other(message));
    }
    Ok(())
}

/// Whether a text is JSON rather than comma-separated values.
fn is_json(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('{')
}

/// The graph in a file of either form.
fn graph_in(path: &Path) -> Result<Graph, Failure> {
    let text = text(path)?;
    let graph = if is_json(&text) {
        Graph::from_json(&text)
    } else {
        Graph::from_csv(&text)
    };
    graph.map_err(|error| about(path, &error))
}

/// What is wrong with a file.
fn about(path: &Path, error: &dyn Display) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()).into())
}
