//! The command line's grammar.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::check::CheckArgs;
use super::completions::CompletionsArgs;
use super::config::ConfigCommand;
use super::curate::CurateArgs;
use super::failure::USAGE;
use super::feed::FeedArgs;
use super::losses::LossesArgs;
use super::redeliver::RedeliverArgs;
use super::run::RunArgs;
use super::skills::SkillsCommand;
use super::tail::TailArgs;
use super::takedown::TakedownArgs;
use super::verify::VerifyArgs;
use crate::config::{ConfigError, Loaded, Sources, load};

const AFTER_HELP: &str = "\
Without a configuration file riffle works on local logs under ./riffle-data. With one:
    riffle -c riffle.toml check

A value comes from, later ones winning: the defaults, the file, the environment
(RIFFLE__SCORE__MAX_TOKENS=512), --set score.max_tokens=512.

Exit codes: 0 done, 1 failed while running, 2 usage, 65 verified and not equal, 69 broker, device or
model unavailable, 75 another process of the cluster has ended, 77 another process has taken over,
78 configuration.";

/// A streaming data-curation engine for language-model pre-training.
#[derive(Debug, Parser)]
#[command(name = "riffle", version, max_term_width = 100, after_help = AFTER_HELP)]
#[command(propagate_version = false, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

impl Cli {
    /// What this process was asked for, or its exit code after help, version or a usage error has
    /// been printed.
    pub fn from_process() -> Result<Self, ExitCode> {
        let args: Vec<OsString> = std::env::args_os().collect();
        let command = Cli::command().color(help_color(&args));
        let matches = command.try_get_matches_from(&args);
        let mut cli = matches.and_then(|it| Cli::from_arg_matches(&it));
        if let Ok(cli) = &mut cli {
            // Of a global option before and behind the subcommand clap keeps those behind alone.
            cli.global.set = given(&args, "--set");
        }
        cli.map_err(|error| {
            // A reader of the help that closed the pipe has what it wanted.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { USAGE } else { 0 })
        })
    }

    /// Whether standard error is written in colours.
    pub fn color_on_stderr(&self) -> bool {
        self.global.color.on(&io::stderr())
    }
}

/// The colours of help and usage errors. They are printed while the arguments are parsed, so
/// `--color` is looked for beforehand.
fn help_color(args: &[OsString]) -> ColorChoice {
    match given(args, "--color").first().map(String::as_str) {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// The values of an option, in order, wherever it stands before a `--`.
fn given(args: &[OsString], option: &str) -> Vec<String> {
    let mut args = args.iter().map(|arg| arg.to_string_lossy());
    let mut values = Vec::new();
    while let Some(arg) = args.next().filter(|arg| arg != "--") {
        let joined = arg.strip_prefix(option).and_then(|it| it.strip_prefix('='));
        if let Some(value) = joined {
            values.push(value.to_owned());
        } else if arg == option {
            values.extend(args.next().map(Cow::into_owned));
        }
    }
    values
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file; riffle.toml in the current directory is taken if it is there
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set a value, such as score.max_tokens=512; may be repeated
    ///
    /// The value is read as TOML, and as plain text if it is none. Everything after "kafka." is the
    /// name of a librdkafka property.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Log only errors; twice: nothing
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub quiet: u8,
    /// Log more; twice: still more. RIFFLE_LOG=riffle=debug,rdkafka=info sets levels by module
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// When to use colours; by default on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_name = "auto|always|never",
        default_value = "auto"
    )]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub color: ColorWhen,
    /// How log lines are written to stderr; by default as text
    #[arg(long, global = true, value_name = "text|json", default_value = "text")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub log_format: LogFormat,
}

impl Global {
    /// The configuration that the flags, the environment and the file give.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        load(&Sources::of_process(self.config.clone(), self.set.clone()))
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorWhen {
    /// Whether the stream is written in colours.
    pub fn on(self, stream: &impl IsTerminal) -> bool {
        let no_color = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            ColorWhen::Auto => stream.is_terminal() && !no_color(),
            ColorWhen::Always => true,
            ColorWhen::Never => false,
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for a person.
    Text,
    /// A JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Score and curate in one process
    Run(RunArgs),
    /// Only score: measure documents once, and keep what was found in the scored log
    Score(RunArgs),
    /// Only curate: keep the curated set up to date with the scored log
    Curate(CurateArgs),
    /// Read files into the documents log
    Feed(FeedArgs),
    /// Append a trainer's losses to the losses log
    Losses(LossesArgs),
    /// Print a log: documents, scored, curated, statistics, mixture, losses, dead-letters
    Tail(TailArgs),
    /// Take documents down, and tell how far that has come
    Takedown(TakedownArgs),
    /// Feed dead letters again after a fix
    Redeliver(RedeliverArgs),
    /// Recompute in batch what should be published, and compare it with what is
    Verify(VerifyArgs),
    /// Check configuration, directory, model, brokers and topics: a line each, with the fix
    Check(CheckArgs),
    /// Print the configuration: in effect, by default, or its schema
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Learn skills and how they help each other, and try mixtures
    #[command(subcommand)]
    Skills(SkillsCommand),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_before_and_behind_the_subcommand_and_not_behind_two_dashes() {
        let line = "riffle --set a=1 run --set=b=2 --settle c --set d=3 -- --set e=4";
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(given(&args, "--set"), ["a=1", "b=2", "d=3"]);
    }
}
