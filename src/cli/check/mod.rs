//! `riffle check`: what a run would need, looked at without running: a line each, with the fix.

mod brokers;
mod device;
mod directory;
mod encoder;
mod finding;
mod model;
mod scorers;
mod snapshots;

use std::io::{self, Write};

use clap::Args;

use self::finding::{Finding, Status};
use super::args::Global;
use super::failure::Failure;
use crate::config::{Config, ConfigError, Loaded, LogKind};

const EXAMPLES: &str = "\
Examples:
    riffle check
    riffle -c riffle.toml check --offline
    riffle check --json | jq 'select(.status == \"fail\")'

Exit codes: 0 nothing failed, 69 something is unavailable, 78 the configuration cannot be used.";

/// How to check.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CheckArgs {
    /// Do not connect to brokers
    #[arg(long)]
    pub offline: bool,
    /// Print a JSON object a line: status, what, found, fix
    #[arg(long)]
    pub json: bool,
}

/// Prints the findings as they come, and fails if any is a failure.
pub(super) fn run(global: &Global, args: &CheckArgs) -> Result<(), Failure> {
    let mut report = Report {
        json: args.json,
        colored: global.color.on(&io::stdout()),
        failed: false,
    };
    let loaded = match global.load() {
        Ok(loaded) => loaded,
        Err(error) => return report.refused(error),
    };
    report.print(&configuration(&loaded))?;
    for finding in findings(&loaded.config, args.offline) {
        report.print(&finding)?;
    }
    if report.failed {
        Err(Failure::ReportedUnavailable)
    } else {
        Ok(())
    }
}

fn findings(config: &Config, offline: bool) -> impl Iterator<Item = Finding> {
    let directory = directory::check(config);
    let snapshots = snapshots::check(config);
    let (model, shape) = model::check(&config.score);
    let device = move || device::check(config, shape.as_ref());
    let encoder = move || encoder::check(config);
    let brokers = move || {
        let mut findings = brokers::check(config, offline);
        if findings.iter().all(|it| it.status == Status::Ok) {
            findings.extend(scorers::check(config));
        }
        findings
    };
    std::iter::once(directory)
        .chain(snapshots)
        .chain([model])
        .chain(std::iter::once_with(device).flatten())
        .chain(std::iter::once_with(encoder).flatten())
        .chain(std::iter::once_with(brokers).flatten())
}

fn configuration(loaded: &Loaded) -> Finding {
    let found = match &loaded.file {
        Some(file) => file.display().to_string(),
        None => format!("no file; the defaults, on {} logs", kinds(&loaded.config)),
    };
    Finding::new(Status::Ok, "configuration", found)
}

fn kinds(config: &Config) -> &'static str {
    match (config.uses(LogKind::Local), config.uses(LogKind::Kafka)) {
        (true, true) => "local and Kafka",
        (_, true) => "Kafka",
        _ => "local",
    }
}

struct Report {
    json: bool,
    colored: bool,
    failed: bool,
}

impl Report {
    fn print(&mut self, finding: &Finding) -> io::Result<()> {
        self.failed |= finding.status == Status::Fail;
        let line = if self.json {
            finding.json()
        } else {
            finding.text(self.colored)
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(line.as_bytes())?;
        stdout.flush()
    }

    /// The finding that the configuration cannot be used; its report follows on standard error.
    fn refused(&mut self, error: ConfigError) -> Result<(), Failure> {
        if self.json {
            let finding = Finding::new(Status::Fail, "configuration", error.to_string());
            self.print(&finding.fix("correct the configuration"))?;
            return Err(Failure::ReportedConfig);
        }
        let count = error.problems().len();
        let found = format!(
            "{count} problem{}, told below",
            if count == 1 { "" } else { "s" }
        );
        self.print(&Finding::new(Status::Fail, "configuration", found))?;
        Err(error.into())
    }
}
