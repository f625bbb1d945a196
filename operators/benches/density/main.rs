//! Speed, pauses and memory of `sample_by_density`, beside computing everything anew every epoch.
//!
//! ```text
//! cargo bench -p riffle-operators --bench density                   # each dimension from the middle
//! cargo bench -p riffle-operators --bench density -- live=1000000 rows=64,128,256 epsilon=0.5,1
//! ```
//!
//! Arguments are lists of `live`, `epoch`, `workers`, `rows` and `epsilon`; given any, all
//! combinations are run, with the middle for those left out. `epochs=` sets how many are measured,
//! and `cells=` is one number. Every combination has a process of its own.
//!
//! 5 % of the upserts take a document down, the others are new; half of the live documents is kept.
//! The pipeline is `latest` and `sample_by_density`, and bytes are those of the second, with the
//! codes and 24 bytes of record; an epoch is timed from its first record until
//! the probe passes it, and making the records is not timed. Documents have topics (Zipf), a share
//! of 0.3 to 0.5 of their codes from them, and 4 % nearly copy another. What is computed anew is
//! counted, summed and halved by a selection of the median, once over the live set at the end.
//!
//! Where it should not win: an epoch of a thirtieth of the corpus and more, which a pass over
//! everything does in less time than the touches take.

mod corpus;
mod measure;
mod recompute;

use std::process::{Command, ExitCode};

use measure::measure;

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    live: u64,
    epoch: u64,
    workers: u64,
    rows: u64,
    epsilon: f64,
    cells: u64,
    epochs: u64,
}

const MIDDLE: Run = Run {
    live: 1_000_000,
    epoch: 10_000,
    workers: 1,
    rows: 128,
    epsilon: 1.0,
    cells: 20_000,
    epochs: 40,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a.contains('='))
        .collect();
    let runs = match runs(&arguments) {
        Ok(runs) => runs,
        Err(argument) => {
            eprintln!("cannot read the argument {argument}");
            return ExitCode::FAILURE;
        }
    };
    if let [run] = runs.as_slice() {
        measure(*run);
        return ExitCode::SUCCESS;
    }
    println!(
        "{:>9} {:>7} {:>2} {:>4} {:>4} | {:>8} {:>8} {:>8} {:>7} | {:>9} {:>9} {:>5} | {:>6} {:>7}",
        "live",
        "epoch",
        "w",
        "rows",
        "eps",
        "docs/s",
        "of CPU",
        "load/s",
        "touches",
        "median ms",
        "longest",
        "ratio",
        "B/doc",
        "x anew"
    );
    let program = std::env::current_exe().expect("this program has a path");
    let passed = runs.iter().all(|run| {
        let Run {
            live,
            epoch,
            workers,
            rows,
            epsilon,
            cells,
            epochs,
        } = run;
        let arguments = format!(
            "live={live} epoch={epoch} workers={workers} rows={rows} epsilon={epsilon} \
             cells={cells} epochs={epochs}"
        );
        let status = Command::new(&program).args(arguments.split(' ')).status();
        status.is_ok_and(|status| status.success())
    });
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The combinations asked for, or the argument that makes no sense.
fn runs(arguments: &[String]) -> Result<Vec<Run>, String> {
    if arguments.is_empty() {
        return Ok(star());
    }
    let mut runs = vec![MIDDLE];
    for argument in arguments {
        let (name, values) = argument.split_once('=').ok_or(argument)?;
        let mut more = Vec::new();
        for (run, value) in runs
            .iter()
            .flat_map(|run| values.split(',').map(move |v| (run, v)))
        {
            let mut run = *run;
            let number = || value.parse().ok().filter(|n| *n > 0).ok_or(argument);
            match name {
                "live" => run.live = number()?,
                "epoch" => run.epoch = number()?,
                "workers" => run.workers = number()?,
                "rows" => run.rows = number()?,
                "cells" => run.cells = number()?,
                "epochs" => run.epochs = number()?,
                "epsilon" => run.epsilon = value.parse().map_err(|_| argument)?,
                _ => return Err(argument.clone()),
            }
            more.push(run);
        }
        runs = more;
    }
    Ok(runs)
}

/// From the middle outwards, one dimension at a time.
fn star() -> Vec<Run> {
    vec![
        Run {
            live: 100_000,
            ..MIDDLE
        },
        MIDDLE,
        Run {
            epoch: 1_000,
            epochs: 200,
            ..MIDDLE
        },
        Run {
            epoch: 100_000,
            epochs: 20,
            ..MIDDLE
        },
        Run { rows: 64, ..MIDDLE },
        Run {
            rows: 256,
            ..MIDDLE
        },
        Run {
            epsilon: 0.5,
            ..MIDDLE
        },
        Run {
            workers: 2,
            ..MIDDLE
        },
    ]
}
