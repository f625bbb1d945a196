//! Log lines on standard error.

use std::io;

use tracing_subscriber::EnvFilter;

use super::args::{Global, LogFormat};
use super::failure::Failure;

/// The variable that sets levels by module, such as `riffle=debug,rdkafka=info`.
const VARIABLE: &str = "RIFFLE_LOG";

/// Sends log lines to standard error from here on: `info` of our own and `warn` of others, more or
/// less by -v and -q, unless RIFFLE_LOG says otherwise.
///
/// # Errors
/// [`Failure::Usage`] when RIFFLE_LOG does not parse.
pub(super) fn start(global: &Global) -> Result<(), Failure> {
    let filter = match std::env::var(VARIABLE) {
        Ok(levels) if !levels.is_empty() => EnvFilter::try_new(&levels)
            .map_err(|error| Failure::Usage(format!("{VARIABLE}={levels:?}: {error}").into()))?,
        _ => EnvFilter::new(levels(global.verbose, global.quiet)),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(global.color.on(&io::stderr()));
    match global.log_format {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

fn levels(verbose: u8, quiet: u8) -> &'static str {
    match (verbose, quiet) {
        (0, 0) => "warn,riffle=info",
        (1, _) => "info,riffle=debug",
        (2.., _) => "debug,riffle=trace",
        (0, 1) => "error",
        (0, 2..) => "off",
    }
}
