//! `riffle config`: the effective configuration, the default file, the schema.

use std::io::{self, Write};

use clap::Subcommand;

use super::args::Global;
use super::failure::Failure;
use crate::config::{DEFAULT_TOML, schema};

/// What to print of the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration in effect, with the origin of every value that is not the default
    ///
    /// Secrets are shown as "<redacted>"; those kept in a file or a variable, by its name.
    #[command(after_long_help = "\
Examples:
    riffle config show
    RIFFLE__SCORE__MAX_TOKENS=512 riffle -c riffle.toml --set curate.workers=2 config show")]
    Show,
    /// Print the default configuration as a file with comments
    #[command(after_long_help = "\
Examples:
    riffle config default > riffle.toml")]
    Default,
    /// Print the JSON Schema of the configuration file, for editors
    #[command(after_long_help = "\
Examples:
    riffle config schema > riffle.schema.json")]
    Schema,
}

/// Prints it.
pub(super) fn run(global: &Global, command: &ConfigCommand) -> Result<(), Failure> {
    let text = match command {
        ConfigCommand::Show => global.load()?.show(),
        ConfigCommand::Default => DEFAULT_TOML.to_owned(),
        ConfigCommand::Schema => format!("{:#}\n", schema()),
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}
