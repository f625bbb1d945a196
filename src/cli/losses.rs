//! `riffle losses`: appends what a trainer reports to the losses log.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use mixtures::Report;

use super::args::Global;
use super::failure::Failure;
use crate::engine::{EngineError, Stores, commit_epoch};
use crate::log::{Layout, Record, Store, Writer};

const EXAMPLES: &str = "\
Examples:
    riffle losses evaluation.jsonl      append the reports of a file
    trainer | riffle losses -           append each report as it comes
    riffle tail mixture                 the mixture that follows

A report is a line {\"run\": \"r1\", \"round\": 3, \"skill\": \"name\", \"loss\": 1.25}; \"step\" may stand for
\"round\", \"run\" may be left out, and a loss of null takes an earlier report back. Of several reports
of one run, round and skill the last is in effect, so appending a file twice changes nothing.";

/// Reports of a file are committed so many at a time.
const BATCH: usize = 1000;
/// The longest line: a report is short.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Whose losses.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct LossesArgs {
    /// Files of reports, one a line; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Appends the reports; lines that are none are named on standard error, and the rest goes on.
pub(super) fn run(global: &Global, args: &LossesArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let log = &config.mixture.losses_topic;
    let store = Stores::new(&config).of(config.curated.log)?;
    let mut losses = Losses::open(store.as_ref(), log)?;
    for file in &args.files {
        if file == Path::new("-") {
            losses.append("standard input", &mut io::stdin().lock(), 1)?;
        } else {
            let name = file.display().to_string();
            let opened = File::open(file).map_err(|source| unreadable(&name, &source))?;
            losses.append(&name, &mut BufReader::new(opened), BATCH)?;
        }
    }
    let Losses {
        appended, refused, ..
    } = losses;
    if global.quiet == 0 {
        writeln!(
            io::stderr(),
            "{appended} reports appended to {log}, {refused} lines refused"
        )?;
    }
    match refused {
        0 => Ok(()),
        _ => Err(Failure::Reported),
    }
}

fn unreadable(name: &str, source: &io::Error) -> Failure {
    Failure::Failed(format!("reading {name}: {source}").into())
}

/// The losses log, and what was done to it.
struct Losses<'a> {
    log: &'a str,
    writer: Box<dyn Writer>,
    appended: u64,
    refused: u64,
}

impl<'a> Losses<'a> {
    fn open(store: &dyn Store, log: &'a str) -> Result<Self, Failure> {
        let layout = Layout {
            partitions: 1,
            compacted: true,
        };
        store.create(log, layout)?;
        // Trainers on other logs of the same Kafka cluster must not fence this one.
        let writer = store.writer(&format!("losses-{log}"), &[log])?;
        Ok(Losses {
            log,
            writer,
            appended: 0,
            refused: 0,
        })
    }

    /// Appends the reports of `lines`, `batch` in a commit.
    fn append(&mut self, name: &str, lines: &mut dyn BufRead, batch: usize) -> Result<(), Failure> {
        let mut reports = Vec::new();
        for number in 1u64.. {
            let mut line = Vec::new();
            let read = lines.take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            if read.map_err(|source| unreadable(name, &source))? == 0 {
                break;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            match Report::parse(&line) {
                Ok(report) => reports.push(record(&report, line.trim_ascii())),
                Err(error) => {
                    self.refused += 1;
                    writeln!(io::stderr(), "{name}:{number}: {error}")?;
                }
            }
            if reports.len() >= batch {
                self.commit(&mut reports)?;
            }
        }
        self.commit(&mut reports)
    }

    fn commit(&mut self, reports: &mut Vec<Record>) -> Result<(), Failure> {
        if reports.is_empty() {
            return Ok(());
        }
        commit_epoch(self.writer.as_mut(), self.appended, |writer| {
            for report in reports.iter() {
                writer.append(self.log, 0, report.clone())?;
            }
            Ok::<_, EngineError>(writer.commit(&[])?)
        })?;
        self.appended += reports.len() as u64;
        reports.clear();
        Ok(())
    }
}

fn record(report: &Report, line: &[u8]) -> Record {
    Record {
        key: Some(report.key().into_bytes()),
        value: Some(line.to_vec()),
        headers: Vec::new(),
    }
}
