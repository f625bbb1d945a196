//! The part of `make demo` that is not a command of riffle: it picks real text to feed, and draws
//! what came out. `scripts/demo` calls it; all that it knows of the outcome it reads from the
//! lines of `riffle tail LOG --until-end --json`, as any other program would.

mod arrivals;
mod changes;
mod histogram;
mod outcome;
mod sample;
mod state;
mod text;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use state::State;

/// What a step of the demo prints, or why it cannot.
type Printed = Result<String, Box<dyn Error>>;

const USAGE: &str = "\
usage: demo sample CARGO_LOCK REGISTRY   documents to start with, as JSON lines
       demo arrivals FOLDER              takedowns of kept documents and new ones, as JSON lines
       demo outcome FOLDER               what was kept; FOLDER holds LOG.jsonl of riffle tail
       demo changes BEFORE AFTER         what came and went between two such folders";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let printed = match arguments[..] {
        ["sample", lock, registry] => sample::sample(Path::new(lock), Path::new(registry)),
        ["arrivals", folder] => State::read(folder).map(|state| arrivals::arrivals(&state)),
        ["outcome", folder] => State::read(folder).map(|state| outcome::outcome(&state)),
        ["changes", before, after] => compare(before, after),
        _ => Err(USAGE.into()),
    };
    let written = printed.and_then(|text| Ok(io::stdout().write_all(text.as_bytes())?));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(before: &str, after: &str) -> Printed {
    Ok(changes::changes(
        &State::read(before)?,
        &State::read(after)?,
    ))
}
