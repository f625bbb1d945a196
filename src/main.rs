//! The command `riffle`: errors and exit codes; all else is the library's.

use std::io::{self, Write};
use std::process::ExitCode;

use riffle::cli::{self, Cli};

fn main() -> ExitCode {
    end_with_a_panic();
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

/// Lets a panic of any thread end the process. It is a bug wherever it happens, and a dataflow
/// that lost one of its workers would wait for ever; what is not committed is done again.
fn end_with_a_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
