//! Every kernel through NVRTC, for both architectures: no GPU is needed for that.
//!
//! `scripts/fetch-nvrtc` brings NVRTC; without it, and without one on the loader's path, these
//! tests fail rather than pass over what they are for.

use std::io::Write;
use std::path::Path;

use super::compile::{Architecture, Compiled, Compiler};
use super::error::Version;
use super::kernels::{Family, Kernels, every};
use super::nvrtc::{Nvrtc, VARIABLE};
use super::ptxas::Resources;
use super::sources;

const SM_80: Version = Version { major: 8, minor: 0 };
const SM_90: Version = Version { major: 9, minor: 0 };

fn nvrtc() -> Nvrtc {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/nvrtc");
    let opened = match fetched.is_dir() && std::env::var_os(VARIABLE).is_none() {
        true => Nvrtc::open_in(&fetched),
        false => Nvrtc::open(),
    };
    opened.expect("scripts/fetch-nvrtc fetches NVRTC")
}

fn check(capability: Version, family: Family) {
    let nvrtc = nvrtc();
    let architecture = Architecture::of(capability);
    let kernels = every(family);
    let compiler = Compiler::new(&nvrtc, sources::HEADERS, architecture, None);
    let compiled = compiler.compile_all(&sources::of(&kernels)).unwrap();
    let mut resources: Vec<_> = compiled.iter().flat_map(|it| &it.resources).collect();
    resources.sort_by_key(|it| &it.kernel);
    report(
        &format!("{} by NVRTC {}", architecture.name(), nvrtc.version()),
        &resources,
    );
    let names: Vec<&str> = resources.iter().map(|it| it.kernel.as_str()).collect();
    let expected: Vec<&str> = kernels.iter().map(|kernel| kernel.name).collect();
    assert_eq!(names, expected, "every kernel is compiled, and no other");
    for (it, kernel) in resources.iter().zip(&kernels) {
        assert_eq!(it.spill_bytes, 0, "{} spills", it.kernel);
        let limit = 65536 / kernel.threads;
        assert!(
            (1..=limit).contains(&it.registers),
            "{} has no room",
            it.kernel
        );
    }
    assert!(
        compiled
            .iter()
            .all(|it| it.cubin.starts_with(b"\x7fELF") && !it.cached)
    );
}

/// Tells registers and spills on standard error, past the capture of what passing tests print.
fn report(title: &str, resources: &[&Resources]) {
    let mut text = format!("\n{title}:\n");
    for it in resources {
        let (kernel, registers, spill_bytes) = (&it.kernel, it.registers, it.spill_bytes);
        text += &format!("  {kernel:16} {registers:3} registers, {spill_bytes} bytes spilled\n");
    }
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

#[test]
fn every_kernel_compiles_for_sm_80_and_none_spills() {
    check(SM_80, Family::Ampere);
}

#[test]
fn every_kernel_compiles_for_sm_90a_and_none_spills() {
    check(SM_90, Family::Hopper);
}

#[test]
fn a_second_compilation_comes_from_the_cache_and_a_damaged_entry_does_not() {
    let nvrtc = nvrtc();
    let cache = tempfile::tempdir().unwrap();
    let documents = Kernels::new(Family::Ampere, 64).unwrap().documents;
    let sources = sources::of(&[documents]);
    let compile = |capability| {
        let architecture = Architecture::of(capability);
        let directory = Some(cache.path().join("riffle"));
        let compiler = Compiler::new(&nvrtc, sources::HEADERS, architecture, directory);
        compiler.compile_all(&sources).unwrap().remove(0)
    };
    let same = |a: &Compiled, b: &Compiled| a.cubin == b.cubin && a.resources == b.resources;
    let first = compile(SM_80);
    let second = compile(SM_80);
    assert!(!first.cached && second.cached && same(&first, &second));
    assert!(
        !compile(SM_90).cached,
        "another architecture is another entry"
    );
    for entry in std::fs::read_dir(cache.path().join("riffle")).unwrap() {
        std::fs::write(entry.unwrap().path(), b"damaged").unwrap();
    }
    let third = compile(SM_80);
    assert!(!third.cached && same(&first, &third));
    assert!(compile(SM_80).cached, "the damaged entry is replaced");
}

#[test]
fn a_source_that_does_not_compile_is_told_with_its_line() {
    let nvrtc = nvrtc();
    let source = super::nvrtc::Text {
        name: "broken.cu",
        text: "extern \"C\" __global__ void broken() {\n    int x = nothing;\n}\n",
    };
    let error = nvrtc
        .compile(source, &[], &["--gpu-architecture=sm_80"])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("broken.cu(2)") && error.contains("nothing"),
        "{error}"
    );
    let error = nvrtc
        .compile(source, &[], &["--gpu-architecture=sm_1"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("sm_1"), "{error}");
}
