//! One parser under libFuzzer: the one that `RIFFLE_FUZZ_TARGET` names.
//!
//! With `RIFFLE_FUZZ_SEEDS` it writes the target's seeds to that directory instead, and without a
//! target it lists them. That is no program of its own because it, too, is built to be watched, and
//! only libFuzzer can be told what is seen.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;
use std::{env, fs, process};

use riffle_fuzz::{Memory, Target, target, targets};

#[global_allocator]
static MEMORY: Memory = Memory;

libfuzzer_sys::fuzz_target!(
    init: {
        let name = env::var("RIFFLE_FUZZ_TARGET").unwrap_or_default();
        if name.is_empty() {
            targets().for_each(|target| println!("{}", target.name));
            process::exit(0);
        }
        if let Some(directory) = env::var_os("RIFFLE_FUZZ_SEEDS") {
            write_seeds(chosen(), directory.as_ref());
            process::exit(0);
        }
    },
    |bytes: &[u8]| (chosen().run)(bytes)
);

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = env::var("RIFFLE_FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| panic!("there is no target {name:?}"))
    })
}

fn write_seeds(target: &Target, directory: &Path) {
    for (number, seed) in (target.seeds)().iter().enumerate() {
        let path = directory.join(format!("seed-{number}"));
        fs::write(path, seed).expect("the directory can be written to");
    }
}
