//! Lists the targets, or writes the seeds of one: `seeds [TARGET DIRECTORY]`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use riffle_fuzz::{target, targets};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, directory] = arguments.as_slice() else {
        targets().for_each(|target| println!("{}", target.name));
        return ExitCode::SUCCESS;
    };
    let Some(target) = target(name) else {
        eprintln!("there is no target {name}");
        return ExitCode::FAILURE;
    };
    for (number, seed) in (target.seeds)().iter().enumerate() {
        let path = Path::new(directory).join(format!("seed-{number}"));
        fs::write(path, seed).expect("the directory can be written to");
    }
    ExitCode::SUCCESS
}
