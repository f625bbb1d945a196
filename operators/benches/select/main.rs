//! Speed, pauses and memory of `latest`, `select` and `select_by_mixture`, beside differential's
//! upserts and `reduce`.
//!
//! ```text
//! cargo bench -p riffle-operators --bench select                  # each dimension from the middle
//! cargo bench -p riffle-operators --bench select -- what=select live=10000000 epoch=1000,10000
//! cargo bench -p riffle-operators --bench select -- what=draw,mixture groups=1000 updates=4000000
//! ```
//!
//! Arguments are lists of `what` (latest, select, select_select, draw, mixture, reduce), `live`,
//! `epoch`, `workers` and `groups`; given any, all combinations are run, with the middle for those left out.
//! `updates=` sets how many upserts are measured. Every combination has a process of its own.
//!
//! 85 % of the upserts are new documents, 10 % replace one, 5 % take one down. Keys are normal,
//! their mean moves by 0.4 standard deviations while as many documents come as are live, and the
//! middle half is kept, so both cuts move all the time. An epoch is timed from its first record
//! until the probe passes it; making the records is not timed. Peak memory is the whole process's.
//!
//! `draw` keeps a random half of each group, and `mixture` half of all by weights: a group's share of
//! the corpus times a factor between ½ and 2, drawn anew for every group in every hundredth epoch.
//! Such a change moves all cuts and passes a fifth of the corpus; the epochs with one are also timed
//! apart, beside the documents that the longest of them told.
//!
//! Where it should not win: with two workers and epochs of 1,000, the two messages of an epoch cost
//! as much as its work. `reduce` keeps bins of keys, whole ones, which is less than is asked of
//! `select`; with small groups and huge epochs it comes near.

mod baseline;
mod corpus;
mod measure;

use std::process::{Command, ExitCode};

use measure::measure;

/// The pipelines that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Latest,
    Select,
    SelectSelect,
    /// As the next one, without a shared budget.
    Draw,
    Mixture,
    Reduce,
}

const WHAT: [(&str, What); 6] = [
    ("latest", What::Latest),
    ("select", What::Select),
    ("select_select", What::SelectSelect),
    ("draw", What::Draw),
    ("mixture", What::Mixture),
    ("reduce", What::Reduce),
];

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    what: What,
    live: u64,
    epoch: u64,
    workers: u64,
    groups: u64,
    updates: u64,
}

const MIDDLE: Run = Run {
    what: What::Select,
    live: 1_000_000,
    epoch: 10_000,
    workers: 1,
    groups: 1,
    updates: 2_000_000,
};

impl Run {
    /// A name for figures: what differs from the middle is said.
    fn figure(&self, quantity: &str) -> String {
        let mut name = format!("{}.{quantity}.{:e}", self.name(), self.live);
        for (label, value, middle) in [
            ("epoch", self.epoch, MIDDLE.epoch),
            ("workers", self.workers, MIDDLE.workers),
            ("groups", self.groups, MIDDLE.groups),
        ] {
            if value != middle {
                name += &format!(".{label}_{value}");
            }
        }
        name
    }

    fn name(&self) -> &'static str {
        WHAT.iter()
            .find(|(_, what)| *what == self.what)
            .expect("every one has a name")
            .0
    }
}

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
        "{:<14} {:>9} {:>7} {:>7} {:>6} | {:>6} {:>6} {:>6} | {:>9} {:>9} {:>5} | {:>6} {:>8}",
        "what",
        "live",
        "epoch",
        "workers",
        "groups",
        "M/s",
        "ns",
        "replay",
        "median ms",
        "longest",
        "ratio",
        "B/doc",
        "peak MB"
    );
    let program = std::env::current_exe().expect("this program has a path");
    let passed = runs.iter().all(|run| {
        let Run { live, epoch, workers, groups, updates, .. } = run;
        let what = run.name();
        let arguments = format!(
            "what={what} live={live} epoch={epoch} workers={workers} groups={groups} updates={updates}"
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
                "what" => run.what = WHAT.iter().find(|(n, _)| *n == value).ok_or(argument)?.1,
                "live" => run.live = number()?,
                "epoch" => run.epoch = number()?,
                "workers" => run.workers = number()?,
                "groups" => run.groups = number()?,
                "updates" => run.updates = number()?,
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
    use What::{Draw, Latest, Mixture, Reduce, Select, SelectSelect};
    let mut runs = Vec::new();
    for live in [100_000, 1_000_000, 10_000_000] {
        runs.extend([Latest, Select, SelectSelect].map(|what| Run {
            what,
            live,
            ..MIDDLE
        }));
    }
    runs.extend([1_000, 100_000].map(|epoch| Run { epoch, ..MIDDLE }));
    runs.push(Run {
        workers: 2,
        ..MIDDLE
    });
    for what in [Select, Reduce] {
        runs.push(Run {
            what,
            groups: 1000,
            ..MIDDLE
        });
    }
    for what in [Draw, Mixture] {
        runs.push(Run {
            what,
            groups: 1000,
            updates: 4_000_000,
            ..MIDDLE
        });
    }
    runs.extend([1_000, 10_000, 100_000].map(|epoch| Run {
        what: Reduce,
        epoch,
        ..MIDDLE
    }));
    runs
}
