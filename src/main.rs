//! The command `riffle`: errors and exit codes; all else is the library's.

use std::io::{self, Write};
use std::process::ExitCode;

use riffle::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let Err(failure) = cli::run(&cli) else {
        return ExitCode::SUCCESS;
    };
    if let Some(report) = failure.report(cli.color_on_stderr()) {
        // With standard error closed the exit code still tells.
        let _ = io::stderr().write_all(report.as_bytes());
    }
    ExitCode::from(failure.exit_code())
}
