//! The command line: what can be asked for, and who does it.

mod args;
mod check;
mod completions;
mod config;
mod curate;
mod failure;
pub mod feed;
mod logging;
mod losses;
mod redeliver;
pub mod run;
mod signals;
mod skills;
pub mod tail;
mod verify;

use self::args::Command;
use crate::engine::Halves;
pub use args::{Cli, ColorWhen, Global, LogFormat};
pub use failure::{AnyError, Failure};
pub use signals::stop_flag;

/// Does what the command line asks for.
///
/// # Errors
/// [`Failure`], which knows its exit code and what to print.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    logging::start(&cli.global)?;
    match &cli.command {
        Command::Run(args) => run::run(&cli.global, args, Halves::Both),
        Command::Score(args) => run::run(&cli.global, args, Halves::Score),
        Command::Curate(args) => curate::run(&cli.global, args),
        Command::Feed(args) => feed::run(&cli.global, args),
        Command::Losses(args) => losses::run(&cli.global, args),
        Command::Tail(args) => tail::run(&cli.global, args),
        Command::Redeliver(args) => redeliver::run(&cli.global, args),
        Command::Verify(args) => verify::run(&cli.global, args),
        Command::Check(args) => check::run(&cli.global, args),
        Command::Config(command) => config::run(&cli.global, command),
        Command::Skills(command) => skills::run(&cli.global, command),
        Command::Completions(args) => completions::run(args),
    }
}
