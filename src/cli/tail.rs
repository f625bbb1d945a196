//! `riffle tail`: prints a log.

use std::io;

use clap::Args;

use super::args::Global;
use super::failure::Failure;
use super::stop_flag;
use crate::engine::Stores;
use crate::tail::{Kind, Start, TailOptions, tail};

const EXAMPLES: &str = "\
Examples:
    riffle tail curated                       wait for changes of the curated set
    riffle tail curated --until-end --json    all of them so far, a JSON object each
    riffle tail scored --from -10 --until-end the last ten
    riffle tail curated --from 0:812,1:790    go on in the first two partitions where one stopped
    riffle tail dead-letters --from beginning -n 1";

/// Which log to print, and which part of it.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TailArgs {
    /// The log to print
    pub log: Kind,
    /// Print a JSON object a record
    #[arg(long)]
    pub json: bool,
    /// Where to begin in each partition: beginning, end, an offset, or -N for the last N records
    ///
    /// The default is the beginning with --until-end, and else the end. Or PARTITION:OFFSET for some
    /// partitions, and the beginning of the others: 0:12,2:7. With --json, records say their own
    /// place in this form, as "position": one after it is where to go on.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    pub from: Option<Start>,
    /// Stop at the present end of the log instead of waiting for more
    #[arg(long)]
    pub until_end: bool,
    /// Stop after so many records
    #[arg(short = 'n', long, value_name = "N")]
    pub count: Option<u64>,
}

/// Prints the log.
pub(super) fn run(global: &Global, args: &TailArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let stop = stop_flag()?;
    let (log, kind) = match args.log {
        Kind::Documents => (&config.documents.topic, config.documents.log),
        Kind::Scored => (&config.scored.topic, config.scored.log),
        Kind::DeadLetters => (&config.scored.dead_letters_topic, config.scored.log),
        Kind::Curated => (&config.curated.topic, config.curated.log),
        Kind::Statistics => (&config.curated.statistics_topic, config.curated.log),
        Kind::Mixture => (&config.mixture.topic, config.curated.log),
        Kind::Losses => (&config.mixture.losses_topic, config.curated.log),
        Kind::LossesDeadLetters => (&config.mixture.dead_letters_topic, config.curated.log),
    };
    let by_default = if args.until_end {
        Start::Beginning
    } else {
        Start::End
    };
    let options = TailOptions {
        json: args.json,
        start: args.from.clone().unwrap_or(by_default),
        until_end: args.until_end,
        count: args.count,
        color: global.color.on(&io::stdout()),
    };
    let store = Stores::new(&config).of(kind)?;
    let mut out = io::stdout().lock();
    tail(store.as_ref(), log, args.log, &options, &stop, &mut out)?;
    Ok(())
}
