//! `riffle curate`: alone, as a process of a cluster, or as the supervisor of one.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use super::args::Global;
use super::failure::{ANOTHER_ENDED, CONFIGURATION, Failure, SHUT_OUT, UNAVAILABLE, USAGE};
use super::run::{self, RunArgs};
use super::stop_flag;
use crate::cluster::{Lifeline, Place, Processes, free_addresses, supervise};
use crate::engine::{self, Halves, Membership};

/// What processes of a cluster must have in common, besides their hostfile; may be unset.
const KEY: &str = "RIFFLE_CLUSTER_KEY";

const EXAMPLES: &str = "\
Examples:
    riffle curate                             in one process, for ever
    riffle curate --processes 2               in two, started again together when one ends
    riffle curate --process 1 --hostfile hosts --supervise
                                              as the second of several machines: hosts has a line
                                              such as 10.0.0.1:2101 for each, and process 0 has the
                                              logs; --supervise starts it again when any ends

All processes need the same configuration. They talk in plain text: between machines, let nobody
else reach these ports. RIFFLE_CLUSTER_KEY may hold a text without which no process is taken in.

The first Ctrl-C finishes the epoch and commits it, the second leaves at once. The next run goes on
from the last commit.";

/// How long to run, and in which processes.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CurateArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Debug, Args)]
struct ClusterArgs {
    /// Curate in this many processes on this machine, started again together when one ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    #[arg(conflicts_with_all = ["process", "hostfile", "supervise"])]
    processes: Option<u16>,
    /// Be this process, counted from 0, of the cluster in --hostfile
    #[arg(long, value_name = "I", requires = "addressed")]
    process: Option<usize>,
    /// Where each process of the cluster listens, an address a line
    #[arg(long, value_name = "FILE", requires = "process", group = "addressed")]
    hostfile: Option<PathBuf>,
    /// With --process: start it again when it, or another of the cluster, ends before its time
    #[arg(long, requires = "process")]
    supervise: bool,
    /// In place of a hostfile, from a supervisor
    #[arg(
        long,
        hide = true,
        requires = "process",
        group = "addressed",
        value_delimiter = ','
    )]
    addresses: Vec<String>,
    /// There is a lifeline on standard input
    #[arg(long, hide = true, requires = "process")]
    supervised: bool,
}

/// Curates, and sums up.
pub(super) fn run(global: &Global, args: &CurateArgs) -> Result<(), Failure> {
    let cluster = &args.cluster;
    if let Some(processes) = cluster.processes {
        return keep_running(global, Supervised::Cluster(processes.into()));
    }
    let Some(place) = cluster.place()? else {
        return run::run(global, &args.run, Halves::Curate);
    };
    if cluster.supervise {
        return keep_running(global, Supervised::Process(place.process));
    }
    let loaded = global.load()?;
    let stop = stop_flag()?;
    let membership = Membership {
        place,
        lifeline: cluster.supervised.then(Lifeline::of_process).transpose()?,
    };
    run::announce(&loaded);
    let summary = engine::run_in_cluster(&loaded.config, args.run.until_end, membership, &stop)?;
    summary.map_or(Ok(()), |summary| run::sum_up(&summary, args.run.json))
}

impl ClusterArgs {
    /// Which process of which cluster to be.
    fn place(&self) -> Result<Option<Place>, Failure> {
        let Some(process) = self.process else {
            return Ok(None);
        };
        let key = std::env::var(KEY).unwrap_or_default();
        let place = match &self.hostfile {
            Some(path) => Place::in_hostfile(path, process, key),
            None => Ok(Place {
                process,
                addresses: self.addresses.clone(),
                key,
            }),
        };
        place
            .map(Some)
            .map_err(|error| Failure::Usage(error.into()))
    }
}

fn keep_running(global: &Global, mut processes: Supervised) -> Result<(), Failure> {
    // A configuration that no process could use is refused before any is started.
    global.load()?;
    let stop = stop_flag()?;
    Ok(supervise(&mut processes, &stop)?)
}

/// What is kept running.
enum Supervised {
    /// So many processes on this machine.
    Cluster(usize),
    /// This process of a cluster on several machines.
    Process(usize),
}

impl Supervised {
    fn cluster(count: usize) -> io::Result<Vec<(usize, Command)>> {
        // Others at each start: the ports of the last one may be taken, and what may be left of it
        // is not to meet the processes of this one.
        let (addresses, key) = (free_addresses(count)?.join(","), random());
        let command = |process: usize| {
            let mut command = this_without("--processes", true)?;
            command.args(["--supervised", "--process", &process.to_string()]);
            command.args(["--addresses", &addresses]).env(KEY, &key);
            Ok((process, command))
        };
        (0..count).map(command).collect()
    }
}

impl Processes for Supervised {
    fn commands(&mut self) -> io::Result<Vec<(usize, Command)>> {
        match self {
            Supervised::Cluster(count) => Supervised::cluster(*count),
            Supervised::Process(process) => {
                let mut command = this_without("--supervise", false)?;
                command.arg("--supervised");
                Ok(vec![(*process, command)])
            }
        }
    }

    fn is_final(&self, code: i32) -> bool {
        [USAGE, CONFIGURATION].map(i32::from).contains(&code)
    }

    fn waits(&self, code: i32) -> bool {
        code == i32::from(UNAVAILABLE)
    }

    fn is_consequence(&self, code: i32) -> bool {
        code == i32::from(ANOTHER_ENDED)
    }

    fn is_shut_out(&self, code: i32) -> bool {
        code == i32::from(SHUT_OUT)
    }
}

/// Sixteen hexadecimal digits that nobody can guess.
fn random() -> String {
    // Seeded by the operating system.
    format!("{:016x}", RandomState::new().hash_one(0))
}

/// This program with the arguments that it was started with, but for one option.
fn this_without(option: &str, takes_value: bool) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(without(std::env::args_os().skip(1), option, takes_value));
    Ok(command)
}

fn without(args: impl Iterator<Item = OsString>, option: &str, takes_value: bool) -> Vec<OsString> {
    let mut kept = Vec::new();
    let joined = format!("{option}=");
    let mut args = args;
    while let Some(arg) = args.next() {
        if arg == OsStr::new(option) {
            if takes_value {
                args.next();
            }
        } else if !arg.to_string_lossy().starts_with(&joined) {
            kept.push(arg);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_taken_out_in_each_of_its_forms() {
        let without = |line: &str, option, takes_value| {
            let args = line.split(' ').map(OsString::from);
            let kept = without(args, option, takes_value);
            kept.join(OsStr::new(" ")).into_string().unwrap()
        };
        for line in ["curate --processes 2 --json", "curate --processes=2 --json"] {
            assert_eq!(without(line, "--processes", true), "curate --json");
        }
        let line = "curate --process 1 --supervise --hostfile h";
        assert_eq!(
            without(line, "--supervise", false),
            "curate --process 1 --hostfile h"
        );
    }
}
