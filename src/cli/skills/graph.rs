//! `riffle skills graph`: a skills graph from measured loss curves.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mixtures::{Curves, LearnOptions, learn};

use super::super::failure::Failure;
use super::{about, is_json, text};

const EXAMPLES: &str = "\
Examples:
    riffle skills graph curves.csv > graph.json
    riffle skills graph --rule exact --steps 600 --format csv curves.csv

The table has a row a measured loss, as comma-separated values with a header or as JSON lines:

    trained,with,skill,step,loss
    ,,add,0,4.1               the untrained model's loss on add
    carry,,add,600,2.9        its loss on add after 600 steps on carry alone
    carry,add,add,600,1.2     after 600 steps on carry and add together

The approximate rule needs a run a skill, and draws an edge from carry to add by how much training on
carry lowered the loss on add since step 0. The exact rule needs a run a pair of skills besides, and
draws it by how much lower the loss is after training on both than after as many steps on add alone.";

/// Which table, and how edges are found.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct GraphArgs {
    /// The table of loss curves; - is standard input
    #[arg(value_name = "FILE")]
    pub curves: PathBuf,
    /// How an edge is found
    #[arg(long, value_name = "exact|approximate", default_value = "approximate")]
    #[arg(hide_possible_values = true)]
    pub rule: Rule,
    /// Compare losses after so many steps; by default the most that all curves have
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Only a loss that is lowered by more than this makes an edge
    #[arg(long, value_name = "NATS", default_value_t = 0.0)]
    pub least_drop: f64,
    /// How the graph is written
    #[arg(long, value_name = "json|csv", default_value = "json")]
    #[arg(hide_possible_values = true)]
    pub format: Format,
}

/// How an edge is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rule {
    /// From runs on pairs of skills.
    Exact,
    /// From runs on single skills.
    Approximate,
}

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// An object of skills and rows of edges.
    Json,
    /// A table.
    Csv,
}

/// Learns the graph, and prints it.
pub(super) fn run(args: &GraphArgs) -> Result<(), Failure> {
    let text = text(&args.curves)?;
    let curves = if is_json(&text) {
        Curves::from_json_lines(&text)
    } else {
        Curves::from_csv(&text)
    };
    let curves = curves.map_err(|error| about(&args.curves, &error))?;
    let rule = match args.rule {
        Rule::Exact => mixtures::Rule::Exact,
        Rule::Approximate => mixtures::Rule::Approximate,
    };
    let options = LearnOptions {
        steps: args.steps,
        least_drop: args.least_drop,
    };
    let graph = learn(&curves, rule, options).map_err(|error| about(&args.curves, &error))?;
    let text = match args.format {
        Format::Json => graph.to_json(),
        Format::Csv => graph.to_csv(),
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}
