//! `riffle completions`: a script that completes commands and flags.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::args::Cli;
use super::failure::Failure;

const EXAMPLES: &str = "\
Examples:
    riffle completions bash > ~/.local/share/bash-completion/completions/riffle
    riffle completions zsh > ~/.zfunc/_riffle
    riffle completions fish > ~/.config/fish/completions/riffle.fish";

/// Which shell.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell to write for
    pub shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "riffle", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
