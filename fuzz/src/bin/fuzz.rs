//! One parser under libFuzzer: the one that `RIFFLE_FUZZ_TARGET` names.
#![no_main]

use std::sync::OnceLock;

use riffle_fuzz::{Memory, Target, target};

#[global_allocator]
static MEMORY: Memory = Memory;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var("RIFFLE_FUZZ_TARGET").unwrap_or_default();
        target(&name).expect("RIFFLE_FUZZ_TARGET names a target")
    });
    (chosen.run)(bytes);
});
